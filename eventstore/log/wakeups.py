"""Notifications of appends, at most one every few milliseconds for each process.

A NOTIFY within the append's transaction would make all commits wait for each other. Here a thread
sends it, some time after the commit, over a connection of its own. One that is lost, or that comes
before the commit is visible, costs a reader the time until it polls, and never an event.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from quantum_forge.eventstore.base.errors import DatabaseUnavailable
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.availability.standby import is_standby
from quantum_forge.eventstore.database.engine import is_direct

CHANNEL = "qforge_appended"

INTERVAL = 0.01
"""Seconds that announcements are gathered for."""

IDLE_SECONDS = 2.0
"""Seconds without an append after which the thread and its connection are given up."""

POLL_SECONDS = 0.25
"""Seconds between two polls without an announcement."""

_SOON = 0.01
"""Seconds until the next look after a wake-up that came before its commit was visible."""

_STOP_SECONDS = 0.04
"""Seconds after which a wait for announcements looks whether it shall stop."""

_MARK = "qforge_appended"
_NOTIFY = text(f"NOTIFY {CHANNEL}")


class Announcer:
    """Announces what an engine's transactions append; its thread lives while there is something."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._disposed = threading.Event()
        self._thread: threading.Thread | None = None
        self.has_announced = False

    def announce(self) -> None:
        """Have it said soon that there is something new; returns at once."""
        self.has_announced = True
        if self._news.is_set() and self._is_running():
            return
        with self._lock:
            self._news.set()
            if not self._is_running():
                self._disposed.clear()
                self._thread = threading.Thread(
                    target=self._run, name="qforge-announcer", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Say what is to be said, and close the connection."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._disposed.set()
            self._news.set()
            thread.join(timeout=5)

    def _is_running(self) -> bool:
        # A thread does not survive a fork: then it is not alive.
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            with followed(self._engine).connect() as pooled:
                connection = pooled.execution_options(isolation_level="AUTOCOMMIT")
                connection.detach()
                while self._news.wait(IDLE_SECONDS):
                    self._disposed.wait(INTERVAL)
                    self._news.clear()
                    connection.execute(_NOTIFY)
                    if self._disposed.is_set():
                        break
        except (SQLAlchemyError, DatabaseUnavailable):
            pass  # unable to announce, it is silent: readers poll
        with self._lock:
            self._news.clear()
            self._thread = None


_announcers: WeakKeyDictionary[Engine, Announcer] = WeakKeyDictionary()


def announce_appends(engine: Engine, *, through: Engine | None = None) -> None:
    """From now on, wake the readers of what this engine's transactions append.

    Args:
        engine: that appends; it may be the synchronous face of an engine for asyncio.
        through: the engine whose connection announces it; that of the appends unless given.
    """
    if engine in _announcers:
        return
    shared = None if through is None else _announcers.get(through)
    announcer = _announcers[engine] = shared or Announcer(through or engine)

    @event.listens_for(engine, "commit")
    def committing(connection: Connection) -> None:
        if connection.info.pop(_MARK, None):
            announcer.announce()

    @event.listens_for(engine, "engine_disposed")
    def disposed(_: Engine) -> None:
        announcer.close()


def mark(connection: Connection) -> None:
    """Note that the transaction appends: if it commits, readers are woken."""
    connection.info[_MARK] = True


def appended(engine: Engine) -> None:
    """Wake readers for what was committed past the engine's own transactions."""
    if (announcer := _announcers.get(engine)) is not None:
        announcer.announce()


def has_appended(engine: Engine) -> bool:
    """Whether anything was appended through this engine, whose appends are announced."""
    announcer = _announcers.get(engine)
    return announcer is not None and announcer.has_announced


class Wakeups:
    """Waits until it is time to look at the log again."""

    def __init__(self, connection: Connection, stop: threading.Event, *, listen: bool) -> None:
        driver: object = connection.connection.dbapi_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver = driver
        self._stop = stop
        self._delay = POLL_SECONDS
        # A LISTEN would stay in a session of the server that another client gets afterwards. A
        # standby refuses it.
        self._listens = listen and is_direct(connection) and not is_standby(connection)
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


@contextmanager
def listening_connection(engine: Engine) -> Iterator[Connection]:
    """A connection that no pool gets back: it listens, and reads without transactions."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        yield connection
