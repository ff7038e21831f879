"""Bulk loading by COPY, in chunks of one transaction, with the guarantees of append."""

import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.codec import encode, encode_metadata
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import ConnectionLost, EventRefused
from quantum_forge.eventstore.base.size import LARGEST_TEXT, require_event_size
from quantum_forge.eventstore.database.engine import where
from quantum_forge.eventstore.log import wakeups
from quantum_forge.eventstore.log.append import translated_errors

CHUNK = 40_000
"""Events of one transaction: its overhead vanishes, and readers wait for it about a second."""

CHUNK_BYTES = 32 * 2**20
"""Bytes of JSON after which a transaction ends earlier."""

_WRITE_BYTES = 2**17
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_COPY = """
    COPY pg_temp.load_staging (ord, event_id, tenant_id, entity_id, user_id, occurred_at,
                               schema_version, entity_type, event_type, data, metadata)
    FROM STDIN (FORMAT binary)
"""
# https://www.postgresql.org/docs/current/sql-copy.html: signature, flags, no extension; the end.
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_COLUMNS = 11
_NULL = -1
_JSONB_VERSION = b"\x01"
# A row up to schema_version, each value behind its length: with user and time, or without.
_FULL = struct.Struct(">hiii16si16si16si16siqih")
_NO_USER = struct.Struct(">hiii16si16si16siiqih")
_NO_TIME = struct.Struct(">hiii16si16si16si16siih")
_NEITHER = struct.Struct(">hiii16si16si16siiih")
_LENGTH = struct.Struct(">i")


class EncodedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose payload and metadata are JSON objects already, and are stored unchecked.

    For what was checked before, such as events of another log.
    """

    event_id: UUID
    tenant_id: UUID
    entity_type: str
    entity_id: UUID
    event_type: str
    data: bytes
    schema_version: int = 1
    metadata: bytes = b"{}"
    user_id: UUID | None = None
    occurred_at: datetime | None = None


class Loaded(msgspec.Struct, frozen=True):
    """How many events were appended, and how many were in the log already."""

    appended: int = 0
    repeated: int = 0


def load(
    engine: Engine,
    events: Iterable[NewEvent | EncodedEvent],
    *,
    chunk: int = CHUNK,
    on_chunk: Callable[[Loaded], None] = lambda _: None,
) -> Loaded:
    """Append any number of events in bounded memory, in the given order, chunk by chunk.

    Each chunk is all or none and commits; what is committed when a load fails or is killed stays.
    Run it again with the same events, and exactly the rest is appended. The next chunk is read and
    sent while the database inserts the one before, through a second connection.

    Args:
        engine: of the database.
        events: read once, in this thread; a list, a generator, a file's lines made into events.
        chunk: events of one transaction.
        on_chunk: called in this thread after each commit, with what the load has done so far.

    Returns:
        What was appended and what was there already.

    Raises:
        EventRefused: when an event does not fit its type, or expects a version, which only
            `append` can check.
        EventTooLarge: when an event is larger than `LARGEST_EVENT`.
        EventIdReused: when an id comes back with other content. Of the chunk nothing is appended.
    """
    if chunk < 1:
        raise ValueError(f"a chunk has at least 1 event, not {chunk}")
    total = Loaded()
    pending: Future[Loaded] | None = None
    rest = iter(events)

    def collect() -> None:
        nonlocal total, pending
        if pending is not None:
            done, pending = pending.result(), None
            total = Loaded(total.appended + done.appended, total.repeated + done.repeated)
            on_chunk(total)

    with ExitStack() as stack:
        inserting = stack.enter_context(ThreadPoolExecutor(1, "qforge-load"))
        connections: list[Connection] = []
        number = 0
        try:
            while (event := next(rest, None)) is not None:
                if len(connections) < 2:
                    connections.append(stack.enter_context(engine.connect()))
                staging = connections[number % 2]
                _stage(staging, event, rest, chunk)
                collect()
                pending = inserting.submit(_insert, staging)
                number += 1
            collect()
        except BaseException:
            # What is being inserted is given up rather than waited for: a later run repeats it.
            if pending is not None and not pending.done():
                _driver(connections[(number - 1) % 2]).cancel_safe(timeout=5)
            raise
    return total


def encoded(new: NewEvent) -> EncodedEvent:
    """An event in the form in which it is sent.

    Raises:
        EventRefused: when it does not fit its type, or expects a version.
    """
    event = new.event
    if new.expected_version is not None:
        raise EventRefused(
            event.event_type, "a load does not check expected_version; append the event instead"
        )
    if new.occurred_at is not None and new.occurred_at.tzinfo is None:
        raise EventRefused(event.event_type, "occurred_at has no time zone")
    data = encode(event)
    metadata = encode_metadata(event.event_type, new.metadata) if new.metadata else b"{}"
    require_event_size(event.event_type, new.event_id, len(data) + len(metadata))
    return EncodedEvent(
        event_id=new.event_id,
        tenant_id=new.tenant_id,
        entity_type=event.entity_type,
        entity_id=new.entity_id,
        event_type=event.event_type,
        data=data,
        schema_version=event.schema_version,
        metadata=metadata,
        user_id=new.user_id,
        occurred_at=new.occurred_at,
    )


def _stage(
    connection: Connection,
    first: NewEvent | EncodedEvent,
    rest: Iterator[NewEvent | EncodedEvent],
    chunk: int,
) -> None:
    """Send one chunk to a new staging table, in a transaction that is left open."""
    with translated_errors():
        connection.execute(text("SELECT prepare_load()"))
    with _translated_copy(connection), _driver(connection).cursor().copy(_COPY) as copy:
        rows = [_SIGNATURE]
        count = size = buffered = 0
        event: NewEvent | EncodedEvent | None = first
        while event is not None:
            count += 1
            row = _row(count, event if isinstance(event, EncodedEvent) else encoded(event))
            rows.append(row)
            buffered += len(row)
            if buffered >= _WRITE_BYTES:
                copy.write(b"".join(rows))
                size += buffered
                buffered = 0
                rows.clear()
            event = next(rest, None) if count < chunk and size < CHUNK_BYTES else None
        rows.append(_TRAILER)
        copy.write(b"".join(rows))


def _insert(connection: Connection) -> Loaded:
    """Append what is staged, and commit."""
    with translated_errors(connection.engine):
        row = connection.execute(text("SELECT appended, repeated FROM load_events()")).one()
        wakeups.mark(connection)
        connection.commit()
    return Loaded(row.appended, row.repeated)


def _row(ord: int, event: EncodedEvent) -> bytes:
    """One row of binary COPY."""
    size = len(event.data) + len(event.metadata)
    require_event_size(event.event_type, event.event_id, size, limit=LARGEST_TEXT)
    event_id, tenant, entity = event.event_id.bytes, event.tenant_id.bytes, event.entity_id.bytes
    user, version, time = event.user_id, event.schema_version, event.occurred_at
    known = (_COLUMNS, 4, ord, 16, event_id, 16, tenant, 16, entity)
    if time is None:
        if user is None:
            head = _NEITHER.pack(*known, _NULL, _NULL, 2, version)
        else:
            head = _NO_TIME.pack(*known, 16, user.bytes, _NULL, 2, version)
    else:
        microseconds = (time - _EPOCH) // _MICROSECOND
        if user is None:
            head = _NO_USER.pack(*known, _NULL, 8, microseconds, 2, version)
        else:
            head = _FULL.pack(*known, 16, user.bytes, 8, microseconds, 2, version)
    types = _text(event.entity_type) + _text(event.event_type)
    return head + types + _jsonb(event.data) + _jsonb(event.metadata)


@lru_cache(1024)
def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH.pack(len(data)) + data


def _jsonb(data: bytes) -> bytes:
    return _LENGTH.pack(len(data) + 1) + _JSONB_VERSION + data


def _driver(connection: Connection) -> "psycopg.Connection[tuple[object, ...]]":
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


@contextmanager
def _translated_copy(connection: Connection) -> Iterator[None]:
    """Turn what the driver raises into what SQLAlchemy and `append` raise."""
    try:
        yield
    except psycopg.Error as error:
        if _driver(connection).broken:
            target = where(connection.engine.url)
            raise ConnectionLost(
                target,
                f"the connection to {target} was lost",
                "run the load again; what was appended before is kept and not repeated",
            ) from error
        with translated_errors():
            raise DBAPIError(_COPY, None, error) from error
