"""Following the log: what is appended arrives shortly after, in order, and nothing is skipped."""

import threading
import time
from collections.abc import Iterator

from sqlalchemy import Engine

from eventstore.envelope import RecordedEvent
from eventstore.outage import LOST, is_loss
from eventstore.place import Place, Trail, require_place
from eventstore.read import EVERYTHING, Filter, read_all, safe_head
from eventstore.wakeups import POLL_SECONDS, Wakeups, listening_connection

PATIENCE = 300.0
"""Seconds for which a lost server is waited for."""


def subscribe(
    engine: Engine,
    *,
    after: int | Place = 0,
    where: Filter = EVERYTHING,
    stop: threading.Event | None = None,
    listen: bool = True,
    patience: float = PATIENCE,
) -> Iterator[RecordedEvent]:
    """Every event above a position, for ever: first those that are there, then each new one.

    Wakes up when a process announces what it appended, and looks every POLL_SECONDS besides. Uses
    one connection of its own, without a transaction while it waits, and closes it at the end. When
    the connection is lost it makes a new one and goes on where it was, if the log still is the one
    that it has read: see eventstore/place.py.

    Args:
        engine: of the database.
        after: the last position that is known already; better the place of the last event, which
            `Place(event.position, event.event_id)` is.
        where: which events are wanted.
        stop: ends the iteration, within 50 ms even while it waits.
        listen: for announcements; behind a transaction-pooling proxy, where no announcement
            arrives, it polls in any case.
        patience: seconds for which a server that went away is waited for.

    Raises:
        BeyondHead: when the log does not reach `after`.
        LogDiverged: when the log lacks an event that was passed on, as after a failover to a
            standby that was behind.
        DatabaseUnavailable: when no connection can be had at the start, or for `patience` after it
            was lost.
    """
    stop = stop or threading.Event()
    lost: float | None = None
    connected = False
    trail = Trail(after)
    upto = trail.position
    while not stop.is_set():
        try:
            with listening_connection(engine) as connection:
                trail.require(connection)
                wakeups = Wakeups(connection, stop, listen=listen)
                connected, lost = True, None
                while not stop.is_set():
                    head = safe_head(connection)
                    is_new = head > upto
                    if is_new:
                        # A pooler may have another server behind the same connection by now.
                        require_place(connection, trail.place)
                        for event in read_all(connection, after=upto, upto=head, where=where):
                            if stop.is_set():
                                return
                            trail.add(event)
                            upto = event.position
                            yield event
                        upto = head
                    wakeups.wait(found=is_new)
        except LOST as error:
            if not connected or not is_loss(error):
                raise
            # A server that crashed may hand out the positions of a last, rolled-back append again.
            upto = trail.position
            lost = lost or time.monotonic()
            if time.monotonic() - lost > patience:
                raise
            stop.wait(POLL_SECONDS)
