"""The events of a range that count: keyed, spread over list elements, without ended lives."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    ColumnClause,
    ColumnElement,
    FromClause,
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
from sqlalchemy.sql import visitors
from sqlalchemy.types import TypeEngine

from quantum_forge.projections.compiler.expressions import (
    elements_of,
    event_column,
    json_by_type,
    of_event,
    without,
)
from quantum_forge.projections.compiler.facts import facts_of, is_fact, names_in_facts
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


def _events(shape: Shape, read: Collection[str]) -> FromClause:
    """The events of the range with their keys; each group finds them in a place of its own."""
    sources = key_sources(shape.projection)
    if len(sources) == 1:
        return shape.named(_keyed(shape, sources[0], "raw", read), "events")
    parts = (
        _keyed(shape, event_types, f"raw_{number}", read)
        for number, event_types in enumerate(sources, start=1)
    )
    return shape.named(union_all(*parts), "events")


def _keyed(shape: Shape, event_types: list[str], name: str, read: Collection[str]) -> Select[Any]:
    """Events of these types with their keys, and of all else what is read of them."""
    raw = _raw(shape.projection, event_types)
    whole = raw.subquery(name)
    used = columns_of(whole, [_with_keys(shape.projection, event_types, whole, read)])
    # No column that is not read: what is unread would hide what a stage is about.
    narrow = raw.with_only_columns(*(raw.selected_columns[one] for one in used))
    return _with_keys(shape.projection, event_types, shape.named(narrow, name), read)


def columns_of(source: FromClause, queries: Iterable[Select[Any]]) -> list[str]:
    """The columns of a source that queries read, in its order."""
    read = {
        part.name
        for query in queries
        for part in visitors.iterate(query)
        if isinstance(part, ColumnClause) and part.table is source
    }
    return [column.name for column in source.c if column.name in read]


def _with_keys(
    projection: Projection, event_types: list[str], raw: FromClause, read: Collection[str]
) -> Select[Any]:
    # What is not read may not be there.
    made: dict[str, Callable[[], ColumnElement[Any]]] = {
        "_position": lambda: raw.c.id,
        "_event_type": lambda: raw.c.event_type,
        "_occurred_at": lambda: raw.c.occurred_at,
        "tenant_id": lambda: raw.c.tenant_id,
        **{name: partial(key_of, projection, name, raw, event_types) for name in projection.key},
        **_documents(projection, event_types, raw),
        "_element": lambda: raw.c.element,
        "_element_index": lambda: raw.c.element_index,
        **{
            event_column(value): partial(_whole_of, value, type_, types, raw)
            for value, (type_, types) in _wholes(projection).items()
        },
    }
    query = select(*(make().label(name) for name, make in made.items() if not read or name in read))
    for value, types in by_value(projection.only_with).items():
        there = of_event(value, Text(), raw).is_not(None)
        query = query.where(or_(raw.c.event_type.not_in(types), there))
    return query


def _raw(projection: Projection, event_types: list[str]) -> Select[Any]:
    """What can be read of the log, a row per event or element."""
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
                value not in _ALWAYS_THERE and not is_fact(fold)
            ):
                wholes.setdefault(value, (fold.column.type, []))[1].append(event_type)
    return wholes


def _whole_of(
    value: Value, type_: TypeEngine[Any], types: list[str], raw: FromClause
) -> ColumnElement[Any]:
    """A value of events of these types only: of others, it could be an error."""
    expression = of_event(value, type_, raw)
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


def _documents(
    projection: Projection, event_types: list[str], raw: FromClause
) -> dict[str, Callable[[], ColumnElement[Any]]]:
    """What is read of payloads: facts, and beside them what other folds take or ask for."""
    documents: dict[str, Callable[[], ColumnElement[Any]]] = {}
    if names_in_facts(projection):
        documents["_facts"] = partial(facts_of, projection, event_types, raw)
    asked: dict[str, set[str]] = {}
    for fold in projection.folds:
        for event_type, value in fold.values.items():
            names = {*fold.where, *([value.name] if isinstance(value, Payload) else [])}
            if names and not is_fact(fold):
                asked.setdefault(event_type, set()).update(names)
    if asked:
        documents["_data"] = partial(_asked, projection, event_types, asked, raw)
    return documents


def _asked(
    projection: Projection, event_types: list[str], asked: dict[str, set[str]], raw: FromClause
) -> ColumnElement[Any]:
    """The payloads of events that are asked for fields, without other long lists."""
    parts = {
        event_type: without(raw.c.data, set(lists_of(projection.events[event_type])) - names)
        for event_type, names in asked.items()
        if event_type in event_types
    }
    return json_by_type(raw, parts)


def live_events(shape: Shape, read: Collection[str] = ()) -> FromClause:
    """Events that count, one row per event and key: after the last end, from an opening on.

    read: the columns that are read of them; all that there could be, unless given.
    """
    projection = shape.projection
    ends, opens = projection.ends, not projection.opens >= set(shape.types)
    kept = {*read, *shape.keys}
    # What ends and openings are found by.
    by = {"_position", "_event_type"}
    by |= set() if projection.elements is None else {"_element_index"}
    events = _events(shape, () if not read else kept | by if ends or opens else kept)
    has_key = [events.c[name].is_not(None) for name in projection.key]

    def of(source: FromClause, names: Collection[str]) -> list[ColumnElement[Any]]:
        return [source.c[each.name] for each in events.c if not read or each.name in names]

    if not ends and not opens:
        return shape.named(select(*of(events, kept)).where(*has_key), "live")
    query = select(*of(events, kept | by)).where(*has_key)
    if ends:
        names = kept | (by if opens else {"_position", "_event_type"})
        ended_at = _over_key(shape, events, func.max, ends).label("_ended_at")
        ended = shape.named(select(*of(events, names), ended_at).where(*has_key), "ended")
        query = select(*of(ended, kept | by if opens else kept)).where(
            ended.c["_event_type"].in_(shape.types),
            ended.c["_position"] > func.coalesce(ended.c["_ended_at"], 0),
        )
    if not opens:
        return shape.named(query, "live")
    alive = shape.named(query, "alive")
    opened_at = _over_key(shape, alive, func.min, projection.opens).label("_opened_at")
    opened = shape.named(select(*of(alive, {*kept, "_position"}), opened_at), "opened")
    is_open = opened.c["_position"] >= opened.c["_opened_at"]
    origin: FromClause = opened
    if shape.onto_table:
        origin = opened.outerjoin(shape.table, shape.same_key(opened, shape.table))
        is_open = or_(shape.table.c.tenant_id.is_not(None), is_open)
    query = select(*of(opened, kept)).select_from(origin).where(is_open)
    return shape.named(query, "live")


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
