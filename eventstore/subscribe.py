"""Following the log: what is appended arrives shortly after, in order, and nothing is skipped."""

import threading
import time
from collections.abc import Iterator

from sqlalchemy import Engine

from eventstore.envelope import RecordedEvent
from eventstore.outage import LOST, is_loss
from eventstore.read import EVERYTHING, Filter, read_all, safe_head
from eventstore.wakeups import POLL_SECONDS, Wakeups, listening_connection

PATIENCE = 300.0
"""Seconds for which a lost server is waited for."""


def subscribe(
    engine: Engine,
    *,
    after: int = 0,
    where: Filter = EVERYTHING,
    stop: threading.Event | None = None,
    listen: bool = True,
    patience: float = PATIENCE,
) -> Iterator[RecordedEvent]:
    """Every event above a position, for ever: first those that are there, then each new one.

    Wakes up when a process announces what it appended, and looks every POLL_SECONDS besides. Uses
    one connection of its own, without a transaction while it waits, and closes it at the end. When
    the connection is lost it makes a new one and goes on where it was.

    Args:
        engine: of the database.
        after: the last position that is known already.
        where: which events are wanted.
        stop: ends the iteration, within 50 ms even while it waits.
        listen: for announcements; behind a transaction-pooling proxy, where no announcement
            arrives, it polls in any case.
        patience: seconds for which a server that went away is waited for.

    Raises:
        DatabaseUnavailable: when no connection can be had at the start, or for `patience` after it
            was lost.
    """
    stop = stop or threading.Event()
    lost: float | None = None
    connected = False
    seen = after
    while not stop.is_set():
        try:
            with listening_connection(engine) as connection:
                wakeups = Wakeups(connection, stop, listen=listen)
                connected, lost = True, None
                while not stop.is_set():
                    head = safe_head(connection)
                    is_new = head > after
                    if is_new:
                        for event in read_all(connection, after=after, upto=head, where=where):
                            if stop.is_set():
                                return
                            seen = after = event.position
                            yield event
                        after = head
                    wakeups.wait(found=is_new)
        except LOST as error:
            if not connected or not is_loss(error):
                raise
            # A server that crashed may hand out the positions of a last, rolled-back append again.
            after = seen
            lost = lost or time.monotonic()
            if time.monotonic() - lost > patience:
                raise
            stop.wait(POLL_SECONDS)
