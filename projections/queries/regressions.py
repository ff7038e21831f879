"""Wall times of calculations and metrics over time, to find regressions."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    case,
    func,
    literal,
    literal_column,
    select,
)

from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.telemetry import performance_metrics_hourly


class Bucket(StrEnum):
    """Over what is averaged, in UTC."""

    HOUR = "hour"
    DAY = "day"


class By(StrEnum):
    """What calculations are told apart by."""

    METHOD = "method"
    SIZE = "size"
    VERSION = "version"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One average. time: begin of the bucket. group: method, size or version, "" for all together.

    unit: of average, min and max. change: from the group's point before, as a share: 0.5 is half as
    much again.
    """

    time: datetime
    group: str
    count: int
    average: float
    min: float
    max: float
    unit: str
    change: float | None = None


SIZES = (10, 20, 50, 100, 200)
"""Largest numbers of atoms, hydrogens included, of the classes of size."""

_ATOMS: ColumnElement[int] = literal_column(
    "(SELECT sum(CAST(coalesce(nullif(part[2], ''), '1') AS integer))"
    " FROM regexp_matches(molecules.formula, '([A-Z][a-z]?)([0-9]*)', 'g') AS part)"
)
"""The atoms of a molecule, counted from its formula."""


def select_wall_times(
    tenant_id: UUID,
    *,
    bucket: Bucket = Bucket.DAY,
    by: By | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Select[Any]:
    """Average wall times in s of completed calculations, by the time at which they began."""
    c = calculations.c
    time = func.date_trunc(bucket.value, c.started_at, "UTC")
    group = _group(by)
    seconds = c.execution_time_seconds
    query = select(
        time.label("time"),
        group.label("group"),
        func.count().label("number"),
        func.avg(seconds).label("average"),
        func.min(seconds).label("min"),
        func.max(seconds).label("max"),
        literal("s", Text()).label("unit"),
    ).where(c.tenant_id == tenant_id, c.status == "completed", seconds.is_not(None))
    if by is By.SIZE:
        query = query.join_from(
            calculations,
            molecules,
            (molecules.c.tenant_id == c.tenant_id) & (molecules.c.id == c.molecule_id),
        )
    if since is not None:
        query = query.where(c.started_at >= since)
    if until is not None:
        query = query.where(c.started_at < until)
    return query.group_by(literal_column("1"), literal_column("2")).order_by(
        literal_column("1"), literal_column("2")
    )


def select_metric(
    tenant_id: UUID,
    name: str,
    *,
    bucket: Bucket = Bucket.HOUR,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Select[Any]:
    """A named metric over time, from its hourly table, in its own unit."""
    h = performance_metrics_hourly.c
    query = select(
        func.date_trunc(bucket.value, h.hour, "UTC").label("time"),
        literal("", Text()).label("group"),
        func.sum(h.count).label("number"),
        (func.sum(h.sum) / func.sum(h.count)).label("average"),
        func.min(h.min).label("min"),
        func.max(h.max).label("max"),
        func.coalesce(func.max(h.unit), "").label("unit"),
    ).where(h.tenant_id == tenant_id, h.metric_name == name)
    if since is not None:
        query = query.where(h.hour >= since)
    if until is not None:
        query = query.where(h.hour < until)
    return query.group_by(literal_column("1")).order_by(literal_column("1"))


def metric_names(connection: Connection, tenant_id: UUID) -> list[str]:
    """The metrics of which anything was measured."""
    h = performance_metrics_hourly.c
    query = select(h.metric_name).where(h.tenant_id == tenant_id).distinct()
    return list(connection.scalars(query.order_by(h.metric_name)))


def points(connection: Connection, query: Select[Any]) -> list[Point]:
    """The points of a query, in order of time, each with its change from its group's last one."""
    before: dict[str, float] = {}
    found = []
    for row in connection.execute(query):
        average = float(row.average)
        last = before.get(row.group)
        found.append(
            Point(
                time=row.time,
                group=row.group,
                count=int(row.number),
                average=average,
                min=float(row.min),
                max=float(row.max),
                unit=row.unit,
                change=average / last - 1 if last else None,
            )
        )
        before[row.group] = average
    return found


def _group(by: By | None) -> ColumnElement[str]:
    match by:
        case None:
            return literal("", Text())
        case By.METHOD:
            return func.coalesce(calculations.c.method, "")
        case By.VERSION:
            return func.concat_ws(" ", calculations.c.program, calculations.c.program_version)
        case By.SIZE:
            low = [1, *(high + 1 for high in SIZES)]
            names = [f"{a:>3}-{b} atoms" for a, b in zip(low, SIZES, strict=False)]
            classes = [
                (high >= _ATOMS, literal(name, Text()))
                for high, name in zip(SIZES, names, strict=True)
            ]
            return case(*classes, else_=literal(f"{low[-1]:>3}- atoms", Text()))


class Slowdown(msgspec.Struct, frozen=True, kw_only=True):
    """Calculations of one kind that took longer on a day than on the days before.

    kind: method, optimisation and size. average, average_before: wall time in s. versions: programs
    and versions on the day; versions_before: on the days before.
    """

    day: date
    kind: str
    count: int
    average: float
    count_before: int
    average_before: float
    versions: list[str]
    versions_before: list[str]


SLOWER = 1.5
"""How many times as long calculations of one kind have to take before it is called a slowdown: the
sizes of molecules within one class differ, and with them the averages."""

FEWEST = 20
"""Calculations on the day, and before, below which an average is not compared."""

DAYS_BEFORE = 7
"""Days that a day is compared with."""


def find_slowdowns(connection: Connection, tenant_id: UUID, day: date) -> list[Slowdown]:
    """Return the kinds of calculations that took longer on a day, in UTC, than the week before."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    c = calculations.c
    kind = func.concat_ws(
        ", ", c.method, "optimised " + c.optimization_level, func.trim(_group(By.SIZE))
    )
    is_day = c.started_at >= begin
    seconds = c.execution_time_seconds
    query = (
        select(
            kind.label("kind"),
            is_day.label("is_day"),
            func.count().label("number"),
            func.avg(seconds).label("average"),
            func.array_agg(_group(By.VERSION).distinct()).label("versions"),
        )
        .join_from(
            calculations,
            molecules,
            (molecules.c.tenant_id == c.tenant_id) & (molecules.c.id == c.molecule_id),
        )
        .where(
            c.tenant_id == tenant_id,
            c.status == "completed",
            seconds.is_not(None),
            c.started_at >= begin - timedelta(days=DAYS_BEFORE),
            c.started_at < begin + timedelta(days=1),
        )
        .group_by(literal_column("1"), literal_column("2"))
        .order_by(literal_column("1"), literal_column("2"))
    )
    before: dict[str, Any] = {}
    found = []
    for row in connection.execute(query):
        if not row.is_day:
            before[row.kind] = row
            continue
        earlier = before.get(row.kind)
        if earlier is None or min(row.number, earlier.number) < FEWEST:
            continue
        if row.average >= SLOWER * earlier.average:
            found.append(
                Slowdown(
                    day=day,
                    kind=row.kind,
                    count=row.number,
                    average=row.average,
                    count_before=earlier.number,
                    average_before=earlier.average,
                    versions=sorted(row.versions),
                    versions_before=sorted(earlier.versions),
                )
            )
    return found
