"""Events that a projection leaves out, because its table cannot take them.

Each set belongs to one table: the live one, the shadow that a rebuild fills, the one kept after it.
What is true of every table at all times: it is the fold of the log up to its position without the
events of its set.
"""

import copy
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, delete, func, literal, null, select, update
from sqlalchemy.dialects.postgresql import insert

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs, projection_checkpoints
from quantum_forge.schema.tables import projection_dead_letters as dead_letters
from quantum_forge.schema.tables.dead_letters import LIVE as LIVE
from quantum_forge.schema.tables.log import CopyKind

_SCHEMA = "qforge_"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a live table does without.

    reason: what the database said when it last refused it. discarded_at: when somebody decided
    that it is to stay out; None while it waits for that, or for a retry.
    """

    projection: str
    position: Position
    tenant_id: UUID
    event_type: str
    reason: str
    parked_at: datetime
    retries: int
    retried_at: datetime | None
    discarded_at: datetime | None


@cache
def sparing(projection: Projection) -> Projection:
    """The same projection, as statements read the log without what its table leaves out."""
    spared = copy.copy(projection)
    spared.left_out = positions_left_out(projection)
    return spared


def positions_left_out(projection: Projection) -> Select[tuple[int]]:
    """The query for the events that the table which a projection is onto leaves out."""
    return select(dead_letters.c.position).where(
        dead_letters.c.projection == projection.name, dead_letters.c.copy == copy_of(projection)
    )


def copy_of(projection: Projection) -> str:
    """Which of its tables a projection is onto: live, shadow or kept."""
    return (projection.table.schema or _SCHEMA + LIVE).removeprefix(_SCHEMA)


def list_dead_letters(
    connection: Connection, names: Collection[str], *, discarded: bool = False
) -> list[DeadLetter]:
    """What the live tables of these projections leave out, by projection and position.

    discarded: also what somebody has discarded.
    """
    query = (
        select(*(dead_letters.c[name] for name in DeadLetter.__struct_fields__))
        .where(dead_letters.c.copy == LIVE, dead_letters.c.projection.in_(names))
        .order_by(dead_letters.c.projection, dead_letters.c.position)
    )
    if not discarded:
        query = query.where(dead_letters.c.discarded_at.is_(None))
    return [DeadLetter(**row) for row in connection.execute(query).mappings()]


def count_parked(connection: Connection) -> dict[str, int]:
    """Count the events that wait for a retry or to be discarded, by projection, if any.

    A session that sees one tenant only counts that tenant's.
    """
    query = (
        select(dead_letters.c.projection, func.count().label("parked"))
        .where(dead_letters.c.copy == LIVE, dead_letters.c.discarded_at.is_(None))
        .group_by(dead_letters.c.projection)
        .order_by(dead_letters.c.projection)
    )
    return {row.projection: row.parked for row in connection.execute(query)}


def park(connection: Connection, projection: Projection, position: int, reason: str) -> None:
    """Leave an event out of the table that the projection is onto; in the fold's transaction."""
    event = select(
        literal(projection.name),
        literal(copy_of(projection)),
        event_logs.c.id,
        event_logs.c.tenant_id,
        event_logs.c.event_type,
        literal(reason),
        func.clock_timestamp(),
        literal(0),
    ).where(event_logs.c.id == position)
    left = ("retried_at", "discarded_at")
    names = [str(column.name) for column in dead_letters.c if column.name not in left]
    connection.execute(insert(dead_letters).from_select(names, event))


def leaves_out(connection: Connection, projection: Projection, after: int, upto: int) -> bool:
    """Whether the table that the projection is onto leaves out an event in (`after`, `upto`]."""
    query = select(
        select(dead_letters.c.position)
        .where(
            dead_letters.c.projection == projection.name,
            dead_letters.c.copy == copy_of(projection),
            dead_letters.c.position > after,
            dead_letters.c.position <= upto,
        )
        .exists()
    )
    return bool(connection.scalar(query))


def inherit(
    connection: Connection, shadow: Projection, fingerprint: str, after: int, upto: int
) -> None:
    """Let a shadow leave out what the live table leaves out in (`after`, `upto`].

    What was parked under another definition is tried again; what was discarded never is.
    """
    names = [column.name for column in dead_letters.c]
    columns = [
        literal(copy_of(shadow)) if name == "copy" else dead_letters.c[name] for name in names
    ]
    query = (
        select(*columns)
        .join(
            projection_checkpoints, projection_checkpoints.c.projection == dead_letters.c.projection
        )
        .where(
            dead_letters.c.projection == shadow.name,
            dead_letters.c.copy == LIVE,
            dead_letters.c.position > after,
            dead_letters.c.position <= upto,
            dead_letters.c.discarded_at.is_not(None)
            | (projection_checkpoints.c.fingerprint == fingerprint),
        )
    )
    connection.execute(insert(dead_letters).from_select(names, query).on_conflict_do_nothing())


def forget(connection: Connection, names: Iterable[str], copy: str) -> None:
    """Drop the sets of tables that are dropped, or filled from the start."""
    connection.execute(
        delete(dead_letters).where(
            dead_letters.c.projection.in_(list(names)), dead_letters.c.copy == copy
        )
    )


def hand_over(connection: Connection, name: str, source: str, target: str) -> None:
    """Move a set along with its table, in place of the target's."""
    forget(connection, [name], target)
    connection.execute(
        update(dead_letters)
        .where(dead_letters.c.projection == name, dead_letters.c.copy == source)
        .values(copy=target)
    )


def discard(connection: Connection, name: str, positions: Collection[int]) -> list[int]:
    """Decide to do without events for good; rebuilds will not try them again. Does not commit.

    Returns:
        The positions that were waiting.
    """
    found = connection.execute(
        update(dead_letters)
        .where(
            dead_letters.c.projection == name,
            dead_letters.c.copy != CopyKind.KEPT,
            dead_letters.c.position.in_(list(positions)),
            dead_letters.c.discarded_at.is_(None),
        )
        .values(discarded_at=func.clock_timestamp())
        .returning(dead_letters.c.position, dead_letters.c.copy)
    )
    return sorted(row.position for row in found if row.copy == LIVE)


def take_back(connection: Connection, projection: Projection, position: int) -> bool:
    """Leave an event out no longer; its keys must be folded again. Whether it was left out."""
    found = connection.execute(
        delete(dead_letters).where(*_one(projection, position)).returning(dead_letters.c.position)
    )
    return found.one_or_none() is not None


def note_retry(connection: Connection, projection: Projection, position: int, reason: str) -> None:
    """Write down that an event was refused again; it waits, even if it was discarded."""
    connection.execute(
        update(dead_letters)
        .where(*_one(projection, position))
        .values(
            reason=reason,
            retries=dead_letters.c.retries + 1,
            retried_at=func.clock_timestamp(),
            discarded_at=null(),
        )
    )


def _one(projection: Projection, position: int):  # type: ignore[no-untyped-def]
    return (
        dead_letters.c.projection == projection.name,
        dead_letters.c.copy == copy_of(projection),
        dead_letters.c.position == position,
    )
