"""Reading the log: one stream, or everything in order up to the safe head."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, Select, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from eventstore.append import translated_errors
from eventstore.envelope import Position, RecordedEvent, Stream
from schema.tables import event_logs

CHUNK = 1000
"""Events fetched by one statement: bounds memory, and needs no cursor that a pooler could lose."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to read; what is None does not restrict. Times are those of occurrence."""

    types: Sequence[str] | None = None
    tenant_id: UUID | None = None
    entity_type: str | None = None
    entity_id: UUID | None = None
    user_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Filter()


def safe_head(connection: Connection) -> Position:
    """The position up to which the log is complete: nothing at or below it can still appear.

    Read events up to it in a later statement, under READ COMMITTED.

    Raises:
        UnsafeIsolation: when the transaction has a stricter isolation level.
    """
    with translated_errors():
        return Position(connection.execute(text("SELECT safe_head()")).scalar_one())


def read_stream(
    connection: Connection, stream: Stream, *, after_version: int = 0, backward: bool = False
) -> Iterator[RecordedEvent]:
    """The events of one stream above a version, in order (or the newest first)."""
    version = event_logs.c.version
    query = (
        _events()
        .where(
            event_logs.c.entity_id == stream.entity_id,
            event_logs.c.entity_type == stream.entity_type,
            event_logs.c.tenant_id == stream.tenant_id,
            version > after_version,
        )
        .order_by(version.desc() if backward else version)
        .limit(CHUNK)
    )
    page = query
    while rows := connection.execute(page).mappings().all():
        yield from map(_recorded, rows)
        if len(rows) < CHUNK:
            return
        last = rows[-1]["version"]
        page = query.where(version < last if backward else version > last)


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
    in chunks: memory is bounded, and what is appended meanwhile is left for the next call.

    Raises:
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    head = safe_head(connection)
    query = matching(where).where(event_logs.c.id <= (head if upto is None else min(head, upto)))
    position = event_logs.c.id
    query = query.order_by(position.desc() if backward else position)
    page = query.where(position > after)
    left = limit
    while left is None or left > 0:
        size = CHUNK if left is None else min(CHUNK, left)
        rows = connection.execute(page.limit(size)).mappings().all()
        yield from map(_recorded, rows)
        if len(rows) < size:
            return
        left = None if left is None else left - size
        last = rows[-1]["position"]
        page = (
            query.where(position > after, position < last)
            if backward
            else query.where(position > last)
        )


def last_events(
    connection: Connection, tenant_id: UUID, entity_type: str, entity_ids: Sequence[UUID]
) -> dict[UUID, RecordedEvent]:
    """The newest event of each of these streams; streams that do not exist are left out."""
    query = (
        _events()
        .where(
            event_logs.c.entity_id.in_(entity_ids),
            event_logs.c.entity_type == entity_type,
            event_logs.c.tenant_id == tenant_id,
        )
        .ext(distinct_on(event_logs.c.entity_id))
        .order_by(event_logs.c.entity_id, event_logs.c.version.desc())
    )
    found = map(_recorded, connection.execute(query).mappings())
    return {event.entity_id: event for event in found}


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
    return query


def _events() -> Select[Any]:
    return select(
        event_logs.c.id.label("position"),
        *(column for column in event_logs.c if column.name != "id"),
    )


def _recorded(row: RowMapping) -> RecordedEvent:
    return RecordedEvent(**row)
