"""How far a reader of the log has come, and whether the log is still the one that it read.

A standby that replaces its primary may lack the last events that a reader has seen, and gives their
positions to other events. A position alone does not show that; the id of its event does.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Connection, case, func, select

from eventstore.envelope import Position, RecordedEvent
from eventstore.errors import NoPublishedHead, QuantumForgeError
from eventstore.read import safe_head
from schema.tables import event_logs, published_head

REMEMBERED = 1_000
"""Events that a follower compares after it has connected again. Appends that ran side by side can
be committed in another order than that of their positions, so its last event alone can be there
while one before it is lost."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A position up to which the log was read, and the id of the event there.

    event_id: None where it is not known, or where nothing was read.
    """

    position: Position = Position(0)
    event_id: UUID | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the place that a text such as `4711` or `4711:0199…` means.

        Raises:
            ValueError: it is neither.
        """
        position, colon, event_id = text.partition(":")
        if not position.isdecimal() or len(position) > 18:
            raise ValueError(f"{text!r} is not a position; write 4711, or 4711:EVENT_ID")
        return cls(Position(int(position)), UUID(event_id) if colon else None)

    def __str__(self) -> str:
        return str(self.position) if self.event_id is None else f"{self.position}:{self.event_id}"


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
        self, position: int, seen: UUID, found: UUID | None, *, head: int | None = None
    ) -> None:
        self.position = position
        self.seen = seen
        self.found = found
        now = "no event" if found is None else f"event {found}"
        end = "" if head is None else f", the log ends at {head}"
        super().__init__(
            f"this is not the log that was read: event {seen} was at position {position}, where "
            f"{now} is now{end}. Did a standby that was behind replace the primary? What was taken "
            "over from the lost events is no longer true: read again from before the failover"
        )


def place_at(connection: Connection, upto: int, *, tenant_id: UUID | None = None) -> Place:
    """Return the place of the newest event at or below a position, of a tenant if one is given.

    Reading on from there skips nothing: there is no event between it and the position.
    """
    query = (
        select(event_logs.c.id, event_logs.c.event_id)
        .where(event_logs.c.id <= upto)
        .order_by(event_logs.c.id.desc())
        .limit(1)
    )
    if tenant_id is not None:
        query = query.where(event_logs.c.tenant_id == tenant_id)
    row = connection.execute(query).one_or_none()
    return Place() if row is None else Place(Position(row.id), row.event_id)


def require_place(connection: Connection, place: Place) -> None:
    """Check that the log reaches a place and has its event there: one look-up by primary key.

    Raises:
        BeyondHead: the log has not assigned the position, and no event is known there; or a
            standby has not come so far.
        NoPublishedHead: on a standby whose primary has published no head.
        LogDiverged: the log has another event there, or none.
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
            BeyondHead, LogDiverged
        """
        require_place(connection, self.place)
        _require_events(connection, dict(self._passed))
        if self._begun.event_id is None and self._begun.position <= safe_head(connection):
            self._begun = place_at(connection, self._begun.position)


def _require_events(connection: Connection, seen: Mapping[int, UUID]) -> None:
    found = _ids_at(connection, list(seen))
    for position, event_id in seen.items():
        if found.get(position) != event_id:
            raise LogDiverged(position, event_id, found.get(position))


def _ids_at(connection: Connection, positions: Sequence[int]) -> dict[int, UUID]:
    if not positions:
        return {}
    query = select(event_logs.c.id, event_logs.c.event_id).where(event_logs.c.id.in_(positions))
    return {row.id: row.event_id for row in connection.execute(query)}
