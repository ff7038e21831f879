"""From what was gathered per key to rows: each column's final value."""

from dataclasses import dataclass
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
from sqlalchemy.types import TypeEngine

from projections.compiler.expressions import (
    constant_of,
    event_column,
    from_json,
    has_field,
    may_be_absent,
)
from projections.compiler.grouping import carried_name, gathered_per_key, is_picked, tally_of
from projections.compiler.live import live_events
from projections.compiler.shape import Shape
from projections.fold import Operation
from projections.projection import ColumnFold
from projections.value import Constant, Element, Payload, Value

Fields = dict[tuple[str, str], ColumnElement[Any]]
"""A field of a merged payload, by the payload's column and the field's name."""


@dataclass(frozen=True)
class _Gathered:
    """What was gathered per key, and the fields of its payloads."""

    shape: Shape
    per_key: FromClause
    fields: Fields


def folded_rows(shape: Shape) -> Select[Any]:
    """The rows that the live events give, columns in table order."""
    live = live_events(shape)
    per_key = gathered_per_key(shape, live)
    origin: FromClause = per_key
    if shape.onto_table:
        origin = per_key.outerjoin(shape.table, shape.same_key(per_key, shape.table))
    origin, fields = _with_fields(shape, origin, per_key)
    gathered = _Gathered(shape, per_key, fields)
    given: dict[str, ColumnElement[Any]] = {name: per_key.c[name] for name in shape.keys}
    for fold in shape.projection.folds:
        given[fold.column.name] = _final(gathered, fold)
    given["created_at"] = _merged(shape, func.least, "created_at", per_key.c.earliest)
    given["updated_at"] = _merged(shape, func.greatest, "updated_at", per_key.c.latest)
    given["last_position"] = per_key.c.last_position
    query = select(*(value.label(name) for name, value in given.items())).select_from(origin)
    for fold in shape.projection.folds:
        if fold.operation is Operation.TALLY:
            tally = tally_of(shape, live, fold)
            query = query.outerjoin(tally, shape.same_key(per_key, tally))
    return query


def _with_fields(
    shape: Shape, origin: FromClause, per_key: FromClause
) -> tuple[FromClause, Fields]:
    """Join the fields of each merged payload, all taken out by one call of jsonb_to_record."""
    fields: Fields = {}
    for index, event_type in enumerate(shape.types):
        types: dict[str, TypeEngine[Any]] = {}
        for fold in shape.projection.folds:
            value = fold.values.get(event_type)
            if (
                fold.operation is Operation.LAST
                and not is_picked(fold)
                and isinstance(value, Payload)
            ):
                types.setdefault(value.name, fold.column.type)
        if not types:
            continue
        payload = f"t{index}_payload"
        record = (
            func.jsonb_to_record(per_key.c[payload])
            .table_valued(*(column(name, type_) for name, type_ in types.items()))
            .render_derived(name=f"{payload}_fields", with_types=True)
        )
        origin = origin.outerjoin(record, true())
        for name in types:
            fields[payload, name] = record.c[name]
    return origin, fields


def _final(gathered: _Gathered, fold: ColumnFold) -> ColumnElement[Any]:
    """A column's value after the events."""
    shape, per_key = gathered.shape, gathered.per_key
    column = fold.column
    old: ColumnElement[Any] = (
        shape.table.c[column.name] if shape.onto_table else cast(null(), column.type)
    )
    part = per_key.c.get(f"{column.name}_part")
    match fold.operation:
        case Operation.COUNT | Operation.SUM:
            gained = func.coalesce(part, 0)
            return cast(func.coalesce(old, 0) + gained, column.type)
        case Operation.MIN | Operation.MAX:
            function = func.least if fold.operation is Operation.MIN else func.greatest
            assert part is not None
            return function(old, part) if shape.onto_table else part
        case Operation.TALLY:
            new = literal_column(f"{column.name}_tally.tally", JSONB)
            return func.merge_tallies(old, new, type_=JSONB)
        case Operation.FIRST:
            assert part is not None
            return func.coalesce(old, part) if shape.onto_table else part
        case Operation.LAST if is_picked(fold):
            at = per_key.c[f"{column.name}_at"]
            assert part is not None
            return case((at.is_not(None), part), else_=old)
        case Operation.LAST:
            return _latest(gathered, fold, old)


def _latest(gathered: _Gathered, fold: ColumnFold, old: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value of the event type that comes last, or else the old one."""
    shape, per_key = gathered.shape, gathered.per_key
    candidates = []
    for event_type, value in fold.values.items():
        prefix = f"t{shape.types.index(event_type)}_"
        at = per_key.c[prefix + "last_position"]
        if len(fold.values) > 1 and may_be_absent(value):
            at = per_key.c[f"{prefix}{fold.column.name}_at"]
        candidates.append((at, _of_key(gathered, value, fold, prefix), value))
    if len(candidates) > 1:
        chosen = func.greatest(*(at for at, _, _ in candidates))
        return case(*((chosen == at, taken) for at, taken, _ in candidates), else_=old)
    at, taken, source = candidates[0]
    if not shape.onto_table:
        # Absent and null are the same where nothing was before.
        return taken if not isinstance(source, Constant) else case((at.is_not(None), taken))
    if may_be_absent(source):
        payload = per_key.c[f"t{shape.types.index(next(iter(fold.values)))}_payload"]
        return case(
            (taken.is_not(None), taken),
            (has_field(payload, source.name), cast(null(), fold.column.type)),
            else_=old,
        )
    return case((at.is_not(None), taken), else_=old)


def _of_key(gathered: _Gathered, value: Value, fold: ColumnFold, prefix: str) -> ColumnElement[Any]:
    """A value as an expression over what was gathered per key."""
    type_, per_key = fold.column.type, gathered.per_key
    match value:
        case Payload(name):
            payload = prefix + "payload"
            field = gathered.fields[payload, name]
            if type(field.type) is type(type_):
                return field
            return from_json(per_key.c[payload], name, type_)
        case Element(part):
            return from_json(per_key.c[prefix + carried_name(event_column(value))], part, type_)
        case Constant(constant):
            return constant_of(constant, type_)
        case _:
            return per_key.c[prefix + carried_name(event_column(value))]


def _merged(shape: Shape, function: Any, name: str, new: ColumnElement[Any]) -> ColumnElement[Any]:
    merged: ColumnElement[Any] = function(shape.table.c[name], new) if shape.onto_table else new
    return merged
