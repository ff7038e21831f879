"""Gathering: events that concern a user become one message, and messages keep a distance.

A message tells of what came within a minute. The next one of the same kind waits four minutes, the
one after it sixteen, up to an hour, until there was nothing for an hour: a campaign that goes wrong
sends a dozen messages in a night, and the first one soon.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.notifications.matters import Subject, batch_of, error_of
from quantum_forge.schema.domains.notifications import (
    SHOWN,
    Gathering,
    Matter,
    NotificationKind,
)

GROWTH = 4.0
"""How many times as long as before the next message of a kind waits."""

LONGEST_PAUSE = 3600.0
"""Seconds between two messages of a kind at most; as much without one, and it begins anew."""

SPACED = frozenset({NotificationKind.FAILURE, NotificationKind.GIVEN_UP})
"""Kinds that come in great numbers; the others are told at once."""


class Open:
    """What is gathered for one user and one kind."""

    def __init__(self, gathering: Gathering) -> None:
        self.user_id, self.kind = gathering.user_id, gathering.kind
        self._sent_at, self._pause = gathering.sent_at, gathering.pause_seconds
        self._since = gathering.since
        self._matter = gathering.matter
        self._keys: list[UUID] = []

    @property
    def wants_a_line(self) -> bool:
        """Whether the next event gets a line of its own."""
        return self._matter is None or len(self._matter.lines) < SHOWN

    def add(self, event: RecordedEvent, subject: Subject, line: str | None) -> None:
        """Add an event; `line`: about it, where it gets one."""
        before = self._matter
        error, batch = error_of(event), batch_of(event, subject)
        if before is None:
            self._since, self._keys = event.recorded_at, []
        # A batch that goes on by itself, as retries succeed, completes again and again.
        is_again = self.kind is NotificationKind.COMPLETION and event.entity_id in self._keys
        lines = [] if before is None else list(before.lines)
        if is_again and line is not None:
            lines[len(lines) - len(self._keys) + self._keys.index(event.entity_id)] = line
        elif line is not None:
            lines.append(line)
            self._keys.append(event.entity_id)
        batches = [] if before is None else list(before.batches)
        if batch is not None and batch not in batches and len(batches) < SHOWN:
            batches.append(batch)
        tally = {} if before is None else dict(before.tally)
        if error is not None:
            tally[error] = tally.get(error, 0) + 1
        self._matter = Matter(
            event_count=(0 if before is None else before.event_count) + (not is_again),
            first_event_id=event.event_id if before is None else before.first_event_id,
            first_position=event.position if before is None else before.first_position,
            last_position=event.position,
            tally=tally,
            lines=lines,
            batches=batches,
        )

    def is_due(self, now: datetime, join_seconds: float) -> bool:
        """Return whether what was gathered is to be told now."""
        if self._matter is None or self._since is None:
            return False
        if self.kind not in SPACED:
            return True
        if now < self._since + timedelta(seconds=join_seconds):
            return False
        return self._sent_at is None or now >= self._sent_at + timedelta(seconds=self._pause)

    def take(self, now: datetime, join_seconds: float) -> Matter:
        """Return what was gathered, and begin anew."""
        assert self._matter is not None
        quiet = self._sent_at is None or now >= self._sent_at + timedelta(
            seconds=self._pause + LONGEST_PAUSE
        )
        longer = join_seconds if quiet else max(self._pause, join_seconds)
        self._pause = min(GROWTH * longer, max(LONGEST_PAUSE, join_seconds))
        self._sent_at = now
        matter, self._matter, self._since = self._matter, None, None
        return matter

    def kept(self, now: datetime) -> Gathering | None:
        """Return what the log remembers of it; None where that is nothing."""
        rests = self._sent_at is not None and now < self._sent_at + timedelta(
            seconds=self._pause + LONGEST_PAUSE
        )
        if self._matter is None and not (rests and self.kind in SPACED):
            return None
        return Gathering(
            user_id=self.user_id,
            kind=self.kind,
            sent_at=self._sent_at,
            pause_seconds=self._pause,
            since=self._since,
            matter=self._matter,
        )


class Gatherings:
    """What is gathered, by user and kind.

    Args:
        kept: what the log remembers.
    """

    def __init__(self, kept: Iterable[Gathering] = ()) -> None:
        self._open = {(each.user_id, each.kind): Open(each) for each in kept}

    def of(self, user_id: UUID, kind: NotificationKind) -> Open:
        """Return what is gathered for a user."""
        if (found := self._open.get((user_id, kind))) is None:
            found = self._open[user_id, kind] = Open(Gathering(user_id=user_id, kind=kind))
        return found

    def due(self, now: datetime, join_seconds: float) -> list[Open]:
        """Return what is to be told now."""
        return [each for each in self._open.values() if each.is_due(now, join_seconds)]

    def kept(self, now: datetime) -> list[Gathering]:
        """Return what the log remembers of all."""
        found = (each.kept(now) for each in self._open.values())
        return [each for each in found if each is not None]
