"""A table beside the live one: the shadow that a rebuild fills, or the one kept after a swap.

It has the live table's name in a schema of its own, so that its indexes, constraints and policies
have their final names from the start, and a swap renames nothing.
"""

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, MetaData, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from quantum_forge.projections.compiler import dead_letters
from quantum_forge.projections.project.checkpoint import Checkpoint, fingerprint
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.table import METADATA
from quantum_forge.schema.tables import projection_copies
from quantum_forge.schema.tables.log import CopyKind, Stage


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A row of projection_copies; its numbers mean what those of a checkpoint mean."""

    projection: str
    kind: CopyKind
    stage: Stage
    fingerprint: str
    position: int
    consumed: int
    ids_hash: int

    def plus(self, upto: int, events: int, ids_hash: int) -> "Copy":
        """What it is once the events up to there are folded in, so many of its types."""
        return msgspec.structs.replace(
            self, position=upto, consumed=self.consumed + events, ids_hash=self.ids_hash ^ ids_hash
        )

    def as_checkpoint(self) -> Checkpoint:
        """The checkpoint of the live table, once the copy is that."""
        return Checkpoint(
            self.projection, self.fingerprint, self.position, self.consumed, self.ids_hash
        )


@cache
def onto(projection: Projection, kind: CopyKind) -> Projection:
    """The same projection onto its table among the copies: statements name that one."""
    metadata = MetaData(naming_convention=METADATA.naming_convention)
    moved = copy.copy(projection)
    moved.table = projection.table.to_metadata(metadata, schema=kind.schema)
    moved.folds = tuple(
        replace(fold, column=moved.table.c[fold.column.name]) for fold in projection.folds
    )
    return moved


def start_of(projection: Projection) -> Copy:
    """A shadow without a row."""
    return Copy(
        projection=projection.name,
        kind=CopyKind.SHADOW,
        stage=Stage.FILLING,
        fingerprint=fingerprint(projection),
        position=0,
        consumed=0,
        ids_hash=0,
    )


def kept_at(checkpoint: Checkpoint) -> Copy:
    """A kept table with the checkpoint that it had while it was live."""
    numbers = msgspec.structs.asdict(checkpoint)
    return Copy(kind=CopyKind.KEPT, stage=Stage.DONE, **numbers)


def lock_copy(connection: Connection, name: str, kind: CopyKind) -> Copy | None:
    """Take the row of a copy for this transaction; waits for whoever has it, be it a dead client's.

    What a killed rebuild had begun goes on in the server until it notices.
    """
    query = select(*(projection_copies.c[name] for name in Copy.__struct_fields__)).where(
        projection_copies.c.projection == name, projection_copies.c.kind == kind
    )
    return _copy(connection.execute(query.with_for_update()).one_or_none())


def store_copy(connection: Connection, stored: Copy) -> None:
    """Write the row of a copy, in the transaction that changes its table."""
    values = {name: getattr(stored, name) for name in Copy.__struct_fields__}
    now = func.clock_timestamp()
    statement = insert(projection_copies).values(**values, began_at=now, updated_at=now)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[projection_copies.c.projection, projection_copies.c.kind],
            set_={**values, "updated_at": now},
        )
    )


def enter_stage(connection: Connection, name: str, stage: Stage) -> None:
    """Say what the rebuild of a projection is at."""
    connection.execute(
        update(projection_copies)
        .where(
            projection_copies.c.projection == name,
            projection_copies.c.kind == CopyKind.SHADOW,
        )
        .values(stage=stage, updated_at=func.clock_timestamp())
    )


def forget_copy(connection: Connection, name: str, kind: CopyKind) -> None:
    """Delete what is known of a copy, in the transaction that drops or moves its table."""
    dead_letters.forget(connection, [name], kind)
    connection.execute(
        delete(projection_copies).where(
            projection_copies.c.projection == name, projection_copies.c.kind == kind
        )
    )


def _copy(row: Row[Any] | None) -> Copy | None:
    return (
        None
        if row is None
        else msgspec.convert(dict(zip(Copy.__struct_fields__, row, strict=True)), Copy)
    )
