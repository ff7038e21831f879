"""How many messages come of how many events, and that each event is told of once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from quantum_forge.eventstore.base.envelope import Position, RecordedEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.notifications.gatherings import Gatherings
from quantum_forge.notifications.matters import Subject
from quantum_forge.schema.domains.calculations import CalculationFailed
from quantum_forge.schema.domains.notifications import Gathering, NotificationKind

USER = UUID(int=7)
BEGIN = datetime(2026, 11, 16, tzinfo=UTC)
JOIN = 60.0


def failure(number: int, at: datetime) -> RecordedEvent:
    """A calculation that failed."""
    data = b'{"error_type":"timeout","error_message":"too slow"}'
    return RecordedEvent(
        Position(number),
        uuid7(),
        UUID(int=1),
        "calculation",
        uuid7(),
        2,
        CalculationFailed.event_type,
        1,
        msgspec.Raw(data),
        msgspec.Raw(b"{}"),
        USER,
        at,
        at,
    )


def told(gaps: list[float], restarts: set[int]) -> tuple[list[int], int]:
    """How many failures each message tells of, and how many wait, if each came a gap later.

    The notifier looks every 10 s, and is started again, from what the log remembers, at `restarts`.
    """
    gatherings, now, messages = Gatherings(), BEGIN, list[int]()

    def look() -> None:
        for each in gatherings.due(now, JOIN):
            messages.append(each.take(now, JOIN).event_count)

    for number, gap in enumerate(gaps, start=1):
        until = now + timedelta(seconds=gap)
        while now < until:
            now = min(until, now + timedelta(seconds=10))
            look()
        if number in restarts:
            kept = msgspec.json.encode(gatherings.kept(now))
            gatherings = Gatherings(msgspec.json.decode(kept, type=list[Gathering]))
        open_ = gatherings.of(USER, NotificationKind.FAILURE)
        open_.add(failure(number, now), Subject(USER, None), "x" if open_.wants_a_line else None)
    waiting = [each.matter.event_count for each in gatherings.kept(now) if each.matter]
    return messages, sum(waiting)


@given(st.lists(st.floats(0, 5000), max_size=30), st.sets(st.integers(1, 30)))
def test_each_failure_is_told_of_once_whatever_is_restarted(
    gaps: list[float], restarts: set[int]
) -> None:
    """Nothing is lost or repeated between messages, and a restart changes no message."""
    messages, waiting = told(gaps, restarts)

    assert sum(messages) + waiting == len(gaps)
    assert (messages, waiting) == told(gaps, set())


def test_ten_thousand_failures_in_a_night_are_a_dozen_messages() -> None:
    """The first after a minute, the last after an hour at most, each with a few lines."""
    messages, waiting = told([3.0] * 10_000, set())

    assert 5 < len(messages) < 16
    assert messages[0] <= 30
    assert sum(messages) + waiting == 10_000
