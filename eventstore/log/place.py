"""Places in the log: a position with a digest that detects another log.

A standby that replaces its primary may lack the last events that a reader has seen, and gives their
positions to other events. A position alone does not show that. The id of its event shows that this
event is still there, and a digest of the events before it shows that these are.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    case,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from quantum_forge.eventstore.base.envelope import Position, RecordedEvent
from quantum_forge.eventstore.base.errors import NoPublishedHead, QuantumForgeError
from quantum_forge.eventstore.database.tenancy import sees_every_tenant
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.schema.tables import event_logs, published_head

REMEMBERED = 1_000
"""Events that are compared when reading begins again. Appends that ran side by side can be
committed in another order than that of their positions, so the last event can be there while one
before it is lost."""

SPAN = 100_000
"""Positions, down from its own, within which a place looks for these events. It bounds the time
for a tenant that has few of them."""

_DIGEST = re.compile(r"(all|tenant)-([0-9]{1,18})-([0-9a-f]{16})")
_DIGEST_BYTES = 8
_FIRST_STORED = text("SELECT min(first_position) FROM event_partitions()")


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A position up to which the log was read, the event there, and a digest of those before it.

    event_id: None where it is not known, or where nothing was read. digest: of the last REMEMBERED
    events that lie within the last SPAN positions, as `tenant-3712-9f86d081884c7d65`: of which
    events (of the tenant of the event at the position, or of all), the position of the first one,
    and the first 8 bytes of the SHA-256 of their positions (8 bytes each, big-endian) and event
    ids (16 bytes each) in order. None where only the event at the position is compared.

    Raises:
        ValueError: the digest is not one of this place.
    """

    position: Position = Position(0)
    event_id: UUID | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if self.digest is None:
            return
        match = _DIGEST.fullmatch(self.digest)
        # The bound keeps the query short for any input.
        if match is None or self.event_id is None or not 0 <= self.position - int(match[2]) < SPAN:
            raise ValueError(f"{self.digest!r} is not a digest of events up to {self.position}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the place that `4711`, `4711:EVENT_ID` or `4711:EVENT_ID:DIGEST` means.

        Raises:
            ValueError: it is neither.
        """
        position, *rest = text.split(":")
        if position.isdecimal() and len(position) <= 18 and len(rest) <= 2:
            try:
                event_id = UUID(rest[0]) if rest else None
                return cls(Position(int(position)), event_id, rest[1] if rest[1:] else None)
            except ValueError:
                pass
        raise ValueError(
            f"{text!r} is not a place in the log; write 4711, 4711:EVENT_ID or, as an export "
            "printed it, 4711:EVENT_ID:DIGEST"
        )

    def __str__(self) -> str:
        parts = (self.position, self.event_id, self.digest)
        return ":".join(str(part) for part in parts if part is not None)


class BeyondHead(QuantumForgeError):
    """What was asked for has not happened yet, or is not known to be complete.

    published_at: on a standby, when its primary published the head; a standby comes further.
    """

    exit_status = 2

    def __init__(
        self, asked: int | datetime, head: int, published_at: datetime | None = None
    ) -> None:
        self.asked = asked
        self.head = head
        self.may_pass = published_at is not None
        what = asked.isoformat() if isinstance(asked, datetime) else f"position {asked}"
        passed = (
            "a time that has passed"
            if published_at is None
            else f"a time up to {published_at.isoformat()}, when the primary published its head to "
            "this standby"
        )
        super().__init__(
            f"{what} is beyond the end of the log: give a position from 0 to {head}, or {passed}"
        )


class LogDiverged(QuantumForgeError):
    """The log does not hold an event that a reader has seen, or holds another one in its place."""

    exit_status = 2

    def __init__(
        self,
        position: int,
        seen: UUID,
        found: UUID | None,
        *,
        head: int | None = None,
        first: int | None = None,
        sees_all: bool = True,
    ) -> None:
        """Compose the message.

        Args:
            position: where the event was.
            seen: the event that was read there.
            found: the event that is there now.
            head: the end of the log, where the position is beyond it.
            first: where the event is there, but not those from this position on.
            sees_all: whether this login sees the events of every tenant.
        """
        self.position = position
        self.seen = seen
        self.found = found
        now = "no event" if found is None else f"event {found}"
        end = "" if head is None else f", the log ends at {head}"
        unseen = (
            ""
            if sees_all or found is not None
            else " that this login sees (it sees the events of one tenant only)"
        )
        what = (
            f"event {seen} was at position {position}, where {now} is now{unseen}{end}"
            if first is None
            else (
                f"event {seen} is at position {position}, but the events from position {first} to "
                "it are not those that were read"
            )
        )
        super().__init__(
            f"this is not the log that was read: {what}. Did a standby that lagged behind replace "
            "the primary? Results taken from the lost events are no longer valid: read again "
            "from before the failover"
        )


class PlaceOfEveryTenant(QuantumForgeError):
    """A place that was taken over the events of every tenant is given to a reader of one tenant."""

    exit_status = 2

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(
            f"the place at position {position} covers the events of all tenants, but this login "
            "sees those of one tenant only and cannot compare them: use a login that sees all "
            f"tenants, or begin without a comparison at --after {position}"
        )


def place_at(
    connection: Connection, upto: int, *, tenant_id: UUID | None = None, above: int = 0
) -> Place:
    """Return the place of the newest event at or below a position, or `Place()` if there is none.

    Reading on from there skips nothing: there is no event between it and the position. One query by
    primary key.

    Args:
        connection: of a reader; the digest is over the events that it sees.
        upto: a position at or below the safe head: an event that appears below it later would be
            taken for another log.
        tenant_id: take only the events of this tenant, which may be fewer than the reader sees.
        above: look only above this position for the newest event.
    """
    c = event_logs.c
    mine = literal(True) if tenant_id is None else c.tenant_id == tenant_id
    newest = (
        select(c.id).where(c.id > above, c.id <= upto, mine).order_by(c.id.desc()).limit(1)
    ).scalar_subquery()
    events = (
        select(c.id, c.event_id)
        .where(c.id <= newest, c.id > newest - SPAN, mine)
        .order_by(c.id.desc())
        .limit(REMEMBERED)
        .subquery("events")
    )
    ids = func.array_agg(aggregate_order_by(events.c.event_id, events.c.id.desc()))
    row = connection.execute(
        select(
            func.max(events.c.id).label("last"),
            func.min(events.c.id).label("first"),
            ids[1].label("event_id"),
            _digest(events.c.id, events.c.event_id).label("digest"),
        )
    ).one()
    if row.last is None:
        return Place()
    scope = "all" if tenant_id is None and sees_every_tenant(connection) else "tenant"
    return Place(Position(row.last), row.event_id, f"{scope}-{row.first}-{row.digest}")


def require_place(connection: Connection, place: Place) -> None:
    """Check that the log has the events of a place, when reading begins: once, by primary key.

    Where the first events of the digest are in a partition that was removed since, only the event
    at the position is compared.

    Raises:
        BeyondHead: the log has not assigned the position, and no event is known there; or a
            standby has not come so far.
        NoPublishedHead: on a standby whose primary has published no head.
        LogDiverged: the log has another event there, or none, or other events before it.
        PlaceOfEveryTenant
    """
    match = None if place.digest is None else _DIGEST.fullmatch(place.digest)
    if match is not None and match[1] == "all" and not sees_every_tenant(connection):
        raise PlaceOfEveryTenant(place.position)
    require_event(connection, place)
    if match is None or place.event_id is None:
        return
    c = event_logs.c
    first = int(match[2])
    query = select(_digest(c.id, c.event_id)).where(c.id >= first, c.id <= place.position)
    if match[1] == "tenant":
        tenant = select(c.tenant_id).where(c.id == place.position).scalar_subquery()
        query = query.where(c.tenant_id == tenant)
    if connection.scalar(query) != match[3] and first >= _first_stored(connection):
        raise LogDiverged(place.position, place.event_id, place.event_id, first=first)


def require_event(connection: Connection, place: Place) -> None:
    """Check that the log reaches a place and has its event there, without the events before it.

    Raises:
        BeyondHead, NoPublishedHead, LogDiverged: see `require_place`.
    """
    # The safe head can fall for a moment, while an append holds it back; this number cannot.
    # On a standby, which may lag, the published head is as far as the log is known.
    in_recovery = func.pg_is_in_recovery()
    position = select(published_head.c.position).scalar_subquery()
    time = select(published_head.c.published_at).scalar_subquery()
    assigned, published_at = connection.execute(
        select(
            case((in_recovery, position), else_=func.last_assigned_position(type_=BigInteger)),
            case((in_recovery, time)),
        )
    ).one()
    if assigned is None:
        raise NoPublishedHead
    if place.position > assigned:
        if published_at is not None:
            raise BeyondHead(place.position, assigned, published_at)
        if place.event_id is not None:
            raise LogDiverged(place.position, place.event_id, None, head=assigned)
        raise BeyondHead(place.position, assigned)
    if place.event_id is not None:
        _require_events(connection, {place.position: place.event_id})


class Trail:
    """The place that a follower began at, and the last events that it has passed on.

    Args:
        after: the place after which to begin; of a bare position it is only checked that the log
            reaches it, and then remembered which event is there.
    """

    def __init__(self, after: int | Place) -> None:
        self._begun = after if isinstance(after, Place) else Place(Position(after))
        self._passed: deque[tuple[int, UUID]] = deque(maxlen=REMEMBERED)

    @property
    def position(self) -> Position:
        """Position of the last event that was passed on."""
        return Position(self._passed[-1][0]) if self._passed else self._begun.position

    @property
    def place(self) -> Place:
        """The last event that was passed on, or where it began."""
        return Place(self.position, self._passed[-1][1]) if self._passed else self._begun

    def add(self, event: RecordedEvent) -> None:
        """Remember an event that is passed on."""
        self._passed.append((event.position, event.event_id))

    def require(self, connection: Connection) -> None:
        """Check, after a connection was made, that the log still has what was passed on.

        Raises:
            BeyondHead, LogDiverged, PlaceOfEveryTenant
        """
        if self._passed:
            require_event(connection, self.place)
            # Events in a partition that was removed since cannot be compared.
            stored = _first_stored(connection)
            _require_events(connection, {p: id_ for p, id_ in self._passed if p >= stored})
            if self._begun.position >= stored and len(self._passed) < REMEMBERED:
                require_place(connection, self._begun)
        else:
            require_place(connection, self._begun)
        if self._begun.event_id is None and self._begun.position <= safe_head(connection):
            self._begun = place_at(connection, self._begun.position)


def _digest(position: ColumnElement[int], event_id: ColumnElement[UUID]) -> ColumnElement[str]:
    """Return the aggregate over events that a place is compared by; see `Place`."""
    one = func.int8send(position, type_=LargeBinary).op("||")(func.uuid_send(event_id))
    empty = literal(b"", LargeBinary)
    all_ = func.string_agg(one, aggregate_order_by(empty, position), type_=LargeBinary)
    return func.encode(func.substr(func.sha256(all_), 1, _DIGEST_BYTES), "hex")


def _first_stored(connection: Connection) -> int:
    """Return the lowest position for which there is a partition of its own."""
    return connection.scalar(_FIRST_STORED) or 0


def _require_events(connection: Connection, seen: Mapping[int, UUID]) -> None:
    found = _ids_at(connection, list(seen))
    for position, event_id in seen.items():
        if (now := found.get(position)) != event_id:
            sees_all = now is not None or sees_every_tenant(connection)
            raise LogDiverged(position, event_id, now, sees_all=sees_all)


def _ids_at(connection: Connection, positions: Sequence[int]) -> dict[int, UUID]:
    if not positions:
        return {}
    query = select(event_logs.c.id, event_logs.c.event_id).where(event_logs.c.id.in_(positions))
    return {row.id: row.event_id for row in connection.execute(query)}
