"""Range of positions that holds the events of a span of time."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, Select, select, text

from quantum_forge.schema.tables import event_logs

LONGEST_APPEND = timedelta(seconds=60)
"""How much later than its `recorded_at` an event may have got its position."""

WORTHWHILE = 10_000
"""Positions of which it is quicker to read the events than to look for those of a span."""

# Of values that are not known when it is planned, a range seems small: so the BRIN index is read,
# whose summaries name the pages where all conditions can hold. It has id as this expression.
OCCURRED = text("""
    SELECT min(id + 0) AS lowest, max(id + 0) AS highest
      FROM event_logs
     WHERE id + 0 > (SELECT CAST(:after AS bigint))
       AND id + 0 <= (SELECT CAST(:upto AS bigint))
       AND occurred_at >= (SELECT coalesce(CAST(:since AS timestamptz), '-infinity'))
       AND occurred_at < (SELECT coalesce(CAST(:until AS timestamptz), 'infinity'))
""")
"""The first and the last position, within a range, of what occurred in a span of time."""

RECORDED = text("""
    SELECT max(id + 0)
      FROM event_logs
     WHERE id + 0 > (SELECT CAST(:after AS bigint))
       AND id + 0 <= (SELECT CAST(:upto AS bigint))
       AND recorded_at <= (SELECT CAST(:time AS timestamptz))
""")
"""The last position, within a range, that was recorded at or before a time."""


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

    The positions usually follow the database's clock, so a binary search finds where the span was
    recorded. Whatever occurred in it and is elsewhere in the log, because it had waited in a spool,
    or was imported, or because the clock of a client or of the database was wrong or was set back,
    is found by a BRIN index; that is looked into only when it is the turn of that part.

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
            where = {"after": after, "upto": low, "since": since, "until": until}
            lowest = connection.execute(OCCURRED, where).one().lowest
            if lowest is not None:
                yield lowest - 1, low

    def late() -> Iterator[tuple[int, int]]:
        if high < upto:
            where = {"after": high, "upto": upto, "since": since, "until": until}
            highest = connection.execute(OCCURRED, where).one().highest
            if highest is not None:
                yield high, highest

    yield from late() if backward else early()
    yield low, high
    yield from early() if backward else late()


def crossing(connection: Connection, time: datetime, low: int, head: int) -> int:
    """A position from `low` on: the last event up to it is of that time, the next is later.

    There are several such positions where the clock was set back.
    """
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


def last_recorded(connection: Connection, time: datetime, head: int) -> int:
    """The highest position up to `head` that was recorded at or before a time; 0 if none was.

    Exact for every order of clocks: what the binary search finds is compared with the rest.
    """
    position = crossing(connection, time, 0, head)
    if head - position > WORTHWHILE:
        where = {"after": position, "upto": head, "time": time}
        later = connection.execute(RECORDED, where).scalar_one()
    else:
        later = connection.scalar(
            select(event_logs.c.id)
            .where(
                event_logs.c.id > position,
                event_logs.c.id <= head,
                event_logs.c.recorded_at <= time,
            )
            .order_by(event_logs.c.id.desc())
            .limit(1)
        )
    return position if later is None else int(later)


def select_last(after: int, upto: int) -> Select[tuple[int, datetime]]:
    """The query for the last event of a range of positions."""
    return (
        select(event_logs.c.id, event_logs.c.recorded_at)
        .where(event_logs.c.id > after, event_logs.c.id <= upto)
        .order_by(event_logs.c.id.desc())
        .limit(1)
    )
