"""Groups of events by key: merged facts, counts, sums, firsts and lasts."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    FunctionElement,
    Label,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.types import TypeEngine

from quantum_forge.projections.compiler.expressions import (
    constant_of,
    event_column,
    first_item,
    from_json,
    has_field,
    last_item,
    may_be_absent,
)
from quantum_forge.projections.compiler.facts import is_fact
from quantum_forge.projections.compiler.log import in_order
from quantum_forge.projections.compiler.shape import Shape
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import ColumnFold
from quantum_forge.schema.language.value import Constant, Element, Payload, Value

_AGGREGATED = {Operation.COUNT, Operation.SUM, Operation.MIN, Operation.MAX}


def gathered_per_key(shape: Shape, live: FromClause) -> Select[Any]:
    """What each key's live events give: merged facts, and for the other columns a value each."""
    at = live.c["_position"]
    columns: list[Label[Any]] = [
        func.max(at).label("last_position"),
        func.min(live.c["_occurred_at"]).label("earliest"),
        func.max(live.c["_occurred_at"]).label("latest"),
    ]
    if "_facts" in live.c:
        facts = aggregate_order_by(live.c["_facts"], *in_order(shape.projection, live))
        merged = func.merge_payloads(facts, type_=JSONB)
        columns.append(merged.label("facts"))
    for fold in shape.projection.folds:
        if fold.operation in _AGGREGATED:
            columns.append(_aggregate(fold, live).label(f"{fold.column.name}_part"))
        elif is_picked(fold):
            columns += _picked(shape, fold, live)
    keys = [live.c[name] for name in shape.keys]
    # The tenant last: a sort compares what differs first.
    return select(*keys, *columns).group_by(*reversed(keys))


def is_picked(fold: ColumnFold) -> bool:
    """Whether a column is the value of one event, the first or last that counts."""
    return fold.operation in (Operation.FIRST, Operation.LAST) and not is_fact(fold)


def _counts(fold: ColumnFold, live: FromClause) -> ColumnElement[bool]:
    """Whether an event is of the fold's types and has what its `where` asks for."""
    conditions: list[ColumnElement[bool]] = [live.c["_event_type"].in_(list(fold.values))]
    conditions += [
        live.c["_data"][name] == cast(literal(wanted, JSONB), JSONB)
        for name, wanted in fold.where.items()
    ]
    return and_(*conditions)


def _aggregate(fold: ColumnFold, live: FromClause) -> ColumnElement[Any]:
    counts = _counts(fold, live)
    if fold.operation is Operation.COUNT:
        return func.count().filter(counts)
    return _combine(fold, _of_live(fold, live)).filter(counts)


def _picked(shape: Shape, fold: ColumnFold, live: FromClause) -> list[Label[Any]]:
    """The value of the first event that counts; or of the last, which may be null, and where."""
    name, value, at = fold.column.name, _of_live(fold, live), live.c["_position"]
    counts = and_(_counts(fold, live), *_presence(fold, live))
    is_first = fold.operation is Operation.FIRST
    if is_first:
        counts = and_(counts, value.is_not(None))
    # All in one order, so that they are sorted once.
    sorted_ = aggregate_order_by(value, *in_order(shape.projection, live))
    array: ColumnElement[Any] = func.array_agg(sorted_).filter(counts)
    item = first_item if is_first else last_item
    part = item(array, fold.column.type).label(f"{name}_part")
    return [part] if is_first else [part, func.max(at).filter(counts).label(f"{name}_at")]


def _presence(fold: ColumnFold, live: FromClause) -> list[ColumnElement[bool]]:
    """That an event has the field that it may lack."""
    return [
        or_(live.c["_event_type"] != event_type, has_field(live.c["_data"], value.name))
        for event_type, value in fold.values.items()
        if may_be_absent(value)
    ]


def counted_values(shape: Shape, live: FromClause, fold: ColumnFold) -> Select[Any]:
    """The count of each value, a row per key and value."""
    keys = [live.c[name] for name in shape.keys]
    value = cast(_of_live(fold, live, Text()), Text)
    return (
        select(*keys, value.label("value"), func.count().label("n"))
        .where(_counts(fold, live), value.is_not(None))
        .group_by(*keys, value)
    )


def tally_of(shape: Shape, counted: FromClause) -> Select[Any]:
    """The count of each value, as one document per key."""
    keys = [counted.c[name] for name in shape.keys]
    tally = func.jsonb_object_agg(counted.c.value, counted.c.n, type_=JSONB)
    return select(*keys, tally.label("tally")).group_by(*keys)


def _combine(fold: ColumnFold, value: ColumnElement[Any]) -> FunctionElement[Any]:
    """Values in one: the least, the greatest, or the sum."""
    match fold.operation:
        case Operation.MIN:
            return func.min(value, type_=fold.column.type)
        case Operation.MAX:
            return func.max(value, type_=fold.column.type)
        case _:
            return func.sum(value, type_=fold.column.type)


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
