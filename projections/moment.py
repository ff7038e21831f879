"""The position that the log had reached at a time, and positions that it has not reached yet."""

from datetime import datetime

from sqlalchemy import Connection, case, func, select

from eventstore.envelope import Position
from eventstore.place import BeyondHead
from eventstore.read import safe_head
from eventstore.span import LONGEST_APPEND, crossing
from schema.tables import event_logs, published_head

# On a standby, the log is not known beyond the last publication.
_KNOWN_UNTIL = select(
    func.clock_timestamp(),
    case(
        (func.pg_is_in_recovery(), select(published_head.c.published_at).scalar_subquery()),
        else_=None,
    ),
)


def position_at(connection: Connection, moment: int | datetime) -> Position:
    """The position that a position or a time stands for, at or below the safe head.

    A time stands for the highest position that was recorded at or before it; the next one, if
    there is one, was recorded after it. So everything recorded by then is at or below the
    position. Because writers work side by side, that can include a few events that were recorded
    an instant later. Asked about the last seconds, while appends of that time are still running,
    it gives the safe head, and may give more when asked again.

    Reads some sixty events by primary key, and those recorded within `LONGEST_APPEND` after the
    time.

    Raises:
        BeyondHead: for a position above the safe head, or a time in the future; on a standby, for
            a time after the primary published the head.
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    head = safe_head(connection)
    if isinstance(moment, datetime):
        now, published_at = connection.execute(_KNOWN_UNTIL).one()
        if moment > (published_at or now):
            raise BeyondHead(moment, head, published_at)
        return _reached(connection, moment, head)
    if not 0 <= moment <= head:
        raise BeyondHead(moment, head)
    return Position(moment)


def _reached(connection: Connection, time: datetime, head: int) -> Position:
    # The clock does not quite grow with the position: an append reads it, and takes its positions
    # a little later. Who did so in time did it before those who began a whole append later.
    position = crossing(connection, time, 0, head)
    latest = crossing(connection, time + LONGEST_APPEND, position, head)
    overtaken = (
        select(event_logs.c.id)
        .where(
            event_logs.c.id > position,
            event_logs.c.id <= latest,
            event_logs.c.recorded_at <= time,
        )
        .order_by(event_logs.c.id.desc())
        .limit(1)
    )
    return Position(connection.scalar(overtaken) or position)
