"""Subscriptions: events in order, shortly after they are appended, without gaps."""

import threading
from collections.abc import Iterator

from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.availability.outage import PATIENCE, Patience, Trouble
from quantum_forge.eventstore.log.place import Place, Trail, require_event
from quantum_forge.eventstore.log.read import EVERYTHING, Filter, read_all, safe_head
from quantum_forge.eventstore.log.wakeups import Wakeups, listening_connection


def subscribe(
    engine: Engine,
    *,
    after: int | Place = 0,
    where: Filter = EVERYTHING,
    stop: threading.Event | None = None,
    listen: bool = True,
    patience: float | None = PATIENCE,
    on_trouble: Trouble = lambda _: None,
) -> Iterator[RecordedEvent]:
    """Every event above a position, for ever: first those that are there, then each new one.

    Wakes up when a process announces what it appended, and looks every POLL_SECONDS besides. Uses
    one connection of its own, without a transaction while it waits, and closes it at the end. When
    the connection is lost, or the server refuses for a while
    (eventstore/database/availability/outage.py) or falls silent
    (eventstore/database/availability/deadline.py), it makes a new one and goes on where it was, if
    the log still is the one that it has read: see eventstore/log/place.py.

    Args:
        engine: of the database.
        after: the last position that is known already; better a place, which
            `place_at(connection, event.position)` returns: it is compared with the last 1,000
            events. `Place(event.position, event.event_id)` is compared with one event.
        where: which events are wanted.
        stop: ends the iteration, within 50 ms even while it waits.
        listen: for announcements; behind a transaction-pooling proxy, where no announcement
            arrives, it polls in any case.
        patience: seconds for which a server that is away, or refuses, is waited for, at the start
            as well; None for as long as it takes.
        on_trouble: see `quantum_forge.eventstore.database.availability.outage.Trouble`.

    Raises:
        BeyondHead: when the log does not reach `after`.
        LogDiverged: when the log lacks an event that was passed on, or other events than those of
            the place lie before it, as after a failover to a standby that was behind.
        PlaceOfEveryTenant: when the place cannot be compared by a login that sees one tenant.
        DatabaseUnavailable, DBAPIError: when the server refuses permanently, or beyond `patience`.
    """
    stop = stop or threading.Event()
    waiting = Patience(patience, stop=stop.is_set, on_trouble=on_trouble)
    engine = followed(engine)
    trail = Trail(after)
    upto = trail.position
    while not stop.is_set():
        try:
            with listening_connection(engine) as connection:
                trail.require(connection)
                wakeups = Wakeups(connection, stop, listen=listen)
                while not stop.is_set():
                    head = safe_head(connection)
                    is_new = head > upto
                    if is_new:
                        # A pooler may have another server behind the same connection by now.
                        require_event(connection, trail.place)
                        for event in read_all(connection, after=upto, upto=head, where=where):
                            if stop.is_set():
                                return
                            trail.add(event)
                            upto = event.position
                            waiting.over()
                            yield event
                        upto = head
                    waiting.over()
                    wakeups.wait(found=is_new)
        except Exception as error:
            waiting.wait(error)
            # A server that crashed may hand out the positions of a last, rolled-back append again.
            upto = trail.position
