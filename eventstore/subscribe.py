"""Following the log: what is appended arrives shortly after, in order, and nothing is skipped."""

import contextlib
import threading
import time
from collections.abc import Iterator

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from eventstore.envelope import RecordedEvent
from eventstore.errors import (
    ConnectionLost,
    DatabaseUnreachable,
    QuantumForgeError,
    TooManyConnections,
)
from eventstore.read import EVERYTHING, Filter, read_all, safe_head
from eventstore.wakeups import CHANNEL

POLL_SECONDS = 0.25
"""Seconds between two looks when nobody announces anything."""

PATIENCE = 300.0
"""Seconds for which a lost server is waited for."""

_SOON = 0.01
"""Seconds until the next look after a wake-up that came before its commit was visible."""

_STOP_SECONDS = 0.04
"""Seconds after which a wait for announcements looks whether it shall stop."""

_AWAY = (ConnectionLost, DatabaseUnreachable, TooManyConnections)


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
            with _connected(engine) as connection:
                wakeups = _Wakeups(connection, stop, listen=listen)
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
        except (*_AWAY, DBAPIError, psycopg.OperationalError) as error:
            if not connected or not _is_away(error):
                raise
            # A server that crashed may hand out the positions of a last, rolled-back append again.
            after = seen
            lost = lost or time.monotonic()
            if time.monotonic() - lost > patience:
                raise
            stop.wait(POLL_SECONDS)


class _Wakeups:
    """Waits until it is time to look at the log again."""

    def __init__(self, connection: Connection, stop: threading.Event, *, listen: bool) -> None:
        driver: object = connection.connection.dbapi_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver = driver
        self._stop = stop
        self._delay = POLL_SECONDS
        # A pooling proxy tells another process id than the server does. A LISTEN would stay with
        # a connection of the server's that is anybody's afterwards.
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        self._listens = listen and driver.info.backend_pid == pid
        if self._listens:
            connection.execute(text(f"LISTEN {CHANNEL}"))

    def wait(self, *, found: bool) -> None:
        """Return on a wake-up, after a while, or when it shall stop; `found`: in the last look."""
        if found:
            self._delay = POLL_SECONDS
        deadline = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, POLL_SECONDS)
        if not self._listens:
            self._stop.wait(deadline - time.monotonic())
            return
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            for _ in self._driver.notifies(timeout=min(left, _STOP_SECONDS), stop_after=1):
                self._delay = _SOON
                return


@contextlib.contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    """A connection that no pool gets back: it listens, and reads without transactions."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        yield connection


def _is_away(error: Exception) -> bool:
    """Whether the server or the way to it is gone, rather than the query wrong."""
    if isinstance(error, QuantumForgeError):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return True
