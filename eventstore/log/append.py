"""Append of events through the SQL function append_events."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base import tracing
from quantum_forge.eventstore.base.codec import decode, encode, encode_metadata
from quantum_forge.eventstore.base.envelope import MUST_EXIST, NewEvent, Placed, Position
from quantum_forge.eventstore.base.errors import (
    EventIdReused,
    EventRefused,
    EventTooLarge,
    LogIsAppendOnly,
    OtherTenant,
    QuantumForgeError,
    StreamLocked,
    UnsafeIsolation,
    VersionConflict,
)
from quantum_forge.eventstore.base.size import (
    LARGEST_CALL_SIZE,
    LARGEST_EVENT,
    require_append_size,
    require_event_size,
)
from quantum_forge.eventstore.database.availability.deadline import PING_DEADLINE, followed
from quantum_forge.eventstore.database.availability.standby import standby_error
from quantum_forge.eventstore.database.engine import refusal
from quantum_forge.eventstore.log import wakeups
from quantum_forge.eventstore.log.stream_locks import named_holder

_APPEND = text(
    "SELECT event_id, position, version, appended FROM append_events(CAST(:events AS jsonb))"
)

LARGEST_CALL = 10_000
"""Events that append_events takes in one call; it refuses more."""

_SMALLEST_EVENT = 200
"""Characters of JSON; three ids alone are 108."""

_STREAM = ("tenant_id", "entity_type", "entity_id")


class _Wire(msgspec.Struct, omit_defaults=True):
    """An event as append_events takes it.

    rules: the lifecycle of the entity is yet to be checked; append_events does not look at it.
    """

    event_id: UUID
    tenant_id: UUID
    entity_type: str
    entity_id: UUID
    event_type: str
    schema_version: int
    data: msgspec.Raw
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    user_id: UUID | None = None
    occurred_at: datetime | None = None
    expected_version: int | None = None
    rules: bool = False


def append(connection: Connection, events: Sequence[NewEvent]) -> list[Placed]:
    """Append events to their streams, all or none, in the given order; does not commit.

    An event whose id is already in its stream is not appended again, so a call may be repeated
    until it is known to have succeeded.

    Returns:
        Where each event is, in the given order.

    Raises:
        EventRefused: when a payload does not fit its type; nothing was sent.
        EventTooLarge, AppendTooLarge: beyond the limits in `quantum_forge.eventstore.base.size`;
        nothing was sent.
        VersionConflict: when a stream is not at its expected version.
        EventIdReused: when an id comes back with other content.
        StreamLocked: when another transaction holds a stream for longer than lock_timeout, or for
            30 s where that is 0.
    """
    return append_wire(connection, encode_wire(events)) if events else []


def append_wire(connection: Connection, wire: bytes) -> list[Placed]:
    """Append what `encode_wire` made, as `append` does; does not commit."""
    with translated_errors(connection.engine), tracing.span("append"):
        rows = [
            row
            for call in calls_of(wire.decode())
            for row in connection.execute(_APPEND, {"events": call})
        ]
    wakeups.mark(connection)
    return [Placed(row.event_id, Position(row.position), row.version, row.appended) for row in rows]


def calls_of(wire: str) -> list[str]:
    """Split an append into calls for one transaction.

    Each has at most `LARGEST_CALL` events and, unless it is one event, `LARGEST_CALL_SIZE` bytes.

    Raises:
        EventIdReused: when one id is used in two streams.
        EventTooLarge: when an event is larger than `LARGEST_EVENT`.
    """
    if len(wire) < LARGEST_CALL * _SMALLEST_EVENT:
        return [wire]
    groups = _groups(msgspec.json.decode(wire, type=list[dict[str, msgspec.Raw]]))
    if len(groups) == 1:
        return [wire]
    calls = []
    streams: dict[bytes, tuple[bytes, ...]] = {}
    lengths: Counter[tuple[bytes, ...]] = Counter()
    for call in groups:
        before = lengths.copy()
        for event in call:
            id_ = bytes(event["event_id"])
            stream = tuple(bytes(event[name]) for name in _STREAM)
            if id_ not in streams:
                streams[id_] = stream
                lengths[stream] += 1
            elif streams[id_] != stream:
                raise EventIdReused("one event_id is used for events of two streams")
            expected = msgspec.json.decode(event.get("expected_version", b"null"))
            if before[stream] and expected is not None and expected != MUST_EXIST:
                # What the earlier calls append to the stream is there by then.
                raised = msgspec.json.encode(expected + before[stream])
                event["expected_version"] = msgspec.Raw(raised)
        calls.append(msgspec.json.encode(call).decode())
    return calls


def _groups(events: list[dict[str, msgspec.Raw]]) -> list[list[dict[str, msgspec.Raw]]]:
    """Divide events, in their order, into what one call takes."""
    groups: list[list[dict[str, msgspec.Raw]]] = [[]]
    total = 0
    for event in events:
        size = sum(len(bytes(event.get(name, b""))) for name in ("data", "metadata"))
        if size > LARGEST_EVENT:
            require_event_size(
                msgspec.json.decode(event["event_type"], type=str),
                msgspec.json.decode(event["event_id"], type=UUID),
                size,
            )
        total += size
        if groups[-1] and (len(groups[-1]) == LARGEST_CALL or total > LARGEST_CALL_SIZE):
            groups.append([])
            total = size
        groups[-1].append(event)
    return groups


def encode_wire(events: Sequence[NewEvent], *, rules: bool = False) -> bytes:
    """The JSON that append_events takes.

    Args:
        events: to be appended.
        rules: whether to note that the rules of their entities are to be checked before.

    Raises:
        EventRefused: when a payload or its envelope cannot be stored.
        EventTooLarge, AppendTooLarge: beyond the limits in `quantum_forge.eventstore.base.size`.
    """
    wires = []
    size = 0
    for event in events:
        wire = _wire(event, rules)
        wires.append(wire)
        size += len(memoryview(wire.data))
        # What is beyond the limit is not encoded to the end.
        require_append_size(len(wires), size)
    try:
        encoded = msgspec.json.encode(wires)
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError) as error:
        raise EventRefused("append", f"an event's envelope: {error}") from error
    require_append_size(len(wires), len(encoded))
    return encoded


def _wire(new: NewEvent, rules: bool) -> _Wire:
    data = encode(new.event)
    metadata = encode_metadata(new.event.event_type, new.metadata)
    require_event_size(new.event.event_type, new.event_id, len(data) + len(metadata))
    occurred_at = new.occurred_at
    if occurred_at is not None and getattr(occurred_at, "tzinfo", None) is None:
        raise EventRefused(new.event.event_type, "occurred_at has no time zone")
    return _Wire(
        event_id=new.event_id,
        tenant_id=new.tenant_id,
        entity_type=new.event.entity_type,
        entity_id=new.entity_id,
        event_type=new.event.event_type,
        schema_version=new.event.schema_version,
        data=msgspec.Raw(data),
        metadata=msgspec.Raw(metadata) if new.metadata else msgspec.UNSET,
        user_id=new.user_id,
        occurred_at=occurred_at,
        expected_version=new.expected_version,
        rules=rules,
    )


def decode_wire(wire: bytes) -> list[NewEvent]:
    """The events of which `encode_wire` made this JSON.

    Raises:
        EventRefused: when an event type is unknown, or a payload does not fit it.
    """
    try:
        wires = msgspec.json.decode(wire, type=list[_Wire])
    except msgspec.MsgspecError as error:
        raise EventRefused("append", f"an event's envelope: {error}") from error
    return [
        NewEvent(
            tenant_id=each.tenant_id,
            entity_id=each.entity_id,
            event=decode(each.event_type, bytes(each.data), schema_version=each.schema_version),
            user_id=each.user_id,
            expected_version=each.expected_version,
            occurred_at=each.occurred_at,
            metadata=({} if each.metadata is msgspec.UNSET else msgspec.json.decode(each.metadata)),
            event_id=each.event_id,
        )
        for each in wires
    ]


@contextmanager
def translated_errors(engine: Engine | None = None) -> Iterator[None]:
    """Turn what the log's SQL functions raise into errors of ours, by SQLSTATE.

    engine: through which to ask who holds a stream, over a connection of its own.
    """
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        translated = _translate(error.orig if isinstance(error, DBAPIError) else error)
        if translated is None:
            raise
        if isinstance(translated, StreamLocked) and engine is not None:
            translated = named_holder(followed(engine, PING_DEADLINE)) or translated
        raise translated from error


def _translate(error: BaseException | None) -> QuantumForgeError | None:
    if (refused := standby_error(error) or refusal(error)) is not None:
        return refused
    diagnosis = getattr(error, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(error)
    match getattr(error, "sqlstate", None):
        case "QF001":
            return LogIsAppendOnly()
        case "QF003":
            facts = msgspec.json.decode(getattr(diagnosis, "message_detail", None) or "{}")
            stream = f"{facts['entity_type']} {facts['entity_id']}"
            return VersionConflict(stream, facts["expected"], facts["actual"])
        case "QF004":
            return EventIdReused(message)
        case "QF013":
            facts = msgspec.json.decode(getattr(diagnosis, "message_detail", None) or "{}")
            return EventTooLarge(
                facts["event_type"], UUID(facts["event_id"]), facts["size"], facts["limit"]
            )
        case "QF005" | "40001" as state:
            return UnsafeIsolation(may_pass=state == "40001")
        case "55P03":
            return StreamLocked()
        case "QF007":
            return OtherTenant(message)
        case "QF002" | "23502" | "23514":
            return EventRefused("append_events", message)
        case str(state) if state.startswith(("22", "54")):
            # An invalid value, or one beyond a limit of PostgreSQL.
            return EventRefused("append_events", message)
    return None
