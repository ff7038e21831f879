"""Two levels of grouping: per key and event type, where payloads are merged, then per key.

A lone payload is passed through untouched, and only merged payloads are taken apart later.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    FunctionElement,
    Label,
    Subquery,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.types import TypeEngine

from projections.compiler.expressions import (
    constant_of,
    event_column,
    first_item,
    from_json,
    has_field,
    may_be_absent,
)
from projections.compiler.shape import Shape
from projections.fold import Operation
from projections.projection import ColumnFold
from projections.value import Constant, Element, Payload, Value

_AGGREGATED = {Operation.COUNT, Operation.SUM, Operation.MIN, Operation.MAX}


def _per_type(shape: Shape, live: FromClause) -> Subquery:
    columns: list[Label[Any]] = [
        func.max(live.c["_position"]).label("last_position"),
        func.min(live.c["_occurred_at"]).label("earliest"),
        func.max(live.c["_occurred_at"]).label("latest"),
    ]
    if any(isinstance(value, Payload) for value in _taken(shape)):
        merged: ColumnElement[Any] = func.merge_payloads(
            aggregate_order_by(live.c["_data"], live.c["_position"]), type_=JSONB
        )
        columns.append(merged.label("payload"))
    for carried in _carried(shape):
        value = live.c[carried]
        array = func.array_agg(aggregate_order_by(value, live.c["_position"].desc()))
        columns.append(first_item(array, value.type).label(carried_name(carried)))
    for fold in shape.projection.folds:
        if fold.operation in _AGGREGATED:
            columns.append(_aggregate(fold, live).label(f"{fold.column.name}_part"))
        elif is_picked(fold):
            columns += _picked(fold, live)
        elif fold.operation is Operation.LAST:
            columns += _presence(fold, live)
    keys = [live.c[name] for name in shape.keys]
    # The tenant last: a sort compares what differs first.
    return (
        select(*keys, live.c["_event_type"], *columns)
        .group_by(*reversed(keys), live.c["_event_type"])
        .subquery("per_type")
    )


def is_picked(fold: ColumnFold) -> bool:
    """Whether a fold takes its value from the first or last event that counts, be it in between."""
    return fold.operation is Operation.FIRST or (
        fold.operation is Operation.LAST and bool(fold.where)
    )


def _taken(shape: Shape) -> list[Value]:
    """What is taken from the last event of a type, whatever it holds."""
    return [
        value
        for fold in shape.projection.folds
        if fold.operation is Operation.LAST and not is_picked(fold)
        for value in fold.values.values()
    ]


def _carried(shape: Shape) -> list[str]:
    """The columns of events whose last value, as a whole, is needed."""
    values = [value for value in _taken(shape) if not isinstance(value, Constant | Payload)]
    return list(dict.fromkeys(map(event_column, values)))


def _counts(fold: ColumnFold, event_type: str, live: FromClause) -> ColumnElement[bool]:
    """Whether an event of this type has what the fold's `where` asks for."""
    conditions = [live.c["_event_type"] == event_type]
    conditions += [
        live.c["_data"][name] == cast(literal(wanted, JSONB), JSONB)
        for name, wanted in fold.where.items()
    ]
    return and_(*conditions)


def _aggregate(fold: ColumnFold, live: FromClause) -> ColumnElement[Any]:
    counts = or_(*(_counts(fold, event_type, live) for event_type in fold.values))
    if fold.operation is Operation.COUNT:
        return func.count().filter(counts)
    value = _of_live(fold, live)
    return _combine(fold.operation, value, fold.column.type).filter(counts)


def _picked(fold: ColumnFold, live: FromClause) -> list[Label[Any]]:
    """The value of the first or last event that counts, and where that lies."""
    name, value = fold.column.name, _of_live(fold, live)
    counts = or_(
        *(
            and_(_counts(fold, event_type, live), _is_present(source, live))
            for event_type, source in fold.values.items()
        )
    )
    if fold.operation is Operation.FIRST:
        counts = and_(counts, value.is_not(None))
    at = _end_of(fold, live.c["_position"])
    array = func.array_agg(aggregate_order_by(value, _order_of(fold, live.c["_position"])))
    return [
        at.filter(counts).label(f"{name}_at"),
        first_item(array.filter(counts), fold.column.type).label(f"{name}_part"),
    ]


def _end_of(fold: ColumnFold, at: ColumnElement[Any]) -> FunctionElement[Any]:
    return func.min(at) if fold.operation is Operation.FIRST else func.max(at)


def _order_of(fold: ColumnFold, at: ColumnElement[Any]) -> ColumnElement[Any]:
    return at.asc() if fold.operation is Operation.FIRST else at.desc()


def _presence(fold: ColumnFold, live: FromClause) -> list[Label[Any]]:
    """Where the last event with a value lies, for folds whose types must be compared."""
    optional = {
        event_type: value for event_type, value in fold.values.items() if may_be_absent(value)
    }
    if len(fold.values) == 1 or not optional:
        return []
    present = or_(
        *(
            and_(live.c["_event_type"] == event_type, has_field(live.c["_data"], value.name))
            for event_type, value in optional.items()
        )
    )
    return [func.max(live.c["_position"]).filter(present).label(f"{fold.column.name}_at")]


def gathered_per_key(shape: Shape, live: FromClause) -> FromClause:
    """What each key's live events give: merged payloads and parts of aggregates, by event type."""
    per_type = _per_type(shape, live)
    keys = [per_type.c[name] for name in shape.keys]
    columns: list[Label[Any]] = [
        func.max(per_type.c.last_position).label("last_position"),
        func.min(per_type.c.earliest).label("earliest"),
        func.max(per_type.c.latest).label("latest"),
    ]
    carried = [
        column.name
        for column in per_type.c
        if column.name == "payload" or column.name.startswith("last_")
    ]
    for index, event_type in enumerate(shape.types):
        is_type = per_type.c["_event_type"] == event_type
        for name in carried:
            value = per_type.c[name]
            if name == "last_position":
                picked: ColumnElement[Any] = func.max(value).filter(is_type)
            elif name == "payload":
                picked = func.merge_payloads(value, type_=JSONB).filter(is_type)
            else:
                picked = first_item(func.array_agg(value).filter(is_type), value.type)
            columns.append(picked.label(f"t{index}_{name}"))
    for fold in shape.projection.folds:
        name = fold.column.name
        part = per_type.c.get(f"{name}_part")
        at = per_type.c.get(f"{name}_at")
        if fold.operation in _AGGREGATED and part is not None:
            combined = _combine(fold.operation, part, fold.column.type)
            columns.append(combined.label(f"{name}_part"))
        elif is_picked(fold) and part is not None and at is not None:
            array = func.array_agg(aggregate_order_by(part, _order_of(fold, at)))
            picked = first_item(array.filter(at.is_not(None)), fold.column.type)
            columns.append(picked.label(f"{name}_part"))
            columns.append(_end_of(fold, at).label(f"{name}_at"))
        elif at is not None:
            for index, event_type in enumerate(shape.types):
                if event_type in fold.values and may_be_absent(fold.values[event_type]):
                    latest = func.max(at).filter(per_type.c["_event_type"] == event_type)
                    columns.append(latest.label(f"t{index}_{name}_at"))
    return shape.named(select(*keys, *columns).group_by(*keys), "per_key")


def tally_of(shape: Shape, live: FromClause, fold: ColumnFold) -> Subquery:
    """How often each value came, per key."""
    keys = [live.c[name] for name in shape.keys]
    value = cast(_of_live(fold, live, Text()), Text)
    counts = or_(*(_counts(fold, event_type, live) for event_type in fold.values))
    counted = (
        select(*keys, value.label("value"), func.count().label("n"))
        .where(counts, value.is_not(None))
        .group_by(*keys, value)
        .subquery(f"{fold.column.name}_counted")
    )
    keys = [counted.c[name] for name in shape.keys]
    return (
        select(
            *keys,
            func.jsonb_object_agg(counted.c.value, counted.c.n, type_=JSONB).label("tally"),
        )
        .group_by(*keys)
        .subquery(f"{fold.column.name}_tally")
    )


def _combine(
    operation: Operation, value: ColumnElement[Any], type_: TypeEngine[Any]
) -> FunctionElement[Any]:
    """Values, or parts of them, in one: the least, the greatest, or the sum."""
    match operation:
        case Operation.MIN:
            return func.min(value, type_=type_)
        case Operation.MAX:
            return func.max(value, type_=type_)
        case _:
            return func.sum(value, type_=type_)


def carried_name(name: str) -> str:
    """The name under which the last value of a column is carried."""
    return f"last_of{name}"


def _of_live(
    fold: ColumnFold, live: FromClause, type_: TypeEngine[Any] | None = None
) -> ColumnElement[Any]:
    """A fold's value as an expression over live events."""
    column_type = type_ or fold.column.type
    expressions: dict[Value, ColumnElement[Any]] = {}
    for value in fold.values.values():
        match value:
            case Payload(name):
                expressions[value] = from_json(live.c["_data"], name, column_type)
            case Element(part):
                expressions[value] = from_json(live.c["_element"], part, column_type)
            case Constant(constant):
                expressions[value] = constant_of(constant, column_type)
            case _:
                expressions[value] = live.c[event_column(value)]
    if len(expressions) == 1:
        return next(iter(expressions.values()))
    return case(
        *(
            (live.c["_event_type"] == name, expressions[value])
            for name, value in fold.values.items()
        )
    )


def _is_present(value: Value, live: FromClause) -> ColumnElement[bool]:
    if may_be_absent(value):
        return has_field(live.c["_data"], value.name)
    return true()
