"""Between which positions the events of a span of time lie."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, Select, select, text

from schema.tables import event_logs

LONGEST_APPEND = timedelta(seconds=60)
"""How much later than its `recorded_at` an event may have got its position."""

WORTHWHILE = 10_000
"""Positions of which it is quicker to read the events than to look for those of a span."""

# Of values that are not known when it is planned, a range seems small: so both indexes are read,
# and only what both of them let through is looked at. As an expression, id has no index.
RECORDED_OUTSIDE = text("""
    SELECT min(id + 0) AS lowest, max(id + 0) AS highest
      FROM event_logs
     WHERE occurred_at >= (SELECT coalesce(CAST(:since AS timestamptz), '-infinity'))
       AND occurred_at < (SELECT coalesce(CAST(:until AS timestamptz), 'infinity'))
       AND recorded_at >= (SELECT coalesce(CAST(:begin AS timestamptz), '-infinity'))
       AND recorded_at < (SELECT coalesce(CAST(:end AS timestamptz), 'infinity'))
""")
"""The positions of what occurred in one span of time and was recorded in another one."""


def ranges(
    connection: Connection,
    after: int,
    upto: int,
    *,
    since: datetime | None,
    until: datetime | None,
    backward: bool = False,
) -> Iterator[tuple[int, int]]:
    """The parts of a range of positions that have every event which occurred in a span of time.

    The positions follow the database's clock, so a binary search finds where the span was recorded.
    What occurred in it by the clocks of clients, and was recorded outside of it, because it had
    waited in a spool, or was imported, or by a clock that is wrong, is found by two BRIN indexes;
    those are looked into only when it is the turn of that part.

    Args:
        connection: sees what is committed.
        after: the range begins above it, as each of its parts does.
        upto: and ends there.
        since: the beginning of the span, included.
        until: its end, excluded.
        backward: the newest part first.
    """
    low, high = after, upto
    if upto - after > WORTHWHILE:
        if since is not None:
            low = crossing(connection, since - LONGEST_APPEND, after, upto)
        if until is not None:
            high = crossing(connection, until + LONGEST_APPEND, low, upto)

    def early() -> Iterator[tuple[int, int]]:
        if low > after:
            times = {"since": since, "until": until, "begin": None, "end": since}
            lowest = connection.execute(RECORDED_OUTSIDE, times).one().lowest
            if lowest is not None and lowest <= low:
                yield max(lowest - 1, after), low

    def late() -> Iterator[tuple[int, int]]:
        if high < upto:
            times = {"since": since, "until": until, "begin": until, "end": None}
            highest = connection.execute(RECORDED_OUTSIDE, times).one().highest
            if highest is not None and highest > high:
                yield high, min(highest, upto)

    yield from late() if backward else early()
    yield low, high
    yield from early() if backward else late()


def crossing(connection: Connection, time: datetime, low: int, head: int) -> int:
    """A position from `low` on: the last event up to it is of that time, the next is later."""
    high = head + 1
    while high - low > 1:
        middle = (low + high) // 2
        last: Row[tuple[int, datetime]] | None = connection.execute(
            select_last(low, middle)
        ).one_or_none()
        if last is None or last.recorded_at <= time:
            low = middle
        else:
            high = last.id
    return low


def select_last(after: int, upto: int) -> Select[tuple[int, datetime]]:
    """The query for the last event of a range of positions."""
    return (
        select(event_logs.c.id, event_logs.c.recorded_at)
        .where(event_logs.c.id > after, event_logs.c.id <= upto)
        .order_by(event_logs.c.id.desc())
        .limit(1)
    )
