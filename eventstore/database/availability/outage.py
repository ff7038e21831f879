"""Classification of temporary failures by SQLSTATE, and pauses between attempts.

Followers of the log try again after temporary failures (`passes`): a restart of the server, a
broken connection, a lock of another session, a cancelled statement, a database that is read-only
for a while. Other failures, such as a wrong password, a missing table or a refused event, recur. An
append must know instead whether the database decided: `AWAY` means no, `REFUSALS` yes.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
import sqlalchemy.exc
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import (
    AccessRefused,
    DatabaseUnavailable,
    EventIdReused,
    EventRefused,
    LastAdmin,
    NameTaken,
    QuantumForgeError,
    RuleBroken,
    VersionConflict,
)

PASSING_CLASSES = frozenset({"08", "53"})
"""Classes of SQLSTATE that pass: connections; a lack of memory, disk space or connections."""

PASSING_STATES = frozenset(
    {
        "25006",  # read-only, for a while: a real standby has an error of its own
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55006",  # object in use
        "55P03",  # lock_timeout
        "57014",  # statement_timeout, or a cancel
        "57P01",  # the server stops, or an administrator ends the session
        "57P02",  # another process of the server crashed
        "57P03",  # the server starts or stops
        "57P05",  # idle_session_timeout
    }
)
"""SQLSTATEs that pass."""

AWAY = (
    DatabaseUnavailable,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InternalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,  # no connection of the pool is free
    psycopg.OperationalError,
    psycopg.InternalError,
    psycopg.InterfaceError,
)
"""Errors that say nothing about an append: it may be spooled, and succeed later. More than what
passes by itself: a wrong password costs no result either."""

REFUSALS = (
    VersionConflict,
    EventRefused,
    EventIdReused,
    RuleBroken,
    LastAdmin,
    NameTaken,
    AccessRefused,
)
"""Errors that the same append meets again, however often it is repeated."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two attempts: they double from one to the other."""

PATIENCE = 300.0
"""Seconds for which a command that follows the log waits for the database."""

_ATTENTION_SECONDS = 0.05

Answer = TypeVar("Answer")

Trouble = Callable[[Exception | None], object]
"""Called with what is in the way, once each time that changes; with None when it is over."""


def passes(error: BaseException) -> bool:
    """Whether the same may succeed a little later, without a change to the program or the data."""
    if isinstance(error, QuantumForgeError):
        return error.may_pass
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None and isinstance(error.orig, psycopg.Error) and passes(error.orig)
        )
    if isinstance(error, psycopg.Error):
        # Without an SQLSTATE it is the client that noticed: the connection is gone.
        return (
            isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            if error.sqlstate is None
            else is_passing(error.sqlstate)
        )
    return isinstance(error, sqlalchemy.exc.TimeoutError)  # no connection of the pool is free


def is_passing(sqlstate: str | None) -> bool:
    """Whether what the server refused with this SQLSTATE may succeed a little later."""
    return sqlstate is not None and (sqlstate in PASSING_STATES or sqlstate[:2] in PASSING_CLASSES)


def reason_of(error: Exception) -> str:
    """What kept the database from doing something, in one line, without the statement.

    For commands that continue by themselves, or print their own advice.
    """
    if isinstance(error, DBAPIError):
        error = error.orig if isinstance(error.orig, Exception) else error
    message = error.while_waiting if isinstance(error, QuantumForgeError) else str(error)
    lines = message.strip().splitlines()
    return lines[0] if lines else type(error).__name__


def pause_after(
    attempts: int,
    *,
    first: float = FIRST_PAUSE,
    longest: float = LONGEST_PAUSE,
    random_part: float = 0.5,
    draw: float | None = None,
) -> float:
    """Return the seconds to wait after so many failed attempts in a row.

    Every loop that tries again, or looks again, pauses by this. Half of the pause is fixed and half
    random, so that what failed together is not tried again together ("equal jitter", M. Brooker,
    AWS Architecture Blog, 2015).

    Args:
        attempts: that have failed; at least 1.
        first: s; the pause doubles from this to the longest.
        longest: s.
        random_part: of the pause, from 0 to 1; the rest is always waited for.
        draw: a number from 0 to 1 to use instead of a random one.
    """
    # Beyond 2^60 every pause is the longest one; larger powers would overflow.
    pause: float = min(first * 2.0 ** min(attempts - 1, 60), longest)
    share = random.random() if draw is None else draw
    return pause * (1 - random_part + random_part * share)


def asked_pause(error: BaseException) -> float:
    """Return the seconds that the other side asked to be left alone for; 0 where it did not."""
    asked = error.retry_after if isinstance(error, DatabaseUnavailable) else None
    return asked or 0.0


class Patience:
    """Waits between attempts while what is in the way may pass.

    Args:
        seconds: after which the error is raised, counted from the first failure in a row; None for
            as long as it takes.
        stop: asked every 50 ms whether to end a wait early.
        on_trouble: see `Trouble`.
    """

    def __init__(
        self,
        seconds: float | None = PATIENCE,
        *,
        stop: Callable[[], bool] = lambda: False,
        on_trouble: Trouble = lambda _: None,
    ) -> None:
        self._seconds = seconds
        self._stop = stop
        self._on_trouble = on_trouble
        self._attempts = 0
        self._since = 0.0
        self._last = ""

    def wait(self, error: Exception) -> None:
        """Wait until another attempt is worth it.

        Raises:
            Exception: the error itself, when it does not pass, or the time is over.
        """
        if not passes(error):
            raise error
        now = time.monotonic()
        if self._attempts == 0:
            self._since = now
        self._attempts += 1
        if self._seconds is not None and now - self._since >= self._seconds:
            raise error
        if reason_of(error) != self._last:
            self._last = reason_of(error)
            self._on_trouble(error)
        end = now + max(pause_after(self._attempts), asked_pause(error))
        while not self._stop() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _ATTENTION_SECONDS))

    def over(self) -> None:
        """Note that an attempt succeeded."""
        if self._attempts:
            self._attempts = 0
            self._last = ""
            self._on_trouble(None)

    def persist(self, attempt: Callable[[], Answer]) -> Answer:
        """Call a function until it succeeds; it must be safe to repeat.

        Raises:
            Exception: what the last call raised, when that does not pass, the time is over, or
                `stop` says so.
        """
        while True:
            try:
                answer = attempt()
            except Exception as error:
                if self._stop():
                    raise
                self.wait(error)
            else:
                self.over()
                return answer
