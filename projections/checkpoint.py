"""How far a projection has come, and by which definition: its row in projection_checkpoints."""

import hashlib
from functools import cache
from typing import NewType

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert

from projections import compiler
from projections.projection import Projection
from schema.create import ddl_of
from schema.tables import projection_checkpoints

Fingerprint = NewType("Fingerprint", str)


class Checkpoint(msgspec.Struct, frozen=True):
    """Every event up to `position` is folded in; `consumed` of them were of the projection's types.

    ids_hash: XOR of the hashes of their positions, whatever the order.
    """

    projection: str
    fingerprint: str
    position: int
    consumed: int
    ids_hash: int


@cache
def fingerprint(projection: Projection) -> Fingerprint:
    """What identifies a definition: changed folds or columns give another one."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    statement = compiler.rows(projection).compile(dialect=dialect)
    text = f"{statement}\n{sorted(statement.params.items(), key=str)}\n{ddl_of([projection.table])}"
    return Fingerprint(hashlib.sha256(text.encode()).hexdigest()[:16])


def read_checkpoints(connection: Connection) -> dict[str, Checkpoint]:
    """Every checkpoint there is, by the name of its projection."""
    query = select(*(projection_checkpoints.c[name] for name in Checkpoint.__struct_fields__))
    return {row.projection: Checkpoint(*row) for row in connection.execute(query)}


def create_checkpoint(connection: Connection, projection: Projection) -> None:
    """Begin a projection at the start of the log, unless it has a checkpoint already."""
    connection.execute(
        insert(projection_checkpoints)
        .values(
            projection=projection.name,
            fingerprint=fingerprint(projection),
            position=0,
            consumed=0,
            ids_hash=0,
            updated_at=func.clock_timestamp(),
        )
        .on_conflict_do_nothing()
    )


def lock_checkpoint(
    connection: Connection, projection: Projection, *, wait: bool
) -> Checkpoint | None:
    """Take a projection's checkpoint for this transaction; None when another process has it.

    Args:
        connection: in a transaction, which holds the lock.
        projection: whose checkpoint; it must have one.
        wait: for whoever holds it, instead of passing over it.
    """
    query = select(*(projection_checkpoints.c[name] for name in Checkpoint.__struct_fields__))
    query = query.where(projection_checkpoints.c.projection == projection.name)
    row = connection.execute(query.with_for_update(skip_locked=not wait)).one_or_none()
    return None if row is None else Checkpoint(*row)


def move_checkpoint(connection: Connection, checkpoint: Checkpoint) -> None:
    """Store how far a projection has come; in the transaction that moves its rows."""
    connection.execute(
        update(projection_checkpoints)
        .where(projection_checkpoints.c.projection == checkpoint.projection)
        .values(
            **{name: getattr(checkpoint, name) for name in checkpoint.__struct_fields__},
            updated_at=func.clock_timestamp(),
        )
    )
