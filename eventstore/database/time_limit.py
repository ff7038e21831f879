"""Transactions with a limit on their time, by the server's clock and by this side's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.pool import QueuePool

from quantum_forge.eventstore.base.errors import DatabaseUnreachable
from quantum_forge.eventstore.database.availability.deadline import LimitedConnection, within
from quantum_forge.eventstore.database.engine import where

SLACK = 0.5
"""Seconds after a limit for the answer of a server that has cancelled a statement itself."""

_LIMITS = text("""
    SELECT set_config('statement_timeout', :milliseconds, true),
           set_config('lock_timeout', :for_locks, true),
           set_config('idle_in_transaction_session_timeout', :milliseconds, true)
""")


@contextmanager
def begin_within(
    engine: Engine, seconds: float | None, *, until: float | None = None
) -> Iterator[Connection]:
    """Begin a transaction, and commit it at the end of the block.

    Args:
        engine: of the database.
        seconds: for each statement, by the server's clock; None for no limit. A pooler is no
            obstacle: the limits end with the transaction.
        until: end of the whole transaction by `time.monotonic`, whether the server answers or not.

    Raises:
        DatabaseUnreachable: when there is no connection in time.
        sqlalchemy.exc.OperationalError: when a statement or the whole takes longer.
    """
    with _connect(engine, until) as connection, connection.begin():
        if seconds is not None:
            milliseconds, for_locks = limits_of(seconds)
            limits = {"milliseconds": milliseconds, "for_locks": for_locks}
            connection.execute(_LIMITS, limits)
        yield connection


def limits_of(seconds: float) -> tuple[str, str]:
    """Return the milliseconds of `statement_timeout` and `lock_timeout` for a limit in seconds.

    The one for locks ends first: its error is the one that names who holds the lock.
    """
    milliseconds = max(1, round(seconds * 1000))
    return str(milliseconds), str(max(1, milliseconds * 3 // 4))


def _connect(engine: Engine, until: float | None) -> Connection:
    if until is None:
        return engine.connect()
    left = max(0.001, until - time.monotonic())
    pool = engine.pool
    if isinstance(pool, QueuePool) and pool.checkedin():
        connection = engine.connect()
    else:
        try:
            connection = within(left, engine.connect)
        except TimeoutError as error:
            advice = "record the same events again: those that arrived are not recorded twice"
            raise DatabaseUnreachable(where(engine.url), str(error), advice) from error
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, LimitedConnection)
    driver.until = until
    return connection
