"""Rows of projections with one row per event, without grouping."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Text, and_, case, cast, null, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from quantum_forge.projections.compiler.expressions import of_event
from quantum_forge.projections.compiler.log import in_range, key_of, logged_by
from quantum_forge.projections.compiler.retention import kept_of
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import Value


def single_rows(projection: Projection, *, composed: bool = False) -> Select[Any]:
    """What each event of the range says, as a row, unless retention leaves it out.

    composed: to stand in another query, whose conditions and joins PostgreSQL may evaluate before
    it knows whether an event gives a row.
    """
    events = _giving_rows(projection, composed)
    given: dict[str, ColumnElement[Any]] = {"tenant_id": events.c.tenant_id}
    given |= {name: key_of(projection, name, events) for name in projection.key}
    for fold in projection.folds:
        given[str(fold.column.name)] = _one_of(projection, fold.values, fold.column.type, events)
    given |= {"created_at": events.c.occurred_at, "updated_at": events.c.occurred_at}
    given["last_position"] = events.c.id
    query = select(*(value.label(name) for name, value in given.items()))
    for name in projection.key:
        if given[name] is not events.c.id:
            query = query.where(given[name].is_not(None))
    return query


def _giving_rows(projection: Projection, composed: bool) -> FromClause:
    """The events of the range that give a row, if their key is known."""
    logged = logged_by(projection)
    origin: FromClause = logged
    conditions = list(in_range(logged, list(projection.events)))
    for value, types in by_value(projection.only_with).items():
        there: ColumnElement[bool] = of_event(value, Text(), logged).is_not(None)
        if len(types) < len(projection.events):
            there = or_(logged.c.event_type.not_in(types), there)
        conditions.append(there)
    if projection.retained:
        origin, is_kept = kept_of(projection, logged)
        conditions.append(is_kept)
    columns = {str(column.name): column for column in logged.c}
    if composed:
        # Of an event that gives no row, the payload may be one that no column takes.
        guarded = case((and_(*conditions), logged.c.data), else_=cast(null(), JSONB))
        columns["data"] = guarded.label("data")
    return select(*columns.values()).select_from(origin).where(*conditions).subquery("counted")


def by_value(values: Mapping[str, Value]) -> dict[Value, list[str]]:
    """The event types that take the same value, together."""
    types: dict[Value, list[str]] = {}
    for event_type, value in values.items():
        types.setdefault(value, []).append(event_type)
    return types


def _one_of(
    projection: Projection,
    values: Mapping[str, Value],
    type_: TypeEngine[Any],
    source: FromClause,
) -> ColumnElement[Any]:
    """The value that an event of each type has; null for types that have none."""
    groups = by_value(values)
    if len(groups) == 1 and len(values) == len(projection.events):
        return of_event(next(iter(groups)), type_, source)
    return case(
        *(
            (source.c.event_type.in_(types), of_event(value, type_, source))
            for value, types in groups.items()
        )
    )
