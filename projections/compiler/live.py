"""The events of a range that count: keyed, spread over list elements, without ended lives."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import INTEGER, JSONB
from sqlalchemy.types import TypeEngine

from projections.compiler.expressions import elements_of, event_column, of_event
from projections.compiler.log import in_range, key_of, key_sources, logged_by
from projections.compiler.shape import Shape
from projections.compiler.single import by_value
from projections.kinds import lists_of
from projections.projection import Projection
from projections.value import Envelope, FromMetadata, Payload, Truncated, Value

_UNREAD = ("version", "schema_version")


def _events(shape: Shape) -> FromClause:
    groups = key_sources(shape.projection) if shape.inlined else [list(shape.projection.events)]
    parts = [_keyed(shape, event_types) for event_types in groups]
    return shape.named(parts[0] if len(parts) == 1 else union_all(*parts), "events")


def _keyed(shape: Shape, event_types: list[str]) -> Select[Any]:
    projection = shape.projection
    spread = [name for name in event_types if projection.spreads(name)]
    plain = [name for name in event_types if name not in spread]
    logged = logged_by(projection)
    parts = []
    if plain:
        parts.append(_select_events(logged, logged, plain, null(), null()))
    if spread:
        assert projection.elements is not None
        elements = elements_of(logged, projection.elements.name)
        parts.append(
            _select_events(
                logged,
                logged.join(elements, true()),
                spread,
                type_coerce(elements.c.element, JSONB),
                cast(elements.c.ordinality - 1, Integer),
            )
        )
    raw = (parts[0] if len(parts) == 1 else union_all(*parts)).subquery("raw")
    query = select(
        raw.c.id.label("_position"),
        raw.c.event_type.label("_event_type"),
        raw.c.occurred_at.label("_occurred_at"),
        raw.c.tenant_id,
        *(key_of(projection, name, raw, event_types).label(name) for name in projection.key),
        _needed(shape, raw).label("_data"),
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


_ALWAYS_THERE = (Envelope("position"), Envelope("event_type"), Envelope("occurred_at"))


def _wholes(projection: Projection) -> dict[Value, tuple[TypeEngine[Any], list[str]]]:
    """What folds take of events beside payload and element, with its type, and from which."""
    wholes: dict[Value, tuple[TypeEngine[Any], list[str]]] = {}
    for fold in projection.folds:
        for event_type, value in fold.values.items():
            if isinstance(value, Envelope | FromMetadata | Truncated) and (
                value not in _ALWAYS_THERE
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


def _select_events(
    logged: FromClause,
    origin: FromClause,
    event_types: list[str],
    element: ColumnElement[Any],
    index: ColumnElement[Any],
) -> Select[Any]:
    return (
        select(
            *(column for column in logged.c if column.name not in _UNREAD),
            cast(element, JSONB).label("element"),
            cast(index, INTEGER).label("element_index"),
        )
        .select_from(origin)
        .where(*in_range(logged, event_types))
    )


def _needed(shape: Shape, raw: FromClause) -> ColumnElement[Any]:
    """The payload without what this projection does not read of it.

    A payload with long lists is compressed and stored apart; taking it out again for every
    field would cost more than all the rest.
    """
    needed: dict[str, set[str]] = {name: set() for name in shape.projection.events}
    for fold in shape.projection.folds:
        for event_type, value in fold.values.items():
            names = {value.name} if isinstance(value, Payload) else set()
            needed[event_type] |= names | set(fold.where)
    trimmed: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = []
    for event_type, names in needed.items():
        cls = shape.projection.events[event_type]
        if not names:
            trimmed.append((raw.c.event_type == event_type, cast(null(), JSONB)))
        elif surplus := [name for name in lists_of(cls) if name not in names]:
            # What is left is small, and in memory.
            slim = raw.c.data.op("-", return_type=JSONB())(cast(literal(surplus), ARRAY(Text)))
            trimmed.append((raw.c.event_type == event_type, slim))
    return case(*trimmed, else_=raw.c.data) if trimmed else raw.c.data


def live_events(shape: Shape) -> FromClause:
    """Events that count, one row per event and key: after the last end, from an opening on."""
    events = _events(shape)
    has_key = [events.c[name].is_not(None) for name in shape.projection.key]
    query = select(events).where(events.c["_event_type"].in_(shape.types), *has_key)
    if shape.projection.ends:
        ends = (
            select(
                *(events.c[name] for name in shape.keys),
                func.max(events.c["_position"]).label("ended_at"),
            )
            .where(events.c["_event_type"].in_(sorted(shape.projection.ends)))
            .group_by(*(events.c[name] for name in shape.keys))
        )
        ended = shape.named(ends, "ended")
        query = query.outerjoin(ended, shape.same_key(events, ended)).where(
            events.c["_position"] > func.coalesce(ended.c.ended_at, 0)
        )
    live = shape.named(query, "live")
    if shape.projection.opens >= set(shape.types):
        return live
    opened = shape.named(
        select(
            *(live.c[name] for name in shape.keys),
            func.min(live.c["_position"])
            .filter(live.c["_event_type"].in_(sorted(shape.projection.opens)))
            .label("opened_at"),
        ).group_by(*(live.c[name] for name in shape.keys)),
        "opened",
    )
    is_open = live.c["_position"] >= opened.c.opened_at
    origin: FromClause = live.join(opened, shape.same_key(live, opened))
    if shape.onto_table:
        origin = origin.outerjoin(shape.table, shape.same_key(live, shape.table))
        is_open = or_(shape.table.c.tenant_id.is_not(None), is_open)
    counted = select(live).select_from(origin).where(is_open)
    return shape.named(counted, "counted")
