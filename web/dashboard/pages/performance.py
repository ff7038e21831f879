"""Wall times by method, size and version over time, with the regressions found."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from quantum_forge.moments import time_of
from quantum_forge.projections.queries.regressions import (
    Bucket,
    By,
    Point,
    points,
    select_wall_times,
)
from quantum_forge.web.dashboard.panels import Asked, Page, Panel

REGRESSION = 0.2
"""Share by which an average grew from one period to the next that counts as a regression."""


class PerformanceQuery(msgspec.Struct, frozen=True):
    """What is averaged. since, until: a time, or how long ago, such as 30d."""

    by: Literal["method", "size", "version"] = "method"
    per: Literal["hour", "day"] = "day"
    since: str | None = None
    until: str | None = None


class WallTimes(msgspec.Struct, frozen=True):
    """Averages by group. times: of all groups, in s since 1970; values: by group, null for none."""

    points: list[Point]
    times: list[int]
    values: dict[str, list[float | None]]

    @property
    def series(self) -> list[dict[str, Any]]:
        """The groups as the chart takes them."""
        return [{"label": name or "all", "values": each} for name, each in self.values.items()]


def _read(asked: Asked) -> list[Point]:
    query: PerformanceQuery = asked.query
    statement = select_wall_times(
        asked.tenant_id,
        bucket=Bucket(query.per),
        by=By(query.by),
        since=time_of(query.since),
        until=time_of(query.until),
    )
    return points(asked.connection, statement)


def _wall_times(asked: Asked) -> WallTimes:
    found = _read(asked)
    times = sorted({point.time for point in found})
    place = {time: index for index, time in enumerate(times)}
    values: dict[str, list[float | None]] = {}
    for point in found:
        group = values.setdefault(point.group, [None] * len(times))
        group[place[point.time]] = point.average
    return WallTimes(found, [_seconds(time) for time in times], values)


def _regressions(asked: Asked) -> list[Point]:
    found = [each for each in _read(asked) if each.change is not None and each.change > REGRESSION]
    return sorted(found, key=lambda point: point.change or 0, reverse=True)


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


PERFORMANCE = Page(
    path="/performance",
    title="Performance",
    query=PerformanceQuery,
    template="performance/page.html",
    panels=(
        Panel(
            name="regressions",
            title="Regressions: averages that grew by more than 20 %",
            read=_regressions,
            template="performance/regressions.html",
            live=("calculation_completed",),
        ),
        Panel(
            name="times",
            title="Average wall time of completed calculations",
            read=_wall_times,
            template="performance/times.html",
            live=("calculation_completed",),
        ),
    ),
)
