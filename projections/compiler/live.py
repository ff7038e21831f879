"""The events of a range that count: keyed, spread over list elements, without ended lives."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Label,
    Select,
    Text,
    case,
    cast,
    func,
    null,
    or_,
    over,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import INTEGER, JSONB
from sqlalchemy.types import TypeEngine

from quantum_forge.projections.compiler.expressions import (
    elements_of,
    event_column,
    json_by_type,
    of_event,
    without,
)
from quantum_forge.projections.compiler.facts import facts_of, is_told, names_in_facts
from quantum_forge.projections.compiler.log import (
    in_order,
    in_range,
    key_of,
    key_sources,
    logged_by,
)
from quantum_forge.projections.compiler.shape import Shape
from quantum_forge.projections.compiler.single import by_value
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import Envelope, FromMetadata, Payload, Truncated, Value
from quantum_forge.schema.language.value_types import lists_of

_UNREAD = ("version", "schema_version")


def _events(projection: Projection) -> FromClause:
    """The events of the range with their keys; each group finds them in a place of its own."""
    parts = [_keyed(projection, event_types) for event_types in key_sources(projection)]
    return (parts[0] if len(parts) == 1 else union_all(*parts)).subquery("events")


def _keyed(projection: Projection, event_types: list[str]) -> Select[Any]:
    raw = _raw(projection, event_types).subquery("raw")
    query = select(
        raw.c.id.label("_position"),
        raw.c.event_type.label("_event_type"),
        raw.c.occurred_at.label("_occurred_at"),
        raw.c.tenant_id,
        *(key_of(projection, name, raw, event_types).label(name) for name in projection.key),
        *_documents(projection, event_types, raw),
        raw.c.element.label("_element"),
        raw.c.element_index.label("_element_index"),
        *(
            _by_type(types, raw, of_event(value, type_, raw)).label(event_column(value))
            for value, (type_, types) in _wholes(projection).items()
        ),
    )
    for value, types in by_value(projection.only_with).items():
        there = of_event(value, Text(), raw).is_not(None)
        query = query.where(or_(raw.c.event_type.not_in(types), there))
    return query


def _raw(projection: Projection, event_types: list[str]) -> Select[Any]:
    """What is read of the log, a row per event or element."""
    logged = logged_by(projection)
    columns = {column.name: column for column in logged.c if column.name not in _UNREAD}
    origin: FromClause = logged
    element: ColumnElement[Any] = cast(null(), JSONB)
    index = cast(null(), INTEGER)
    if projection.elements is not None and projection.spreads(event_types[0]):
        elements = elements_of(logged, projection.elements.name)
        origin = logged.join(elements, true())
        element = type_coerce(elements.c.element, JSONB)
        index = cast(elements.c.ordinality - 1, INTEGER)
    if (short := _taken_out_once(projection, logged, event_types)) is not None:
        columns["data"] = short.c.data
        origin = origin.join(short, true())
    return (
        select(*columns.values(), element.label("element"), index.label("element_index"))
        .select_from(origin)
        .where(*in_range(logged, event_types))
    )


_ALWAYS_THERE = (Envelope("position"), Envelope("event_type"), Envelope("occurred_at"))


def _wholes(projection: Projection) -> dict[Value, tuple[TypeEngine[Any], list[str]]]:
    """What folds take of events beside payload and element, with its type, and from which."""
    wholes: dict[Value, tuple[TypeEngine[Any], list[str]]] = {}
    for fold in projection.folds:
        for event_type, value in fold.values.items():
            if isinstance(value, Envelope | FromMetadata | Truncated) and (
                value not in _ALWAYS_THERE and not is_told(fold)
            ):
                wholes.setdefault(value, (fold.column.type, []))[1].append(event_type)
    return wholes


def _by_type(
    types: list[str], raw: FromClause, expression: ColumnElement[Any]
) -> ColumnElement[Any]:
    """An expression for events of these types only: of others, it could be an error."""
    if isinstance(expression, Column):
        return expression
    return case((raw.c.event_type.in_(types), expression))


def _taken_out_once(
    projection: Projection, logged: FromClause, event_types: list[str]
) -> FromClause | None:
    """Payloads without long lists, where keys are looked up in them; None where they are not.

    A payload with long lists is compressed and stored apart. Taking it out again for each field
    would cost more than all the rest, and PostgreSQL would do so but for the OFFSET.
    """
    looked_up = [*projection.key.values(), projection.only_with]
    if not any(isinstance(value, Payload) for each in looked_up for value in each.values()):
        return None
    taken = {
        value.name
        for fold in projection.folds
        for value in fold.values.values()
        if isinstance(value, Payload)
    }
    trimmed = [
        (logged.c.event_type == event_type, without(logged.c.data, surplus))
        for event_type in event_types
        if (surplus := set(lists_of(projection.events[event_type])) - taken)
    ]
    if not trimmed:
        return None
    short = select(case(*trimmed, else_=logged.c.data).label("data"))
    return short.offset(0).correlate(logged).lateral("short")


def _documents(projection: Projection, event_types: list[str], raw: FromClause) -> list[Label[Any]]:
    """What is read of payloads: facts, and beside them what other folds take or ask for."""
    documents = []
    if names_in_facts(projection):
        documents.append(facts_of(projection, event_types, raw).label("_facts"))
    asked: dict[str, set[str]] = {}
    for fold in projection.folds:
        for event_type, value in fold.values.items():
            names = {*fold.where, *([value.name] if isinstance(value, Payload) else [])}
            if names and not is_told(fold):
                asked.setdefault(event_type, set()).update(names)
    if asked:
        parts = {
            event_type: without(raw.c.data, set(lists_of(projection.events[event_type])) - names)
            for event_type, names in asked.items()
            if event_type in event_types
        }
        documents.append(json_by_type(raw, parts).label("_data"))
    return documents


def live_events(shape: Shape) -> FromClause:
    """Events that count, one row per event and key: after the last end, from an opening on."""
    events = _events(shape.projection)
    has_key = [events.c[name].is_not(None) for name in shape.projection.key]
    query = select(events).where(*has_key)
    if shape.projection.ends:
        ended_at = _over_key(shape, events, func.max, shape.projection.ends)
        keyed = query.add_columns(ended_at.label("_ended_at")).subquery("keyed")
        query = select(*(keyed.c[column.name] for column in events.c)).where(
            keyed.c["_event_type"].in_(shape.types),
            keyed.c["_position"] > func.coalesce(keyed.c["_ended_at"], 0),
        )
    if shape.projection.opens >= set(shape.types):
        return shape.named(query, "live")
    live = query.subquery("live")
    opened_at = _over_key(shape, live, func.min, shape.projection.opens)
    opened = select(live, opened_at.label("_opened_at")).subquery("opened")
    is_open = opened.c["_position"] >= opened.c["_opened_at"]
    origin: FromClause = opened
    if shape.onto_table:
        origin = opened.outerjoin(shape.table, shape.same_key(opened, shape.table))
        is_open = or_(shape.table.c.tenant_id.is_not(None), is_open)
    columns = (opened.c[column.name] for column in live.c)
    return shape.named(select(*columns).select_from(origin).where(is_open), "counted")


def _over_key(
    shape: Shape, events: FromClause, function: Any, event_types: Collection[str]
) -> ColumnElement[Any]:
    """The first or last position, among the events of a row's key, of an event of these types."""
    # The tenant last: a sort compares what differs first.
    return over(
        function(events.c["_position"]).filter(events.c["_event_type"].in_(sorted(event_types))),
        partition_by=[events.c[name] for name in reversed(shape.keys)],
        # In the order in which they are merged, so that they are sorted once.
        order_by=in_order(shape.projection, events),
        rows=(None, None),
    )
