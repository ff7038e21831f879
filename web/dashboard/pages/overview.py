"""The first page: whether everything goes on, and what needs attention."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Integer, cast, func, literal_column, select, text

from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.projections.follow.state import ProjectionState, read_states
from quantum_forge.projections.queries.calculations import WITHOUT_RESULT
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.tables import event_logs
from quantum_forge.schema.tables.views import system_health
from quantum_forge.web.dashboard.attention import Matter, matters
from quantum_forge.web.dashboard.panels import Asked, Page, Panel

RATE_MINUTES = 60
"""Of the series of events a minute."""

FAILURES_SINCE = timedelta(hours=24)

_BATCHES = (
    "batch_started",
    "batch_resumed",
    "batch_progressed",
    "batch_completed",
    "batch_failed",
    "batch_cancelled",
)
_CALCULATIONS = (
    "calculation_requested",
    "calculation_started",
    "calculation_completed",
    "calculation_failed",
    "calculation_lost",
    "calculation_invalidated",
    "calculation_retry_scheduled",
)


class Rate(msgspec.Struct, frozen=True):
    """Events by minute. times: of each, in s since 1970, oldest first. counts: of events."""

    times: list[int]
    counts: list[int]

    @property
    def minutes(self) -> list[tuple[datetime, int]]:
        """Those with events, the newest first."""
        pairs = zip(self.times, self.counts, strict=True)
        return [(datetime.fromtimestamp(at, UTC), count) for at, count in pairs if count][::-1]

    @property
    def total(self) -> int:
        """Of all minutes."""
        return sum(self.counts)


def _health(asked: Asked) -> Any:
    return asked.connection.execute(select(system_health)).mappings().one()


def _attention(asked: Asked) -> list[Matter]:
    spool = spool_state(spool_directory(asked.server.settings.home))
    return matters(asked.connection, asked.tenant_id, spool)


def _projections(asked: Asked) -> list[ProjectionState]:
    return read_states(asked.connection, list(PROJECTIONS.values()))


def _rate(asked: Asked) -> Rate:
    """Count the events of each minute; the BRIN index of times finds them in a long log."""
    log = event_logs.c
    minute = cast(func.extract("epoch", func.date_trunc("minute", log.recorded_at)), Integer)
    now = cast(func.extract("epoch", func.date_trunc("minute", func.now())), Integer)
    query = (
        select(minute.label("minute"), func.count().label("events"), now.label("now"))
        .where(
            text("event_logs.id + 0 > 0"),
            log.recorded_at
            >= select(func.now() - timedelta(minutes=RATE_MINUTES)).scalar_subquery(),
            log.tenant_id == asked.tenant_id,
        )
        .group_by(literal_column("1"))
    )
    rows = asked.connection.execute(query).all()
    counted = {row.minute: row.events for row in rows}
    if not rows:
        return Rate([], [])
    last = rows[0].now
    times = list(range(last - 60 * (RATE_MINUTES - 1), last + 60, 60))
    return Rate(times, [counted.get(each, 0) for each in times])


def _failures(asked: Asked) -> list[Any]:
    """Count what ended without a result that counts, by status and type of error."""
    c = calculations.c
    query = (
        select(
            c.status,
            c.error_type,
            func.count().label("count"),
            func.max(c.completed_at).label("last"),
        )
        .where(
            c.tenant_id == asked.tenant_id,
            c.status.in_(sorted(WITHOUT_RESULT)),
            c.completed_at >= func.now() - FAILURES_SINCE,
        )
        .group_by(c.status, c.error_type)
        .order_by(func.count().desc(), c.status, c.error_type)
    )
    return list(asked.connection.execute(query))


OVERVIEW = Page(
    path="/",
    title="Overview",
    panels=(
        Panel(
            name="health",
            title="Now",
            read=_health,
            template="overview/health.html",
            live=("*",),
        ),
        Panel(
            name="attention",
            title="What needs attention",
            read=_attention,
            template="overview/attention.html",
            live=(*_CALCULATIONS, *_BATCHES, "spool_reported"),
        ),
        Panel(
            name="rate",
            title=f"Events a minute, last {RATE_MINUTES} minutes",
            read=_rate,
            template="overview/rate.html",
            live=("*",),
            reads_log=True,
        ),
        Panel(
            name="failures",
            title="Failures of the last 24 hours, by end time",
            read=_failures,
            template="overview/failures.html",
            live=_CALCULATIONS,
        ),
        Panel(
            name="projections",
            title="Lag of the tables",
            read=_projections,
            template="overview/projections.html",
            live=("*",),
            reads_log=True,
        ),
    ),
)
