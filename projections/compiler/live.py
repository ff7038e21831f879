"""The events of a range that count: keyed, spread over list elements, without ended lives."""

from typing import Any

from sqlalchemy import (
    ARRAY,
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

from projections.compiler.expressions import elements_of
from projections.compiler.log import in_range, key_of, key_sources, logged_by
from projections.compiler.shape import Shape
from projections.projection import lists_of
from projections.value import Payload


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
    return select(
        raw.c.id.label("position"),
        raw.c.event_type,
        raw.c.tenant_id,
        *(key_of(projection, name, raw, event_types).label(name) for name in projection.key),
        _needed(shape, raw).label("data"),
        raw.c.element,
        raw.c.element_index,
        raw.c.entity_id.label("entity"),
        raw.c.occurred_at,
        raw.c.recorded_at,
        raw.c.user_id,
    )


def _select_events(
    logged: FromClause,
    origin: FromClause,
    event_types: list[str],
    element: ColumnElement[Any],
    index: ColumnElement[Any],
) -> Select[Any]:
    names = ("id", "event_type", "tenant_id", "entity_id", "data", "occurred_at")
    return (
        select(
            *(logged.c[name] for name in (*names, "recorded_at", "user_id")),
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
    query = select(events).where(events.c.event_type.in_(shape.types), *has_key)
    if shape.projection.ends:
        ends = (
            select(
                *(events.c[name] for name in shape.keys),
                func.max(events.c.position).label("ended_at"),
            )
            .where(events.c.event_type.in_(sorted(shape.projection.ends)))
            .group_by(*(events.c[name] for name in shape.keys))
        )
        ended = shape.named(ends, "ended")
        query = query.outerjoin(ended, shape.same_key(events, ended)).where(
            events.c.position > func.coalesce(ended.c.ended_at, 0)
        )
    live = shape.named(query, "live")
    if shape.projection.opens >= set(shape.types):
        return live
    opened = shape.named(
        select(
            *(live.c[name] for name in shape.keys),
            func.min(live.c.position)
            .filter(live.c.event_type.in_(sorted(shape.projection.opens)))
            .label("opened_at"),
        ).group_by(*(live.c[name] for name in shape.keys)),
        "opened",
    )
    is_open = live.c.position >= opened.c.opened_at
    origin: FromClause = live.join(opened, shape.same_key(live, opened))
    if shape.onto_table:
        origin = origin.outerjoin(shape.table, shape.same_key(live, shape.table))
        is_open = or_(shape.table.c.tenant_id.is_not(None), is_open)
    counted = select(live).select_from(origin).where(is_open)
    return shape.named(counted, "counted")
