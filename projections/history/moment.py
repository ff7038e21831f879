"""The position that the log had reached at a time, and positions that it has not reached yet."""

from datetime import datetime

from sqlalchemy import Connection, case, func, select

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.place import BeyondHead
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.log.time_range import last_recorded
from quantum_forge.schema.tables import event_logs, published_head

# On a standby, the log is not known beyond the last publication.
_KNOWN_UNTIL = select(
    func.clock_timestamp(),
    case(
        (func.pg_is_in_recovery(), select(published_head.c.published_at).scalar_subquery()),
        else_=None,
    ),
)

_FIRST = select(event_logs.c.recorded_at).order_by(event_logs.c.id).limit(1)


class BeforeLog(QuantumForgeError):
    """A time at which the log had not begun; `begins`: when its first event was recorded."""

    exit_status = 2

    def __init__(self, asked: datetime, begins: datetime) -> None:
        self.asked = asked
        self.begins = begins
        super().__init__(
            f"{asked.isoformat()} is before the beginning of the log at {begins.isoformat()}: give "
            "a later time, or position 0, at which every table is empty"
        )


def position_at(
    connection: Connection, moment: int | datetime, *, may_precede: bool = False
) -> Position:
    """The position that a position or a time stands for, at or below the safe head.

    A time stands for the highest position that was recorded at or before it; every later one was
    recorded after it. So everything recorded by then is at or below the position. Because writers
    work side by side, that can include a few events that were recorded an instant later; and where
    the database's clock was set back, all that it had recorded before that. Asked about the last
    seconds, while appends of that time are still running, it gives the safe head, and may give more
    when asked again; so it may about a time that the clock is set back to later.

    Reads some sixty events by primary key, and the summaries of a BRIN index.

    Args:
        connection: of the database.
        moment: a position, or a time with a zone.
        may_precede: whether a time before the first event stands for position 0, the empty log.

    Raises:
        BeforeLog: for a time before the first event was recorded, unless it may precede it.
        BeyondHead: for a position above the safe head, or a time in the future; on a standby, for
            a time after the primary published the head.
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    head = safe_head(connection)
    if isinstance(moment, datetime):
        now, published_at = connection.execute(_KNOWN_UNTIL).one()
        if moment > (published_at or now):
            raise BeyondHead(moment, head, published_at)
        position = last_recorded(connection, moment, head)
        if position == 0 and not may_precede and (begins := connection.scalar(_FIRST)) is not None:
            raise BeforeLog(moment, begins)
        return Position(position)
    if not 0 <= moment <= head:
        raise BeyondHead(moment, head)
    return Position(moment)
