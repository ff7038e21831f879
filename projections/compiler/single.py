"""Rows of projections with one row per event, without grouping."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Text, case, or_, select
from sqlalchemy.types import TypeEngine

from quantum_forge.projections.compiler.expressions import of_event
from quantum_forge.projections.compiler.log import in_range, key_of, logged_by
from quantum_forge.projections.compiler.retention import kept_of
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import Value


def single_rows(projection: Projection) -> Select[Any]:
    """What each event of the range says, as a row, unless retention leaves it out."""
    logged = logged_by(projection)
    given: dict[str, ColumnElement[Any]] = {"tenant_id": logged.c.tenant_id}
    given |= {name: key_of(projection, name, logged) for name in projection.key}
    for fold in projection.folds:
        given[str(fold.column.name)] = _one_of(projection, fold.values, fold.column.type, logged)
    given |= {"created_at": logged.c.occurred_at, "updated_at": logged.c.occurred_at}
    given["last_position"] = logged.c.id
    columns = (value.label(name) for name, value in given.items())
    query = select(*columns).where(*in_range(logged, list(projection.events)))
    for name in projection.key:
        if given[name] is not logged.c.id:
            query = query.where(given[name].is_not(None))
    for value, types in by_value(projection.only_with).items():
        there: ColumnElement[bool] = of_event(value, Text(), logged).is_not(None)
        if len(types) < len(projection.events):
            there = or_(logged.c.event_type.not_in(types), there)
        query = query.where(there)
    if projection.retained:
        kept, is_kept = kept_of(projection, logged)
        query = query.select_from(kept).where(is_kept)
    return query


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
