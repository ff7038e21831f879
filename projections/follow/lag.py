"""Lag of projections behind the log, in positions and in seconds."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, select

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Lag of a projection behind a head of the log.

    `positions`: from its checkpoint to the head, whatever is there. `is_behind`: whether it has yet
    to fold an event there; otherwise its table is up to date although its checkpoint may have to
    move. For a login that may not read the log it is whether there are positions. `seconds`: since
    the oldest such event was recorded, by the database's clock; None when there is none, or when
    the login may not read the log.
    """

    projection: str
    position: Position
    positions: int
    is_behind: bool
    seconds: float | None


def oldest_unfolded(projection: Projection, after: int, upto: int) -> Select[Any]:
    """The query for when the first event of a projection's types within a range was recorded."""
    return (
        select(event_logs.c.recorded_at)
        .where(
            event_logs.c.id > after,
            event_logs.c.id <= upto,
            event_logs.c.event_type.in_(sorted(projection.reads)),
        )
        .order_by(event_logs.c.id)
        .limit(1)
    )


def read_lags(connection: Connection, projections: Iterable[Projection], head: int) -> list[Lag]:
    """Return the lag of each projection behind a safe head that an earlier statement has read.

    One that never ran is behind by the whole log. A login that row-level security restricts to a
    tenant learns of the events of its tenant only.
    """
    positions = {name: each.position for name, each in read_checkpoints(connection).items()}
    at = [(each, Position(positions.get(each.name, 0))) for each in projections]
    may_read = any(position < head for _, position in at) and connection.scalar(
        select(func.has_table_privilege(event_logs.name, "SELECT"))
    )
    lags = []
    for projection, position in at:
        is_behind, seconds = position < head, None
        if position < head and may_read:
            query = oldest_unfolded(projection, position, head)
            query = query.add_columns(func.clock_timestamp().label("now"))
            row = connection.execute(query).one_or_none()
            is_behind = row is not None
            seconds = None if row is None else _seconds(row.recorded_at, row.now)
        lags.append(
            Lag(
                projection=projection.name,
                position=position,
                positions=max(0, head - position),
                is_behind=is_behind,
                seconds=seconds,
            )
        )
    return lags


def _seconds(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())
