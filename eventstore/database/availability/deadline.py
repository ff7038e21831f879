"""Connections with a limit on the wait for an answer of the server.

A network can drop packets without closing a connection, and a proxy can accept packets for a
server that no longer exists: a query then waits for ever. TCP keepalives and `tcp_user_timeout`
detect the first; the second needs a limit on each wait for an answer.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from quantum_forge.eventstore.database.session_settings import set_session

DEADLINE = "qforge_deadline"
"""Execution option of an engine or a connection: seconds that the server has for one answer."""

_UNLIMITED = "qforge_unlimited"
"""Execution option: ignore the statement_timeout of the server, the database and the login."""

DEFAULT_DEADLINE = 60.0
"""Seconds, for who follows the log: what they ask for is answered in a second or two."""

PING_DEADLINE = 10.0
"""Seconds for the question whether a pooled connection is still good, and for giving it back."""

SILENCE = 30
"""Seconds without an acknowledgement from the other end after which the kernel gives up."""

TCP = {
    "keepalives_idle": SILENCE // 2,
    "keepalives_interval": SILENCE // 6,
    "keepalives_count": 3,
    "tcp_user_timeout": SILENCE * 1000,
}
"""libpq's parameters; they do nothing on a Unix socket. The address may say otherwise."""

_POLL_SECONDS = 0.1

Answer = TypeVar("Answer")


class LimitedConnection(psycopg.Connection):
    """A connection that breaks when the server takes longer than `deadline` for an answer.

    deadline: in seconds; None for no limit. until: when every wait ends, by `time.monotonic`.
    """

    deadline: float | None = PING_DEADLINE
    until: float | None = None

    def wait(
        self,
        gen: PQGen[Answer],
        interval: float = _POLL_SECONDS,
        timeout: float | None = None,
    ) -> Answer:
        """Wait for an answer, as psycopg does.

        Raises:
            psycopg.OperationalError: after the deadline; the connection is closed.
        """
        limit = self.deadline
        if self.until is not None:
            left = max(0.001, self.until - time.monotonic())
            limit = left if limit is None else min(limit, left)
        if limit is None or (timeout is not None and timeout < limit):
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or time.monotonic() - began < limit:
                raise
            self.close()
            raise psycopg.OperationalError(
                f"the server did not answer within {limit:.3g} s"
            ) from error


def limit_waits(engine: Engine) -> None:
    """From now on, make this engine's connections such, and heed the execution option DEADLINE.

    They also get the settings of eventstore/database/session_settings.py: a connection that breaks
    meanwhile counts as one that could not be made.
    """

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, arguments: list[str], options: dict[str, object]
    ) -> LimitedConnection:
        driver = LimitedConnection.connect(*arguments, **options)  # type: ignore[arg-type]  # libpq's
        try:
            set_session(driver)
        except BaseException:
            driver.close()
            raise
        return driver

    @event.listens_for(engine, "checkout")
    def taken(driver: object, _: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        assert isinstance(driver, LimitedConnection)
        driver.deadline = driver.until = None

    @event.listens_for(engine, "checkin")
    def given_back(driver: object, _: ConnectionPoolEntry) -> None:
        if isinstance(driver, LimitedConnection):
            driver.deadline = min(PING_DEADLINE, driver.deadline or PING_DEADLINE)
            driver.until = None

    @event.listens_for(engine, "engine_connect")
    def begun(connection: Connection) -> None:
        driver: object = connection.connection.dbapi_connection
        assert isinstance(driver, LimitedConnection)
        driver.deadline = connection.get_execution_options().get(DEADLINE)

    @event.listens_for(engine, "begin")
    def unhurried(connection: Connection) -> None:
        if connection.get_execution_options().get(_UNLIMITED):
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def unlimited(engine: Engine) -> Engine:
    """The same engine, for statements that may take hours, whatever the database is set to."""
    return engine.execution_options(**{DEADLINE: None, _UNLIMITED: True})


def followed(engine: Engine, deadline: float = DEFAULT_DEADLINE) -> Engine:
    """The same engine, for a follower: each wait for an answer has a limit (s).

    An engine that has a limit already keeps it.
    """
    known = engine.get_execution_options().get(DEADLINE)
    return engine.execution_options(**{DEADLINE: known or deadline})


def within(seconds: float, function: Callable[[], Answer]) -> Answer:
    """Call a function in a thread that is left to itself when it takes longer.

    For what no setting of a connection limits: a name look-up, a connection to a server that is
    stopped but not gone.

    Raises:
        TimeoutError: when it takes longer; it may still come to its end.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="within", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        if answer.done():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None
