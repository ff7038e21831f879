"""The log as a projection reads it: a range of positions, payloads up to date, keys."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    FromClause,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    true,
    type_coerce,
    union,
)
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.projections.compiler.expressions import elements_of, from_json, of_event
from quantum_forge.schema.language.evolution import steps_from
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import (
    Element,
    ElementIndex,
    Envelope,
    FromMetadata,
    Truncated,
    Value,
)
from quantum_forge.schema.tables import event_logs

AFTER = bindparam("after", type_=BigInteger)
UPTO = bindparam("upto", type_=BigInteger)
"""The range of positions that a statement folds: above `after`, up to and including `upto`."""


def in_range(logged: FromClause, event_types: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    """The conditions that an event is of these types and in (`after`, `upto`]."""
    return (
        logged.c.id > AFTER,
        logged.c.id <= UPTO,
        logged.c.event_type.in_(list(event_types)),
    )


def in_order(projection: Projection, events: FromClause) -> list[ColumnElement[Any]]:
    """Sort key of events: the position, and within one event the place in its list.

    Several elements of a list can concern one row.
    """
    at = events.c["_position"]
    return [at] if projection.elements is None else [at, events.c["_element_index"]]


def group_key(projection: Projection) -> list[str]:
    """The key columns that an event itself gives, without the element's part of the key."""
    return [
        name
        for name, values in projection.key.items()
        if not any(isinstance(value, Element | ElementIndex) for value in values.values())
    ]


def events_behind(projection: Projection, key: Mapping[str, Any]) -> CompoundSelect[Any]:
    """The positions in (`after`, `upto`] of the events that concern the row of a key, or end it.

    Args:
        projection: whose row.
        key: every key column's value, `tenant_id` among them.
    """
    logged = logged_by(projection)
    parts = []
    for event_types in key_sources(projection):
        origin: FromClause = logged
        sources = {name: values.get(event_types[0]) for name, values in projection.key.items()}
        if any(isinstance(source, Element) for source in sources.values()):
            assert projection.elements is not None
            elements = elements_of(logged, projection.elements.name)
            origin = logged.join(elements, true())
        conditions = [logged.c.tenant_id == key["tenant_id"]]
        for name, source in sources.items():
            type_ = projection.table.c[name].type
            if isinstance(source, Element):
                part = type_coerce(elements.c.element, JSONB)
                conditions.append(from_json(part, source.part, type_) == key[name])
            elif source is not None and not isinstance(source, ElementIndex):
                # Whatever the element, the event concerns its row, if only to end it.
                conditions.append(of_event(source, type_, logged) == key[name])
        parts.append(
            select(logged.c.id.label("position"))
            .select_from(origin)
            .where(*in_range(logged, event_types), *conditions)
        )
    return union(*parts)


def key_sources(projection: Projection) -> list[list[str]]:
    """The event types of a projection, those together whose keys come from the same places."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for event_type in projection.events:
        sources = tuple(values.get(event_type) for values in projection.key.values())
        groups.setdefault((projection.spreads(event_type), *sources), []).append(event_type)
    return list(groups.values())


def _payload(projection: Projection) -> ColumnElement[Any]:
    """The payload of an event of the log, brought up to date where its type has evolved."""
    old = [
        (
            and_(event_logs.c.event_type == name, event_logs.c.schema_version == version),
            func.upcast_payload(
                event_logs.c.data,
                cast(literal(steps_from(cls.history, version), JSONB), JSONB),
                type_=JSONB,
            ),
        )
        for name, cls in projection.events.items()
        for version in range(1, cls.schema_version)
    ]
    return case(*old, else_=event_logs.c.data) if old else event_logs.c.data


def columns_read(projection: Projection) -> set[str]:
    """The columns of the log that a projection reads, beside the payload."""
    read = {"id", "tenant_id", "event_type", "occurred_at"}
    folded = (fold.values for fold in projection.folds)
    for values in (*projection.key.values(), *folded, projection.only_with):
        for value in values.values():
            inner = value.value if isinstance(value, Truncated) else value
            match inner:
                case FromMetadata():
                    read.add("metadata")
                case Envelope(name) if name not in ("position", "data"):
                    read.add(name)
    return read


def logged_by(projection: Projection) -> FromClause:
    """The log as a projection reads it, with payloads up to date, without what it leaves out."""
    is_current = all(cls.schema_version == 1 for cls in projection.events.values())
    left_out = projection.left_out
    if is_current and left_out is None:
        return event_logs
    read = columns_read(projection)
    others = [column for column in event_logs.c if column.name in read]
    payload = _payload(projection)
    if left_out is None:
        return select(*others, payload.label("data")).subquery("logged")
    counts = event_logs.c.id.not_in(left_out)
    # Also around the payload: conditions are evaluated in any order, and what is left out may hold
    # what no condition can be evaluated on.
    guarded = case((counts, payload), else_=cast(null(), JSONB))
    return select(*others, guarded.label("data")).where(counts).subquery("logged")


def key_of(
    projection: Projection, name: str, source: FromClause, event_types: Collection[str] = ()
) -> ColumnElement[Any]:
    """A key column as an expression over events of these types; of all, unless given."""
    type_ = projection.table.c[name].type
    cases: dict[Value, list[str]] = {}
    for event_type, value in projection.key[name].items():
        if not event_types or event_type in event_types:
            cases.setdefault(value, []).append(event_type)
    expressions = [(of_event(value, type_, source), types) for value, types in cases.items()]
    if len(expressions) == 1:
        return expressions[0][0]
    return case(
        *((source.c.event_type.in_(types), expression) for expression, types in expressions)
    )
