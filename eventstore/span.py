"""Between which positions the events of a span of time lie."""

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


def bounds(
    connection: Connection,
    after: int,
    upto: int,
    *,
    since: datetime | None,
    until: datetime | None,
) -> tuple[int, int]:
    """The part of a range of positions that has every event which occurred in a span of time.

    The positions follow the database's clock, so a binary search finds where the span was recorded.
    What occurred in it by the clocks of clients, and was recorded outside of it, because it had
    waited in a spool, or was imported, or by a clock that is wrong, is found by two BRIN indexes.

    Args:
        connection: sees what is committed.
        after: the range begins above it.
        upto: and ends there.
        since: the beginning of the span, included.
        until: its end, excluded.
    """
    if upto - after <= WORTHWHILE or (since is None and until is None):
        return after, upto
    low, high = after, upto
    if since is not None:
        low = crossing(connection, since - LONGEST_APPEND, after, upto)
        span = {"since": since, "until": until, "begin": None, "end": since}
        early = connection.execute(RECORDED_OUTSIDE, span).one().lowest
        low = min(low, upto if early is None else max(early - 1, after))
    if until is not None:
        high = crossing(connection, until + LONGEST_APPEND, low, upto)
        span = {"since": since, "until": until, "begin": until, "end": None}
        late = connection.execute(RECORDED_OUTSIDE, span).one().highest
        high = max(high, after if late is None else min(late, upto))
    return low, high


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
