"""From what was gathered per key to rows: each column's final value."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    case,
    cast,
    column,
    func,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.projections.compiler.expressions import has_field
from quantum_forge.projections.compiler.facts import names_in_facts
from quantum_forge.projections.compiler.grouping import counted_values, gathered_per_key, tally_of
from quantum_forge.projections.compiler.live import columns_of, live_events
from quantum_forge.projections.compiler.shape import Shape
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import ColumnFold


def folded_rows(shape: Shape) -> Select[Any]:
    """The rows that the live events give, columns in table order."""
    whole = live_events(shape)
    live = live_events(shape, columns_of(whole, _gathering(shape, whole)))
    per_key = shape.named(gathered_per_key(shape, live), "per_key")
    origin: FromClause = per_key
    if shape.onto_table:
        origin = per_key.outerjoin(shape.table, shape.same_key(per_key, shape.table))
    latest: FromClause | None = None
    if names := names_in_facts(shape.projection):
        # All taken out at once.
        types = [shape.table.c[name].type for name in names]
        latest = (
            func.jsonb_to_record(per_key.c.facts)
            .table_valued(*map(column, names.values(), types))
            .render_derived(name="latest", with_types=True)
        )
        origin = origin.outerjoin(latest, true())
    given: dict[str, ColumnElement[Any]] = {name: per_key.c[name] for name in shape.keys}
    for fold in shape.projection.folds:
        name = fold.column.name
        if latest is not None and name in names:
            given[name] = _from_facts(shape, fold, per_key, names[name], latest.c[names[name]])
        else:
            given[name] = _final(shape, fold, per_key)
    given["created_at"] = _merged(shape, func.least, "created_at", per_key.c.earliest)
    given["updated_at"] = _merged(shape, func.greatest, "updated_at", per_key.c.latest)
    given["last_position"] = per_key.c.last_position
    query = select(*(value.label(name) for name, value in given.items())).select_from(origin)
    for fold in shape.projection.folds:
        if fold.operation is Operation.TALLY:
            counted = shape.named(counted_values(shape, live, fold), f"{fold.column.name}_counted")
            tally = shape.named(tally_of(shape, counted), f"{fold.column.name}_tally")
            query = query.outerjoin(tally, shape.same_key(per_key, tally))
    return query


def _gathering(shape: Shape, live: FromClause) -> list[Select[Any]]:
    """The queries that read live events."""
    tallies = [fold for fold in shape.projection.folds if fold.operation is Operation.TALLY]
    counted = (counted_values(shape, live, fold) for fold in tallies)
    return [gathered_per_key(shape, live), *counted]


def _from_facts(
    shape: Shape, fold: ColumnFold, per_key: FromClause, name: str, value: ColumnElement[Any]
) -> ColumnElement[Any]:
    """What the facts tell of a column, or else its old value."""
    if not shape.onto_table:
        return value
    old = shape.table.c[fold.column.name]
    return case((has_field(per_key.c.facts, name), value), else_=old)


def _final(shape: Shape, fold: ColumnFold, per_key: FromClause) -> ColumnElement[Any]:
    """A column's value after the events, where facts do not tell it."""
    name = fold.column.name
    old: ColumnElement[Any] = (
        shape.table.c[name] if shape.onto_table else cast(null(), fold.column.type)
    )
    if fold.operation is Operation.TALLY:
        new = literal_column(f"{name}_tally.tally", JSONB)
        return func.merge_tallies(old, new, type_=JSONB)
    part: ColumnElement[Any] = per_key.c[f"{name}_part"]
    match fold.operation:
        case Operation.COUNT | Operation.SUM:
            return cast(func.coalesce(old, 0) + func.coalesce(part, 0), fold.column.type)
        case Operation.MIN:
            return func.least(old, part, type_=part.type)
        case Operation.MAX:
            return func.greatest(old, part, type_=part.type)
        case Operation.FIRST:
            return func.coalesce(old, part)
        case _:
            return case((per_key.c[f"{name}_at"].is_not(None), part), else_=old)


def _merged(shape: Shape, function: Any, name: str, new: ColumnElement[Any]) -> ColumnElement[Any]:
    merged: ColumnElement[Any] = function(shape.table.c[name], new) if shape.onto_table else new
    return merged
