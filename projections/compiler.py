"""How a projection becomes SQL: the rows that a range of the log gives, as one Core SELECT.

Two levels of grouping make it fast: first per key and event type, where the payloads of one type
are merged (a lone payload is passed through untouched), then per key. Only the merged payloads are
taken apart.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeGuard

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Delete,
    FromClause,
    FunctionElement,
    Integer,
    Label,
    Select,
    SelectBase,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    type_coerce,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import INTEGER, JSONB, aggregate_order_by, distinct_on, insert
from sqlalchemy.dialects.postgresql.dml import Insert
from sqlalchemy.types import TypeEngine

from projections.fold import Operation
from projections.projection import ColumnFold, Projection, lists_of
from projections.value import Constant, Element, ElementIndex, Envelope, Payload, Value
from schema.events.evolution import steps_from
from schema.tables import event_logs

AFTER = bindparam("after", type_=BigInteger)
UPTO = bindparam("upto", type_=BigInteger)
"""The range of positions that a statement folds: above `after`, up to and including `upto`."""

_AGGREGATED = {Operation.COUNT, Operation.SUM, Operation.MIN, Operation.MAX}


@cache
def rows(projection: Projection, *, onto_table: bool = False, inlined: bool = False) -> Select[Any]:
    """The rows of the table after the events in (`after`, `upto`], columns in table order.

    Args:
        projection: whose rows.
        onto_table: fold the events onto the rows that the table holds, giving only the rows that
            they touch; otherwise as if there were none before.
        inlined: name no common expressions, so that a condition on the key, put around the query,
            reaches the log, and the query can stand more than once in another.
    """
    if projection.replaces:
        return _replacing_rows(projection)
    return _Folding(projection, onto_table, inlined).rows()


@cache
def upsert(projection: Projection) -> Insert:
    """Fold the events in (`after`, `upto`] into the table; run `delete_ended` first."""
    table = projection.table
    folded = rows(projection, onto_table=True)
    statement = insert(table).from_select(
        [column.name for column in folded.selected_columns], folded
    )
    if projection.replaces:
        # Whatever these rows replace was deleted before.
        return statement
    key = list(table.primary_key.columns)
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={
            column.name: statement.excluded[column.name]
            for column in folded.selected_columns
            if column.name not in table.primary_key.columns
        },
    )


@cache
def insert_all(projection: Projection) -> Insert:
    """Fill the empty table with the fold of the events in (`after`, `upto`]."""
    folded = rows(projection)
    return insert(projection.table).from_select(
        [column.name for column in folded.selected_columns], folded
    )


@cache
def delete_ended(projection: Projection) -> Delete | None:
    """Delete the rows that events in (`after`, `upto`] end; None when no event can."""
    enders = frozenset(projection.events) if projection.replaces else projection.ends
    if not enders:
        return None
    names = _group_key(projection) if projection.replaces else list(projection.key)
    logged = _logged(projection)
    ended = (
        select(
            logged.c.tenant_id,
            *(_key(projection, name, logged).label(name) for name in names),
        )
        .where(*_in_range(logged, sorted(enders)))
        .distinct()
        .subquery("ended")
    )
    table = projection.table
    return delete(table).where(
        table.c.tenant_id == ended.c.tenant_id, *(table.c[name] == ended.c[name] for name in names)
    )


def _in_range(logged: FromClause, event_types: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return (
        logged.c.id > AFTER,
        logged.c.id <= UPTO,
        logged.c.event_type.in_(list(event_types)),
    )


def _group_key(projection: Projection) -> list[str]:
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
    logged = _logged(projection)
    parts = []
    for event_types in key_sources(projection):
        origin: FromClause = logged
        sources = {name: values.get(event_types[0]) for name, values in projection.key.items()}
        if any(isinstance(source, Element) for source in sources.values()):
            assert projection.elements is not None
            elements = _elements(logged, projection.elements.name)
            origin = logged.join(elements, true())
        conditions = [logged.c.tenant_id == key["tenant_id"]]
        for name, source in sources.items():
            type_ = projection.table.c[name].type
            if isinstance(source, Element):
                part = type_coerce(elements.c.element, JSONB)
                conditions.append(_from_json(part, source.part, type_) == key[name])
            elif source is not None and not isinstance(source, ElementIndex):
                # Whatever the element, the event concerns its row, if only to end it.
                conditions.append(_of_event(source, type_, logged) == key[name])
        parts.append(
            select(logged.c.id.label("position"))
            .select_from(origin)
            .where(*_in_range(logged, event_types), *conditions)
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


def _logged(projection: Projection) -> FromClause:
    """The log as a projection reads it, with payloads up to date."""
    if all(cls.schema_version == 1 for cls in projection.events.values()):
        return event_logs
    others = [column for column in event_logs.c if column.name != "data"]
    return select(*others, _payload(projection).label("data")).subquery("logged")


def _key(
    projection: Projection, name: str, source: FromClause, event_types: Collection[str] = ()
) -> ColumnElement[Any]:
    """A key column as an expression over events of these types; of all, unless given."""
    type_ = projection.table.c[name].type
    cases: dict[Value, list[str]] = {}
    for event_type, value in projection.key[name].items():
        if not event_types or event_type in event_types:
            cases.setdefault(value, []).append(event_type)
    expressions = [(_of_event(value, type_, source), types) for value, types in cases.items()]
    if len(expressions) == 1:
        return expressions[0][0]
    return case(
        *((source.c.event_type.in_(types), expression) for expression, types in expressions)
    )


def _of_event(value: Value, type_: TypeEngine[Any], source: FromClause) -> ColumnElement[Any]:
    """A value as an expression over one event (with `element` and `element_index` if spread)."""
    match value:
        case Payload(name):
            return _from_json(source.c.data, name, type_)
        case Element(part):
            return _from_json(source.c.element, part, type_)
        case ElementIndex():
            return type_coerce(source.c.element_index, type_)
        case Envelope("position"):
            return type_coerce(source.c.id, type_)
        case Envelope(name):
            return source.c[name]
        case Constant(constant):
            return _constant(constant, type_)


def _constant(constant: object, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    return cast(literal(constant, type_), type_)


def _from_json(
    json: ColumnElement[Any], part: int | str | None, type_: TypeEngine[Any]
) -> ColumnElement[Any]:
    """A part of a JSON value as a column's type; null where it is absent or null."""
    if isinstance(type_, JSONB):
        value = json if part is None else json[part]
        return func.nullif(value, cast(literal_column("'null'"), JSONB), type_=JSONB)
    if part is None:
        text: ColumnElement[Any] = json.op("#>>", return_type=Text())(literal_column("'{}'"))
    else:
        text = json[part].astext
    return text if isinstance(type_, Text) else cast(text, type_)


def _elements(source: FromClause, name: str) -> FromClause:
    """The elements of a list in the payload, with their place, counted from 1."""
    return (
        func.jsonb_array_elements(source.c.data[name])
        .table_valued("element", with_ordinality="ordinality", joins_implicitly=True)
        .render_derived(name="spread")
    )


def _replacing_rows(projection: Projection) -> Select[Any]:
    """The elements of the last event of each key, unless that event ends the rows."""
    assert projection.elements is not None
    names = _group_key(projection)
    logged = _logged(projection)
    keys = [logged.c.tenant_id, *(_key(projection, name, logged) for name in names)]
    winners = (
        select(logged)
        .where(*_in_range(logged, sorted(projection.events)))
        .ext(distinct_on(*keys))
        .order_by(*keys, logged.c.id.desc())
        .subquery("winners")
    )
    spread = _elements(winners, projection.elements.name)
    element = type_coerce(spread.c.element, JSONB)
    rows = (
        select(
            winners,
            element.label("element"),
            cast(spread.c.ordinality - 1, Integer).label("element_index"),
        )
        .select_from(winners.join(spread, true()))
        .where(winners.c.event_type.in_(sorted(set(projection.events) - projection.ends)))
        .subquery("rows")
    )
    columns = [
        rows.c.tenant_id,
        *(_key(projection, name, rows).label(name) for name in projection.key),
    ]
    for fold in projection.folds:
        columns.append(_one_of(fold, rows).label(fold.column.name))
    return select(
        *columns,
        rows.c.occurred_at.label("created_at"),
        rows.c.occurred_at.label("updated_at"),
        rows.c.id.label("last_position"),
    )


def _one_of(fold: ColumnFold, source: FromClause) -> ColumnElement[Any]:
    expressions = {
        event_type: _of_event(value, fold.column.type, source)
        for event_type, value in fold.values.items()
    }
    if len(set(fold.values.values())) == 1:
        return next(iter(expressions.values()))
    return case(*((source.c.event_type == name, value) for name, value in expressions.items()))


class _Folding:
    """One projection's SELECT in the making: events, live events, per type, per key, rows."""

    def __init__(self, projection: Projection, onto_table: bool, inlined: bool) -> None:
        self.projection = projection
        self.onto_table = onto_table
        self.inlined = inlined
        self.table = projection.table
        self.keys = ["tenant_id", *projection.key]
        self.types = [name for name in projection.events if name not in projection.ends]

    def rows(self) -> Select[Any]:
        per_key = self._per_key(self._per_type(self._live(self._events())))
        origin: FromClause = per_key
        if self.onto_table:
            origin = per_key.outerjoin(self.table, self._same_key(per_key, self.table))
        origin = self._with_fields(origin, per_key)
        columns: list[ColumnElement[Any]] = [per_key.c[name] for name in self.keys]
        for fold in self.projection.folds:
            columns.append(self._final(fold, per_key).label(fold.column.name))
        columns += [
            self._merged(func.least, "created_at", per_key.c.earliest),
            self._merged(func.greatest, "updated_at", per_key.c.latest),
            per_key.c.last_position,
        ]
        query = select(*columns).select_from(origin)
        for fold in self.projection.folds:
            if fold.operation is Operation.TALLY:
                query = query.outerjoin(tally := self._tally(fold), self._same_key(per_key, tally))
        return query

    def _with_fields(self, origin: FromClause, per_key: FromClause) -> FromClause:
        """Join the fields of each merged payload, all taken out by one call of jsonb_to_record."""
        self.fields: dict[tuple[str, str], ColumnElement[Any]] = {}
        for forward in (True, False):
            wanted = Operation.LAST if forward else Operation.FIRST
            for index, event_type in enumerate(self.types):
                types: dict[str, TypeEngine[Any]] = {}
                for fold in self.projection.folds:
                    value = fold.values.get(event_type)
                    if fold.operation is wanted and not fold.where and isinstance(value, Payload):
                        types.setdefault(value.name, fold.column.type)
                if not types:
                    continue
                payload = f"t{index}_{'payload' if forward else 'first_payload'}"
                record = (
                    func.jsonb_to_record(per_key.c[payload])
                    .table_valued(*(column(name, type_) for name, type_ in types.items()))
                    .render_derived(name=f"{payload}_fields", with_types=True)
                )
                origin = origin.outerjoin(record, true())
                for name in types:
                    self.fields[payload, name] = record.c[name]
        return origin

    def _same_key(self, left: FromClause, right: FromClause) -> ColumnElement[bool]:
        return and_(*(left.c[name] == right.c[name] for name in self.keys))

    # -- events of the range, one row per event and key

    def _events(self) -> FromClause:
        groups = key_sources(self.projection) if self.inlined else [list(self.projection.events)]
        parts = [self._keyed(event_types) for event_types in groups]
        return self._named(parts[0] if len(parts) == 1 else union_all(*parts), "events")

    def _keyed(self, event_types: list[str]) -> Select[Any]:
        projection = self.projection
        spread = [name for name in event_types if projection.spreads(name)]
        plain = [name for name in event_types if name not in spread]
        logged = _logged(projection)
        parts = []
        if plain:
            parts.append(self._select_events(logged, logged, plain, null(), null()))
        if spread:
            assert projection.elements is not None
            elements = _elements(logged, projection.elements.name)
            parts.append(
                self._select_events(
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
            *(_key(projection, name, raw, event_types).label(name) for name in projection.key),
            self._needed(raw).label("data"),
            raw.c.element,
            raw.c.element_index,
            raw.c.entity_id.label("entity"),
            raw.c.occurred_at,
            raw.c.recorded_at,
            raw.c.user_id,
        )

    def _select_events(
        self,
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
            .where(*_in_range(logged, event_types))
        )

    def _needed(self, raw: FromClause) -> ColumnElement[Any]:
        """The payload without what this projection does not read of it.

        A payload with long lists is compressed and stored apart; taking it out again for every
        field would cost more than all the rest.
        """
        needed: dict[str, set[str]] = {name: set() for name in self.projection.events}
        for fold in self.projection.folds:
            for event_type, value in fold.values.items():
                names = {value.name} if isinstance(value, Payload) else set()
                needed[event_type] |= names | set(fold.where)
        trimmed: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = []
        for event_type, names in needed.items():
            cls = self.projection.events[event_type]
            if not names:
                trimmed.append((raw.c.event_type == event_type, cast(null(), JSONB)))
            elif surplus := [name for name in lists_of(cls) if name not in names]:
                # What is left is small, and in memory.
                slim = raw.c.data.op("-", return_type=JSONB())(cast(literal(surplus), ARRAY(Text)))
                trimmed.append((raw.c.event_type == event_type, slim))
        return case(*trimmed, else_=raw.c.data) if trimmed else raw.c.data

    # -- what still counts: after the last end, from the first event that opens a row

    def _live(self, events: FromClause) -> FromClause:
        has_key = [events.c[name].is_not(None) for name in self.projection.key]
        query = select(events).where(events.c.event_type.in_(self.types), *has_key)
        if self.projection.ends:
            ends = (
                select(
                    *(events.c[name] for name in self.keys),
                    func.max(events.c.position).label("ended_at"),
                )
                .where(events.c.event_type.in_(sorted(self.projection.ends)))
                .group_by(*(events.c[name] for name in self.keys))
            )
            ended = self._named(ends, "ended")
            query = query.outerjoin(ended, self._same_key(events, ended)).where(
                events.c.position > func.coalesce(ended.c.ended_at, 0)
            )
        live = self._named(query, "live")
        if self.projection.opens >= set(self.types):
            return self._kept(live)
        opened = self._named(
            select(
                *(live.c[name] for name in self.keys),
                func.min(live.c.position)
                .filter(live.c.event_type.in_(sorted(self.projection.opens)))
                .label("opened_at"),
            ).group_by(*(live.c[name] for name in self.keys)),
            "opened",
        )
        is_open = live.c.position >= opened.c.opened_at
        origin: FromClause = live.join(opened, self._same_key(live, opened))
        if self.onto_table:
            origin = origin.outerjoin(self.table, self._same_key(live, self.table))
            is_open = or_(self.table.c.tenant_id.is_not(None), is_open)
        counted = select(live).select_from(origin).where(is_open)
        return self._kept(self._named(counted, "counted"))

    def _kept(self, live: FromClause) -> FromClause:
        self.live = live
        return live

    def _named(self, query: SelectBase, name: str) -> FromClause:
        return query.subquery(name) if self.inlined else query.cte(name)

    # -- first level: per key and event type

    def _per_type(self, live: FromClause) -> Subquery:
        columns: list[Label[Any]] = [
            func.count().label("n"),
            func.min(live.c.position).label("first_position"),
            func.max(live.c.position).label("last_position"),
            func.min(live.c.occurred_at).label("earliest"),
            func.max(live.c.occurred_at).label("latest"),
        ]
        for forward, name in ((True, "payload"), (False, "first_payload")):
            if any(isinstance(v, Payload) for v in self._taken(forward)):
                order = live.c.position if forward else live.c.position.desc()
                merged: ColumnElement[Any] = func.merge_payloads(
                    aggregate_order_by(live.c.data, order), type_=JSONB
                )
                columns.append(merged.label(name))
            for carried in self._carried(forward):
                value = live.c[carried]
                order = live.c.position.desc() if forward else live.c.position
                array = func.array_agg(aggregate_order_by(value, order))
                columns.append(_item(array, value.type).label(_carried_name(forward, carried)))
        for fold in self.projection.folds:
            if fold.operation in _AGGREGATED:
                columns.append(self._aggregate(fold, live).label(f"{fold.column.name}_part"))
            elif fold.operation is Operation.LAST:
                columns += self._presence(fold, live)
        keys = [live.c[name] for name in self.keys]
        # The tenant last: a sort compares what differs first.
        return (
            select(*keys, live.c.event_type, *columns)
            .group_by(*reversed(keys), live.c.event_type)
            .subquery("per_type")
        )

    def _taken(self, forward: bool) -> list[Value]:
        wanted = Operation.LAST if forward else Operation.FIRST
        return [
            value
            for fold in self.projection.folds
            if fold.operation is wanted and not fold.where
            for value in fold.values.values()
        ]

    def _carried(self, forward: bool) -> list[str]:
        """The columns of events whose last or first value, as a whole, is needed."""
        names = []
        for value in self._taken(forward):
            if isinstance(value, Constant | Payload):
                continue
            name = _event_column(value)
            if name not in names:
                names.append(name)
        return names

    def _counts(self, fold: ColumnFold, event_type: str, live: FromClause) -> ColumnElement[bool]:
        """Whether an event of this type has what the fold's `where` asks for."""
        conditions = [live.c.event_type == event_type]
        conditions += [
            live.c.data[name] == cast(literal(wanted, JSONB), JSONB)
            for name, wanted in fold.where.items()
        ]
        return and_(*conditions)

    def _aggregate(self, fold: ColumnFold, live: FromClause) -> ColumnElement[Any]:
        counts = or_(*(self._counts(fold, event_type, live) for event_type in fold.values))
        if fold.operation is Operation.COUNT:
            return func.count().filter(counts)
        value = _of_live(fold, live)
        return _combine(fold.operation, value, fold.column.type).filter(counts)

    def _presence(self, fold: ColumnFold, live: FromClause) -> list[Label[Any]]:
        """Where the last event with a value lies, for folds whose types must be compared."""
        name = fold.column.name
        if fold.where:
            counts = or_(
                *(
                    and_(self._counts(fold, event_type, live), _is_present(value, live))
                    for event_type, value in fold.values.items()
                )
            )
            array = func.array_agg(aggregate_order_by(_of_live(fold, live), live.c.position.desc()))
            return [
                func.max(live.c.position).filter(counts).label(f"{name}_at"),
                _item(array.filter(counts), fold.column.type).label(f"{name}_part"),
            ]
        optional = {
            event_type: value for event_type, value in fold.values.items() if _may_be_absent(value)
        }
        if len(fold.values) > 1 and optional:
            present = or_(
                *(
                    and_(live.c.event_type == event_type, _has(live.c.data, value.name))
                    for event_type, value in optional.items()
                )
            )
            return [func.max(live.c.position).filter(present).label(f"{name}_at")]
        return []

    # -- second level: per key

    def _per_key(self, per_type: Subquery) -> FromClause:
        keys = [per_type.c[name] for name in self.keys]
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
        for index, event_type in enumerate(self.types):
            is_type = per_type.c.event_type == event_type
            for name in carried:
                value = per_type.c[name]
                if name in ("first_position", "last_position"):
                    picked: ColumnElement[Any] = func.max(value).filter(is_type)
                elif name in ("payload", "first_payload"):
                    picked = func.merge_payloads(value, type_=JSONB).filter(is_type)
                else:
                    picked = _item(func.array_agg(value).filter(is_type), value.type)
                columns.append(picked.label(f"t{index}_{name}"))
        for fold in self.projection.folds:
            name = fold.column.name
            part = per_type.c.get(f"{name}_part")
            at = per_type.c.get(f"{name}_at")
            if fold.operation in _AGGREGATED and part is not None:
                combined = _combine(fold.operation, part, fold.column.type)
                columns.append(combined.label(f"{name}_part"))
            elif fold.where and part is not None and at is not None:
                array = func.array_agg(aggregate_order_by(part, at.desc())).filter(at.is_not(None))
                columns.append(_item(array, fold.column.type).label(f"{name}_part"))
                columns.append(func.max(at).label(f"{name}_at"))
            elif at is not None:
                for index, event_type in enumerate(self.types):
                    if event_type in fold.values and _may_be_absent(fold.values[event_type]):
                        latest = func.max(at).filter(per_type.c.event_type == event_type)
                        columns.append(latest.label(f"t{index}_{name}_at"))
        return self._named(select(*keys, *columns).group_by(*keys), "per_key")

    def _tally(self, fold: ColumnFold) -> Subquery:
        live = self.live
        keys = [live.c[name] for name in self.keys]
        value = cast(_of_live(fold, live, Text()), Text)
        counts = or_(*(self._counts(fold, event_type, live) for event_type in fold.values))
        counted = (
            select(*keys, value.label("value"), func.count().label("n"))
            .where(counts, value.is_not(None))
            .group_by(*keys, value)
            .subquery(f"{fold.column.name}_counted")
        )
        keys = [counted.c[name] for name in self.keys]
        return (
            select(
                *keys,
                func.jsonb_object_agg(counted.c.value, counted.c.n, type_=JSONB).label("tally"),
            )
            .group_by(*keys)
            .subquery(f"{fold.column.name}_tally")
        )

    # -- rows: what the table will hold

    def _final(self, fold: ColumnFold, per_key: FromClause) -> ColumnElement[Any]:
        column = fold.column
        old: ColumnElement[Any] = (
            self.table.c[column.name] if self.onto_table else cast(null(), column.type)
        )
        part = per_key.c.get(f"{column.name}_part")
        match fold.operation:
            case Operation.COUNT | Operation.SUM:
                gained = func.coalesce(part, 0)
                return cast(func.coalesce(old, 0) + gained, column.type)
            case Operation.MIN | Operation.MAX:
                function = func.least if fold.operation is Operation.MIN else func.greatest
                assert part is not None
                return function(old, part) if self.onto_table else part
            case Operation.TALLY:
                new = literal_column(f"{column.name}_tally.tally", JSONB)
                return func.merge_tallies(old, new, type_=JSONB)
            case Operation.FIRST:
                value = self._latest(
                    fold, per_key, forward=False, otherwise=cast(null(), column.type)
                )
                return func.coalesce(old, value) if self.onto_table else value
            case Operation.LAST if fold.where:
                at = per_key.c[f"{column.name}_at"]
                assert part is not None
                return case((at.is_not(None), part), else_=old)
            case Operation.LAST:
                return self._latest(fold, per_key, forward=True, otherwise=old)

    def _latest(
        self, fold: ColumnFold, per_key: FromClause, *, forward: bool, otherwise: ColumnElement[Any]
    ) -> ColumnElement[Any]:
        """The value of the event type that comes last (or first), or else `otherwise`."""
        candidates = []
        for event_type, value in fold.values.items():
            prefix = f"t{self.types.index(event_type)}_"
            end = "last_position" if forward else "first_position"
            at = per_key.c[prefix + end]
            if forward and len(fold.values) > 1 and _may_be_absent(value):
                at = per_key.c[f"{prefix}{fold.column.name}_at"]
            candidates.append((at, self._of_key(value, fold, per_key, prefix, forward), value))
        if len(candidates) > 1:
            chosen = (func.greatest if forward else func.least)(*(at for at, _, _ in candidates))
            return case(*((chosen == at, taken) for at, taken, _ in candidates), else_=otherwise)
        at, taken, source = candidates[0]
        if not self.onto_table or not forward:
            # Absent and null are the same where nothing was before.
            return taken if not isinstance(source, Constant) else case((at.is_not(None), taken))
        if _may_be_absent(source):
            payload = per_key.c[f"t{self.types.index(next(iter(fold.values)))}_payload"]
            return case(
                (taken.is_not(None), taken),
                (_has(payload, source.name), cast(null(), fold.column.type)),
                else_=otherwise,
            )
        return case((at.is_not(None), taken), else_=otherwise)

    def _of_key(
        self, value: Value, fold: ColumnFold, per_key: FromClause, prefix: str, forward: bool
    ) -> ColumnElement[Any]:
        """A value as an expression over what was gathered per key."""
        type_ = fold.column.type
        match value:
            case Payload(name):
                payload = prefix + ("payload" if forward else "first_payload")
                field = self.fields[payload, name]
                if type(field.type) is type(type_):
                    return field
                return _from_json(per_key.c[payload], name, type_)
            case Element(part):
                return _from_json(
                    per_key.c[prefix + _carried_name(forward, "element")], part, type_
                )
            case Constant(constant):
                return _constant(constant, type_)
            case _:
                return per_key.c[prefix + _carried_name(forward, _event_column(value))]

    def _merged(self, function: Any, name: str, new: ColumnElement[Any]) -> Label[Any]:
        if not self.onto_table:
            return new.label(name)
        merged: Label[Any] = function(self.table.c[name], new).label(name)
        return merged


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


def _event_column(value: Value) -> str:
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


def _carried_name(forward: bool, name: str) -> str:
    return f"last_of_{name}" if forward else f"first_of_{name}"


def _item(array: ColumnElement[Any], type_: TypeEngine[Any]) -> ColumnElement[Any]:
    """The first item of an array."""
    return type_coerce(type_coerce(array, ARRAY(type_))[1], type_)


def _of_live(
    fold: ColumnFold, live: FromClause, type_: TypeEngine[Any] | None = None
) -> ColumnElement[Any]:
    """A fold's value as an expression over live events."""
    column_type = type_ or fold.column.type
    expressions: dict[Value, ColumnElement[Any]] = {}
    for value in fold.values.values():
        match value:
            case Payload(name):
                expressions[value] = _from_json(live.c.data, name, column_type)
            case Element(part):
                expressions[value] = _from_json(live.c.element, part, column_type)
            case Constant(constant):
                expressions[value] = _constant(constant, column_type)
            case _:
                expressions[value] = live.c[_event_column(value)]
    if len(expressions) == 1:
        return next(iter(expressions.values()))
    return case(
        *((live.c.event_type == name, expressions[value]) for name, value in fold.values.items())
    )


def _has(json: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a JSON object has a field, be it null."""
    return json.op("?", is_comparison=True)(literal(name, Text()))


def _may_be_absent(value: Value) -> TypeGuard[Payload]:
    return isinstance(value, Payload) and not value.required


def _is_present(value: Value, live: FromClause) -> ColumnElement[bool]:
    if _may_be_absent(value):
        return _has(live.c.data, value.name)
    return true()
