"""Calculations: filters in the address, facets, a histogram to brush, rows, exports of the same."""

from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Double, cast, func, literal_column, select, tuple_

from quantum_forge.moments import time_of
from quantum_forge.projections.queries.calculations import name_of
from quantum_forge.projections.queries.rows import sorted_by
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.web.dashboard.panels import Asked, Page, Panel, address, address_of

PATH = "/calculations"
ROWS = 50
"""Of a page."""

BINS = 40
"""Of a histogram."""

UNITS = {"gap": "eV", "energy": "Eh"}

LIVE = (
    "calculation_requested",
    "calculation_started",
    "calculation_completed",
    "calculation_failed",
    "calculation_lost",
    "calculation_invalidated",
    "calculation_restored",
)
"""Events that change what is shown of a calculation."""


class CalculationsQuery(msgspec.Struct, frozen=True):
    """Conditions on calculations. gap in eV, energy in Eh; ended_since: a time, or such as 24h."""

    status: list[str] = []
    error_type: str | None = None
    method: str | None = None
    batch_id: UUID | None = None
    molecule_id: UUID | None = None
    ended_since: str | None = None
    gap_from: float | None = None
    gap_to: float | None = None
    energy_from: float | None = None
    energy_to: float | None = None
    by: Literal["gap", "energy"] = "gap"
    sort: Literal["started_at", "gap", "energy", "execution_time_seconds"] = "started_at"
    ascending: bool = False
    page: int = 1


class Bin(msgspec.Struct, frozen=True):
    """A bar of a histogram: from `low` to `high`, the latter not included but in the last."""

    low: float
    high: float
    count: int


class Histogram(msgspec.Struct, frozen=True):
    """Bars of equal width. column: gap or energy."""

    column: str
    unit: str
    bins: list[Bin]

    @property
    def lows(self) -> list[float]:
        """Where the bars begin."""
        return [each.low for each in self.bins]

    @property
    def counts(self) -> list[int]:
        """Their heights."""
        return [each.count for each in self.bins]


class Listed(msgspec.Struct, frozen=True):
    """Rows of a page. query: of the page."""

    query: CalculationsQuery
    rows: list[Any]
    has_more: bool

    @property
    def export(self) -> dict[str, Any]:
        """The filters of the REST dialect for the rows of all pages, in the same order."""
        return rest_filters(self.query)

    @property
    def dataset(self) -> str:
        """The page of the data set of these conditions: SDF and the like, with atoms."""
        query = self.query
        where = [] if query.method is None else [f"method={query.method}"]
        for name in UNITS:
            for operator, end in ((">=", "from"), ("<=", "to")):
                if (value := getattr(query, f"{name}_{end}")) is not None:
                    where.append(f"{name}{operator}{value!r}")
        if query.molecule_id is not None:
            where.append(f"molecule_id={query.molecule_id}")
        return address("/datasets", where=where, batch_id=query.batch_id, format="sdf")

    def link(self, **changes: Any) -> str:
        """Return the address of the page with some parameters changed."""
        return link(self.query, **changes)


def link(query: CalculationsQuery, **changes: Any) -> str:
    """Return the address of the page with some parameters changed; the first page unless given."""
    return address_of(PATH, query, **{"page": None, **changes})


def in_ranges(query: msgspec.Struct) -> list[ColumnElement[bool]]:
    """Return the conditions that gap and energy are within the bounds of a query, both included."""
    found: list[ColumnElement[bool]] = []
    for name in UNITS:
        column = calculations.c[name]
        if (low := getattr(query, f"{name}_from")) is not None:
            found.append(column >= low)
        if (high := getattr(query, f"{name}_to")) is not None:
            found.append(column <= high)
    return found


def conditions(tenant_id: UUID | None, query: CalculationsQuery) -> list[ColumnElement[bool]]:
    """Return the conditions of a query, which an index serves together with the tenant."""
    c = calculations.c
    found: list[ColumnElement[bool]] = [c.tenant_id == tenant_id]
    if query.status:
        found.append(c.status.in_(query.status))
    for column, value in (
        (c.error_type, query.error_type),
        (c.method, query.method),
        (c.batch_id, query.batch_id),
        (c.molecule_id, query.molecule_id),
    ):
        if value is not None:
            found.append(column == value)
    if (since := _since(query)) is not None:
        found.append(c.completed_at >= since)
    return [*found, *in_ranges(query)]


def rest_filters(query: CalculationsQuery) -> dict[str, Any]:
    """Return the same conditions in the dialect of `/rest/v1`."""
    given: dict[str, Any] = {}
    if query.status:
        given["status"] = f"in.({','.join(_quoted(each) for each in query.status)})"
    for name in ("error_type", "method", "batch_id", "molecule_id"):
        if (value := getattr(query, name)) is not None:
            given[name] = f"eq.{value}"
    if (since := _since(query)) is not None:
        given["completed_at"] = f"gte.{since.isoformat()}"
    for name in UNITS:
        ends = {"gte": getattr(query, f"{name}_from"), "lte": getattr(query, f"{name}_to")}
        written = [f"{operator}.{value!r}" for operator, value in ends.items() if value is not None]
        if written:
            given[name] = written
    order = f"{query.sort}.{'asc' if query.ascending else 'desc'}"
    return {**given, "order": f"{order},id.{'asc' if query.ascending else 'desc'}"}


def histogram(asked: Asked, where: list[ColumnElement[bool]], by: str) -> Histogram:
    """Count calculations by bars of equal width, in one statement."""
    value = cast(calculations.c[by], Double)
    found = select(value.label("value")).where(*where, value.is_not(None)).cte("found")
    low = func.min(found.c.value)
    bounds = select(
        low.label("low"),
        func.greatest(func.max(found.c.value), low + 1e-6 * (1 + func.abs(low))).label("high"),
    ).cte("bounds")
    place = func.least(func.width_bucket(found.c.value, bounds.c.low, bounds.c.high, BINS), BINS)
    query = (
        select(place.label("place"), func.count().label("height"), bounds.c.low, bounds.c.high)
        .select_from(found.join(bounds, literal_column("true")))
        .group_by(literal_column("1"), bounds.c.low, bounds.c.high)
    )
    rows = asked.connection.execute(query).all()
    if not rows:
        return Histogram(by, UNITS[by], [])
    first, last = rows[0].low, rows[0].high
    width = (last - first) / BINS
    counted = {row.place: row.height for row in rows}
    bins = [
        Bin(first + width * (n - 1), first + width * n, counted.get(n, 0))
        for n in range(1, BINS + 1)
    ]
    return Histogram(by, UNITS[by], bins)


def _facets(asked: Asked) -> Any:
    """Count by status, method and type of error, in one statement."""
    c = calculations.c
    sets = func.grouping_sets(tuple_(c.status), tuple_(c.method), tuple_(c.error_type))
    query = (
        select(
            func.grouping(c.status, c.method, c.error_type).label("kind"),
            func.coalesce(c.status, c.method, c.error_type).label("value"),
            func.count().label("count"),
        )
        .where(*conditions(asked.tenant_id, asked.query))
        .group_by(sets)
        .order_by(literal_column("1"), literal_column("3").desc(), literal_column("2"))
    )
    names = {3: "status", 5: "method", 6: "error_type"}  # a bit is set where it is not grouped by
    found: dict[str, list[Any]] = {name: [] for name in names.values()}
    for row in asked.connection.execute(query):
        if row.value is not None:
            found[names[row.kind]].append(row)
    return {"query": asked.query, "groups": found, "link": link}


def _histogram(asked: Asked) -> Any:
    query: CalculationsQuery = asked.query
    where = [*conditions(asked.tenant_id, query), calculations.c.status == "completed"]
    return {
        "histogram": histogram(asked, where, query.by),
        "link": link,
        "bar": partial(link, query, status="completed"),
        "query": query,
    }


def _rows(asked: Asked) -> Listed:
    query: CalculationsQuery = asked.query
    c = calculations.c
    by = c[query.sort]
    where = conditions(asked.tenant_id, query)
    order = sorted_by(by, c.id, not query.ascending)
    found = (
        select(calculations)
        .where(*where)
        .order_by(order[0].nulls_last(), *order[1:])
        .limit(ROWS + 1)
        .offset((max(1, query.page) - 1) * ROWS)
        .subquery()
    )
    order = sorted_by(found.c[by.name], found.c.id, not query.ascending)
    statement = (
        select(
            found,
            molecules.c.smiles,
            molecules.c.formula,
            name_of(asked.tenant_id, found).label("name"),
        )
        .join_from(
            found,
            molecules,
            (molecules.c.tenant_id == found.c.tenant_id) & (molecules.c.id == found.c.molecule_id),
            isouter=True,
        )
        .order_by(order[0].nulls_last(), *order[1:])
    )
    rows = list(asked.connection.execute(statement))
    return Listed(query, rows[:ROWS], len(rows) > ROWS)


def _since(query: CalculationsQuery) -> datetime | None:
    return time_of(query.ended_since)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


CALCULATIONS = Page(
    path=PATH,
    title="Calculations",
    query=CalculationsQuery,
    template="calculations/page.html",
    panels=(
        Panel(
            name="facets",
            title="Which",
            read=_facets,
            template="calculations/facets.html",
            live=LIVE,
        ),
        Panel(
            name="histogram",
            title="Distribution",
            read=_histogram,
            template="calculations/histogram.html",
        ),
        Panel(
            name="rows",
            title="Calculations",
            read=_rows,
            template="calculations/rows.html",
            live=LIVE,
        ),
    ),
)
