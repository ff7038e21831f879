"""Reads of the log: one stream, or all events up to the safe head."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Text, and_, bindparam, cast, select, text
from sqlalchemy.dialects.postgresql import JSONB, distinct_on

from quantum_forge.eventstore.base.envelope import Position, RecordedEvent, Stream
from quantum_forge.eventstore.database.engine import BINARY_ROWS
from quantum_forge.eventstore.log.append import translated_errors
from quantum_forge.eventstore.log.time_range import ranges
from quantum_forge.schema.tables import event_logs

CHUNK = 1000
"""Events fetched by one statement: bounds memory, and needs no cursor that a pooler could lose."""

_BINARY = {BINARY_ROWS: True}
_ROWS_AT_ONCE = 50
_HIGHEST = 2**31 - 1
_FIRST_CHUNK = 100
_LARGEST_CHUNK = 4 * CHUNK
_CHUNK_CHARACTERS = 2**21
"""The first statement fetches few events; how many the next ones fetch follows from their size."""

_EXISTING = text(
    "SELECT entity_id FROM event_streams WHERE tenant_id = :tenant_id"
    " AND entity_type = :entity_type AND entity_id = ANY (:entity_ids)"
)


class Excluded(msgspec.Struct, frozen=True):
    """Events of a type in which a field of their data holds one of these words."""

    event_type: str
    field: str
    words: tuple[str, ...]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to read; what is None does not restrict. Times are those of occurrence."""

    types: Sequence[str] | None = None
    tenant_id: UUID | None = None
    entity_type: str | None = None
    entity_id: UUID | None = None
    user_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    leave_out: Excluded | None = None


EVERYTHING = Filter()


def safe_head(connection: Connection) -> Position:
    """The position up to which the log is complete: nothing at or below it can still appear.

    Read events up to it in a later statement, under READ COMMITTED. On a standby it is the head
    that the primary published last (eventstore/database/availability/standby.py).

    Raises:
        UnsafeIsolation: when the transaction has a stricter isolation level.
        NoPublishedHead: on a standby whose primary has published none.
    """
    with translated_errors():
        return Position(connection.execute(text("SELECT safe_head()")).scalar_one())


def last_assigned(connection: Connection) -> Position:
    """The highest position that any append has taken, committed or not."""
    return Position(connection.execute(text("SELECT last_assigned_position()")).scalar_one())


def read_stream(
    connection: Connection,
    stream: Stream,
    *,
    after_version: int = 0,
    upto_version: int | None = None,
    backward: bool = False,
) -> Iterator[RecordedEvent]:
    """The events of one stream above a version, in order (or the newest first).

    `upto_version`: the last one to read; reading backward, the one to begin with.
    """
    version = event_logs.c.version
    query = _events().where(
        event_logs.c.entity_id == stream.entity_id,
        event_logs.c.entity_type == stream.entity_type,
        event_logs.c.tenant_id == stream.tenant_id,
    )
    return _paged(connection, query, version, after_version, upto_version, backward, None)


def read_all(
    connection: Connection,
    *,
    after: int = 0,
    upto: int | None = None,
    where: Filter = EVERYTHING,
    backward: bool = False,
    limit: int | None = None,
) -> Iterator[RecordedEvent]:
    """Every event above `after`, in order of position (or the newest first), skipping none.

    Reads up to the safe head of the moment at which it starts, or up to `upto` if that is lower,
    in chunks: memory is bounded, and what is appended meanwhile is left for the next call. Of a
    span of time, what was recorded long before or after is not looked at. What an event holds is
    decoded when it is asked for: as `event` its type, as `data` a dict.

    Raises:
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    head = safe_head(connection)
    last = head if upto is None else min(head, upto)
    query = matching(where)
    parts = ranges(connection, after, last, since=where.since, until=where.until, backward=backward)
    for low, high in parts:
        events = _paged(connection, query, event_logs.c.id, low, high, backward, limit)
        if limit is None:
            yield from events
            continue
        for event in events:
            limit -= 1
            yield event
        if not limit:
            return


def fetch(connection: Connection, query: Select[Any]) -> list[RecordedEvent]:
    """The events of a query that `matching` made, all at once."""
    return list(_fetched(connection, query))


def _fetched(connection: Connection, query: Select[Any]) -> Iterator[RecordedEvent]:
    """The events of a query; all are with this process when the first is there."""
    raw = msgspec.Raw
    with connection.execute(query, execution_options=_BINARY) as result:
        # The driver's tuples: SQLAlchemy's rows would take a third of the time. The driver has all
        # of them as bytes and makes few at a time, or Python's collector would go through
        # thousands of live objects again and again, which takes half of the time.
        cursor = result.cursor
        assert cursor is not None
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            for p, e, t, kind, entity, v, type_, schema, data, meta, u, at, rec in rows:
                yield RecordedEvent(
                    p, e, t, kind, entity, v, type_, schema, raw(data), raw(meta), u, at, rec
                )


def _paged(
    connection: Connection,
    query: Select[Any],
    key: ColumnElement[int],
    after: int,
    upto: int | None,
    backward: bool,
    limit: int | None,
) -> Iterator[RecordedEvent]:
    """The events of a query with keys above `after` up to `upto`, in order of the key."""
    # Each page is the same statement with other values, so that it is compiled once.
    query = query.where(key > bindparam("after"), key <= bindparam("upto"))
    query = query.order_by(key.desc() if backward else key).limit(bindparam("size"))
    low, high = after, _HIGHEST if upto is None else upto
    name = "position" if key is event_logs.c.id else "version"
    size = _FIRST_CHUNK
    while limit is None or limit > 0:
        wanted = size if limit is None else min(size, limit)
        count = characters = 0
        for event in _fetched(connection, query.params(after=low, upto=high, size=wanted)):
            count += 1
            characters += len(event.raw_data) + len(event.raw_metadata)
            yield event
        if count < wanted:
            return
        limit = None if limit is None else limit - wanted
        if backward:
            high = getattr(event, name) - 1
        else:
            low = getattr(event, name)
        size = min(max(_CHUNK_CHARACTERS * count // characters, 1), _LARGEST_CHUNK)


def last_events(
    connection: Connection, tenant_id: UUID, entity_type: str, entity_ids: Sequence[UUID]
) -> dict[UUID, RecordedEvent]:
    """The newest event of each of these streams; streams that do not exist are left out."""
    query = (
        _events()
        .where(*_of_streams(tenant_id, entity_type, entity_ids))
        .ext(distinct_on(event_logs.c.entity_id))
        .order_by(event_logs.c.entity_id, event_logs.c.version.desc())
    )
    return {event.entity_id: event for event in fetch(connection, query)}


def last_event_types(
    connection: Connection,
    tenant_id: UUID,
    entity_type: str,
    entity_ids: Sequence[UUID],
    among: Collection[str],
) -> dict[UUID, str]:
    """The type of the newest event of each of these streams, among these types; reads no payload.

    Streams without such an event are left out.
    """
    query = (
        select(event_logs.c.entity_id, event_logs.c.event_type)
        .where(*_of_streams(tenant_id, entity_type, entity_ids), event_logs.c.event_type.in_(among))
        .ext(distinct_on(event_logs.c.entity_id))
        .order_by(event_logs.c.entity_id, event_logs.c.version.desc())
    )
    return {row.entity_id: row.event_type for row in connection.execute(query)}


def read_streams(
    connection: Connection, tenant_id: UUID, entity_type: str, entity_ids: Sequence[UUID]
) -> dict[UUID, list[RecordedEvent]]:
    """The events of each of these streams, in order; streams that do not exist are left out.

    All at once in memory: for streams that are short.
    """
    query = (
        _events()
        .where(*_of_streams(tenant_id, entity_type, entity_ids))
        .order_by(event_logs.c.entity_id, event_logs.c.version)
    )
    streams: dict[UUID, list[RecordedEvent]] = {}
    for event in fetch(connection, query):
        streams.setdefault(event.entity_id, []).append(event)
    return streams


def existing_streams(
    connection: Connection, tenant_id: UUID, entity_type: str, entity_ids: Sequence[UUID]
) -> set[UUID]:
    """Which of these entities have any event."""
    found = connection.execute(
        _EXISTING,
        {"tenant_id": tenant_id, "entity_type": entity_type, "entity_ids": list(entity_ids)},
    )
    return set(found.scalars())


def matching(where: Filter) -> Select[Any]:
    """The query for the events that a filter lets through, in no order."""
    query = _events()
    if where.types is not None:
        query = query.where(event_logs.c.event_type.in_(where.types))
    for name in ("tenant_id", "entity_type", "entity_id", "user_id"):
        if (value := getattr(where, name)) is not None:
            query = query.where(event_logs.c[name] == value)
    if where.since is not None:
        query = query.where(event_logs.c.occurred_at >= where.since)
    if where.until is not None:
        query = query.where(event_logs.c.occurred_at < where.until)
    if (left_out := where.leave_out) is not None:
        word = event_logs.c.data[left_out.field].astext
        is_left_out = and_(event_logs.c.event_type == left_out.event_type, word.in_(left_out.words))
        query = query.where(is_left_out.is_not(True))
    return query


def _of_streams(
    tenant_id: UUID, entity_type: str, entity_ids: Sequence[UUID]
) -> tuple[ColumnElement[bool], ...]:
    return (
        event_logs.c.entity_id.in_(entity_ids),
        event_logs.c.entity_type == entity_type,
        event_logs.c.tenant_id == tenant_id,
    )


def _events() -> Select[Any]:
    """Every column, in the order of RecordedEvent's fields, JSON as text."""
    return select(
        event_logs.c.id.label("position"),
        *(
            cast(column, Text).label(column.name) if isinstance(column.type, JSONB) else column
            for column in event_logs.c
            if column.name != "id"
        ),
    )
