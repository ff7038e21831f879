"""Checkpoints: position and definition of each projection."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NewType
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateTable

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.projections.compiler import dead_letters
from quantum_forge.projections.project.log_range import Contents
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs, projection_checkpoints

Fingerprint = NewType("Fingerprint", str)

MEANING = 1
"""Raised when the compiler comes to mean something else by a declaration: mends a mistake, say."""

_NAMES = ARRAY(Text)


class CheckpointDiverged(QuantumForgeError):
    """Tables were made from other events than those that the log holds up to their checkpoint."""

    def __init__(self, names: Iterable[str], position: int) -> None:
        self.names = sorted(names)
        self.position = position
        super().__init__(
            f"the last event up to position {position} is not the one that "
            f"{', '.join(self.names)} folded last: the log or the tables came from elsewhere; run "
            f"`qforge rebuild {' '.join(self.names)}`"
        )


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
    """What identifies a definition: changed folds, columns or checks give another one.

    Events are named as the log names them: moving a class to another module changes nothing.
    Not indexes, comments and grants, which a migration changes and no row depends on; nor the SQL
    that folds are compiled to, which becomes faster and means the same.
    """
    definition = (
        MEANING,
        _by_type(projection.events, lambda cls: cls.history),
        {name: _by_type(values) for name, values in projection.key.items()},
        sorted(projection.opens),
        sorted(projection.ends),
        projection.elements and (projection.elements.name, projection.elements.unit),
        projection.replaces,
        projection.retained,
        _by_type(projection.only_with),
        [
            (fold.column.name, fold.operation, _by_type(fold.values), sorted(fold.where.items()))
            for fold in projection.folds
        ],
    )
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    text = f"{definition}\n{CreateTable(projection.table).compile(dialect=dialect)}"
    return Fingerprint(hashlib.sha256(text.encode()).hexdigest()[:16])


def _by_type(
    values: Mapping[str, Any], told: Callable[[Any], object] = lambda value: value
) -> list[tuple[str, object]]:
    """What there is for each event type, whatever the order of the declaration."""
    return [(name, told(values[name])) for name in sorted(values)]


def read_checkpoints(connection: Connection) -> dict[str, Checkpoint]:
    """Every checkpoint there is, by the name of its projection."""
    query = select(*(projection_checkpoints.c[name] for name in Checkpoint.__struct_fields__))
    return {row.projection: Checkpoint(*row) for row in connection.execute(query)}


def create_checkpoints(connection: Connection, projections: Iterable[Projection]) -> None:
    """Begin projections at the start of the log, unless they have a checkpoint already."""
    begun = [
        {
            "projection": projection.name,
            "fingerprint": fingerprint(projection),
            "position": 0,
            "consumed": 0,
            "ids_hash": 0,
            "updated_at": func.clock_timestamp(),
        }
        for projection in sorted(projections, key=lambda projection: projection.name)
    ]
    statement = insert(projection_checkpoints).values(begun).on_conflict_do_nothing()
    made = connection.scalars(statement.returning(projection_checkpoints.c.projection))
    # Of a table that was dropped, or emptied with its checkpoint.
    dead_letters.forget(connection, made, dead_letters.LIVE)


def diverged(connection: Connection, names: Sequence[str]) -> list[CheckpointDiverged]:
    """Return an error for each checkpoint whose last event is another one in the log.

    Checkpoints that are equally far share one look-up by primary key.
    """
    c = projection_checkpoints.c
    places = (
        select(c.position, c.event_id, func.array_agg(c.projection).label("names"))
        .where(c.event_id.is_not(None), c.projection == func.any(literal(names, _NAMES)))
        .group_by(c.position, c.event_id)
        .subquery("places")
    )
    last = _last_event(places.c.position).scalar_subquery()
    query = (
        select(places.c.names, places.c.position)
        .where(places.c.event_id.is_distinct_from(last))
        .order_by(places.c.position)
    )
    return [CheckpointDiverged(*row) for row in connection.execute(query)]


def _last_event(position: ColumnElement[int]) -> Select[tuple[UUID]]:
    """The query for the id of the newest event at or below a position."""
    return (
        select(event_logs.c.event_id)
        .where(event_logs.c.id <= position)
        .order_by(event_logs.c.id.desc())
        .limit(1)
    )


def lock_checkpoints(connection: Connection, names: Sequence[str]) -> dict[str, Checkpoint]:
    """Take those of these checkpoints that nobody else has, for this transaction, by name."""
    query = select(*(projection_checkpoints.c[name] for name in Checkpoint.__struct_fields__))
    query = query.where(projection_checkpoints.c.projection == func.any(literal(names, _NAMES)))
    query = query.order_by(projection_checkpoints.c.projection).with_for_update(skip_locked=True)
    return {row.projection: Checkpoint(*row) for row in connection.execute(query)}


def lock_checkpoint(connection: Connection, projection: Projection) -> Checkpoint | None:
    """Take a projection's checkpoint for this transaction; waits for whoever has it.

    None when the projection never ran.
    """
    query = select(*(projection_checkpoints.c[name] for name in Checkpoint.__struct_fields__))
    query = query.where(projection_checkpoints.c.projection == projection.name)
    row = connection.execute(query.with_for_update()).one_or_none()
    return None if row is None else Checkpoint(*row)


def move_checkpoint(connection: Connection, checkpoint: Checkpoint) -> None:
    """Store how far a projection has come; in the transaction that moves its rows."""
    connection.execute(
        update(projection_checkpoints)
        .where(projection_checkpoints.c.projection == checkpoint.projection)
        .values(
            **{name: getattr(checkpoint, name) for name in checkpoint.__struct_fields__},
            event_id=_last_event(literal(checkpoint.position, BigInteger)).scalar_subquery(),
            updated_at=func.clock_timestamp(),
        )
    )


_MOVED = text("""
    UPDATE projection_checkpoints AS c
       SET position = :upto,
           consumed = c.consumed + moved.events,
           ids_hash = c.ids_hash # moved.ids_hash,
           event_id = (SELECT e.event_id FROM event_logs AS e
                        WHERE e.id <= :upto ORDER BY e.id DESC LIMIT 1),
           updated_at = clock_timestamp()
      FROM unnest(CAST(:names AS text[]), CAST(:events AS bigint[]), CAST(:hashes AS bigint[]))
        AS moved (projection, events, ids_hash)
     WHERE c.projection = moved.projection
""")


def move_checkpoints(connection: Connection, moved: Mapping[str, Contents], upto: int) -> None:
    """Store that projections have come to `upto`, and what they found up to there.

    Args:
        connection: in the transaction that locked the checkpoints and moves the rows.
        moved: by name, what lies between the checkpoint and `upto`, of the projection's types.
        upto: the new position of all of them.
    """
    parameters = {
        "names": list(moved),
        "events": [contents.events for contents in moved.values()],
        "hashes": [contents.ids_hash for contents in moved.values()],
        "upto": upto,
    }
    connection.execute(_MOVED, parameters)
