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
    first_item,
    from_json,
    has_field,
    may_be_absent,
)
from projections.compiler.shape import Shape
from projections.fold import Operation
from projections.projection import ColumnFold
from projections.value import Constant, Element, ElementIndex, Envelope, Payload, Value

_AGGREGATED = {Operation.COUNT, Operation.SUM, Operation.MIN, Operation.MAX}


def _per_type(shape: Shape, live: FromClause) -> Subquery:
    columns: list[Label[Any]] = [
        func.min(live.c.position).label("first_position"),
        func.max(live.c.position).label("last_position"),
        func.min(live.c.occurred_at).label("earliest"),
        func.max(live.c.occurred_at).label("latest"),
    ]
    for forward, name in ((True, "payload"), (False, "first_payload")):
        if any(isinstance(v, Payload) for v in _taken(shape, forward)):
            order = live.c.position if forward else live.c.position.desc()
            merged: ColumnElement[Any] = func.merge_payloads(
                aggregate_order_by(live.c.data, order), type_=JSONB
            )
            columns.append(merged.label(name))
        for carried in _carried(shape, forward):
            value = live.c[carried]
            order = live.c.position.desc() if forward else live.c.position
            array = func.array_agg(aggregate_order_by(value, order))
            columns.append(first_item(array, value.type).label(carried_name(forward, carried)))
    for fold in shape.projection.folds:
        if fold.operation in _AGGREGATED:
            columns.append(_aggregate(fold, live).label(f"{fold.column.name}_part"))
        elif fold.operation is Operation.LAST:
            columns += _presence(fold, live)
    keys = [live.c[name] for name in shape.keys]
    # The tenant last: a sort compares what differs first.
    return (
        select(*keys, live.c.event_type, *columns)
        .group_by(*reversed(keys), live.c.event_type)
        .subquery("per_type")
    )


def _taken(shape: Shape, forward: bool) -> list[Value]:
    wanted = Operation.LAST if forward else Operation.FIRST
    return [
        value
        for fold in shape.projection.folds
        if fold.operation is wanted and not fold.where
        for value in fold.values.values()
    ]


def _carried(shape: Shape, forward: bool) -> list[str]:
    """The columns of events whose last or first value, as a whole, is needed."""
    names = []
    for value in _taken(shape, forward):
        if isinstance(value, Constant | Payload):
            continue
        name = event_column(value)
        if name not in names:
            names.append(name)
    return names


def _counts(fold: ColumnFold, event_type: str, live: FromClause) -> ColumnElement[bool]:
    """Whether an event of this type has what the fold's `where` asks for."""
    conditions = [live.c.event_type == event_type]
    conditions += [
        live.c.data[name] == cast(literal(wanted, JSONB), JSONB)
        for name, wanted in fold.where.items()
    ]
    return and_(*conditions)


def _aggregate(fold: ColumnFold, live: FromClause) -> ColumnElement[Any]:
    counts = or_(*(_counts(fold, event_type, live) for event_type in fold.values))
    if fold.operation is Operation.COUNT:
        return func.count().filter(counts)
    value = _of_live(fold, live)
    return _combine(fold.operation, value, fold.column.type).filter(counts)


def _presence(fold: ColumnFold, live: FromClause) -> list[Label[Any]]:
    """Where the last event with a value lies, for folds whose types must be compared."""
    name = fold.column.name
    if fold.where:
        counts = or_(
            *(
                and_(_counts(fold, event_type, live), _is_present(value, live))
                for event_type, value in fold.values.items()
            )
        )
        array = func.array_agg(aggregate_order_by(_of_live(fold, live), live.c.position.desc()))
        return [
            func.max(live.c.position).filter(counts).label(f"{name}_at"),
            first_item(array.filter(counts), fold.column.type).label(f"{name}_part"),
        ]
    optional = {
        event_type: value for event_type, value in fold.values.items() if may_be_absent(value)
    }
    if len(fold.values) > 1 and optional:
        present = or_(
            *(
                and_(live.c.event_type == event_type, has_field(live.c.data, value.name))
                for event_type, value in optional.items()
            )
        )
        return [func.max(live.c.position).filter(present).label(f"{name}_at")]
    return []


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
        if column.name.startswith(("payload", "first_", "last_"))
    ]
    for index, event_type in enumerate(shape.types):
        is_type = per_type.c.event_type == event_type
        for name in carried:
            value = per_type.c[name]
            if name in ("first_position", "last_position"):
                picked: ColumnElement[Any] = func.max(value).filter(is_type)
            elif name in ("payload", "first_payload"):
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
        elif fold.where and part is not None and at is not None:
            array = func.array_agg(aggregate_order_by(part, at.desc())).filter(at.is_not(None))
            columns.append(first_item(array, fold.column.type).label(f"{name}_part"))
            columns.append(func.max(at).label(f"{name}_at"))
        elif at is not None:
            for index, event_type in enumerate(shape.types):
                if event_type in fold.values and may_be_absent(fold.values[event_type]):
                    latest = func.max(at).filter(per_type.c.event_type == event_type)
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


def event_column(value: Value) -> str:
    """The column of the events' CTE that holds a value as a whole."""
    match value:
        case Element():
            return "element"
        case ElementIndex():
            return "element_index"
        case Envelope("entity_id"):
            return "entity"
        case Envelope(name):
            return name
        case _:
            raise AssertionError(value)


def carried_name(forward: bool, name: str) -> str:
    """The name under which the last (or first) value of a column is carried."""
    return f"last_of_{name}" if forward else f"first_of_{name}"


def _of_live(
    fold: ColumnFold, live: FromClause, type_: TypeEngine[Any] | None = None
) -> ColumnElement[Any]:
    """A fold's value as an expression over live events."""
    column_type = type_ or fold.column.type
    expressions: dict[Value, ColumnElement[Any]] = {}
    for value in fold.values.values():
        match value:
            case Payload(name):
                expressions[value] = from_json(live.c.data, name, column_type)
            case Element(part):
                expressions[value] = from_json(live.c.element, part, column_type)
            case Constant(constant):
                expressions[value] = constant_of(constant, column_type)
            case _:
                expressions[value] = live.c[event_column(value)]
    if len(expressions) == 1:
        return next(iter(expressions.values()))
    return case(
        *((live.c.event_type == name, expressions[value]) for name, value in fold.values.items())
    )


def _is_present(value: Value, live: FromClause) -> ColumnElement[bool]:
    if may_be_absent(value):
        return has_field(live.c.data, value.name)
    return true()
