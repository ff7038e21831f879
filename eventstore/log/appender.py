"""Appender: one round trip per append over a connection of its own."""

import threading
import time
import weakref
from collections.abc import Hashable, Sequence
from itertools import islice
from typing import Protocol, Self
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base import tracing
from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Position, Stream
from quantum_forge.eventstore.base.errors import (
    ConnectionLost,
    DatabaseUnavailable,
    DatabaseUnreachable,
    LockHeld,
)
from quantum_forge.eventstore.database.availability.deadline import LimitedConnection, within
from quantum_forge.eventstore.database.engine import is_direct, where
from quantum_forge.eventstore.database.time_limit import SLACK, limits_of
from quantum_forge.eventstore.log import wakeups
from quantum_forge.eventstore.log.append import calls_of, encode_wire, translated_errors
from quantum_forge.eventstore.log.group_commit import Call, Together

_APPEND = b"SELECT event_id, position, version, appended FROM append_events(%s::jsonb)"

# append_events needs the row that sets the tenant, and so comes second.
_APPEND_FOR = b"""
    WITH acting AS MATERIALIZED (SELECT set_config('qforge.tenant_id', %s, true) AS tenant_id)
    SELECT event_id, position, version, appended
      FROM acting, append_events(CASE WHEN acting.tenant_id <> '' THEN %s::jsonb END)
"""

# A statement_timeout counts from the next statement on. Both are sent at once, as a pipeline, which
# is one transaction: the limits end with it, so that they work behind a pooler, too.
_LIMITS = b"""
    SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),
           set_config('qforge.tenant_id',
                      coalesce(%s, current_setting('qforge.tenant_id', true), ''), true)
"""

# Where the server keeps a session for this connection alone, limits and tenant are set once.
_SESSION_LIMITS = b"""
    SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)
"""
_SESSION_TENANT = text("SELECT set_config('qforge.tenant_id', :tenant, false)")
_NO_SESSION_LIMITS = b"RESET statement_timeout; RESET lock_timeout"

LARGEST_GROUP = 2**20
"""Characters of JSON: some 1,000 events. What is sent together is also delayed together."""

Row = tuple[UUID, int, int, bool]


class InStream(Protocol):
    """An event, as far as an append needs to know it beside its JSON."""

    @property
    def stream(self) -> Stream:
        """Where it goes."""


class _Append:
    """One call: the events, the JSON of all of them, and its limit in seconds, if any."""

    __slots__ = ("events", "seconds", "wire")

    def __init__(self, events: Sequence[InStream], wire: str, seconds: float | None) -> None:
        self.events = events
        self.wire = wire
        self.seconds = seconds

    @property
    def streams(self) -> set[Hashable]:
        return {event.stream for event in self.events}


class Appender:
    """Appends and commits, several times as fast as `append` within a transaction of SQLAlchemy's.

    One statement is sent per call, which PostgreSQL runs as a transaction by itself: no BEGIN, no
    COMMIT, no ping beforehand; its limit in time is set once for the session. A call of more than
    `LARGEST_CALL` events is several statements in one transaction. Where the connection turns out
    to be lost, the call is repeated once over a new one; event ids make that harmless. Behind a
    pooler, the limit is set with each call.

    Close it, or use it in a `with`. Threads may share it, and do well to: the calls that come while
    one is on its way are sent together, as one transaction. Where the database refuses that, each
    is sent by itself, so that every call still gets its own positions or its own error. Calls that
    touch the same stream are never sent together.

    Args:
        engine: its pool gives the connection, which is not returned.
        tenant_id: whom to act for; None leaves that to the role, or to the engine's settings.
    """

    def __init__(self, engine: Engine, *, tenant_id: UUID | None = None) -> None:
        self.engine = engine
        self._tenant = None if tenant_id is None else str(tenant_id)
        self._lock = threading.Lock()
        self._cursor: psycopg.Cursor[Row] | None = None
        self._is_direct = False
        self._session_seconds: float | None = None
        """The limit, in seconds, that the connection's session has."""
        # Without a cycle of references, one that is forgotten closes its connection at once.
        this = weakref.ref(self)

        def append(group: list[Call[_Append, list[Row]]]) -> None:
            appender = this()
            assert appender is not None
            appender._append(group)

        self._together: Together[_Append, list[Row]] = Together(
            append,
            keys=lambda append: append.streams,
            size=lambda append: len(append.wire),
            largest=LARGEST_GROUP,
        )

    def append(self, events: Sequence[NewEvent], *, seconds: float | None = None) -> list[Placed]:
        """Append events to their streams, all or none, in the given order, durably.

        Args:
            events: of any streams.
            seconds: that the database has for it, limited by the server and by this side; None for
                as long as it takes. What is sent together has the shortest of the limits.

        Returns and raises what `quantum_forge.eventstore.log.append.append` does, and:

        Raises:
            DatabaseUnavailable: when there is no connection, when two were lost on the way, or when
                the time is over.
        """
        return self.append_wire(encode_wire(events), events, seconds=seconds) if events else []

    def append_wire(
        self, wire: bytes, events: Sequence[InStream], *, seconds: float | None = None
    ) -> list[Placed]:
        """Append what `encode_wire` made of these events, as `append` does."""
        with tracing.span("append", {"qforge.events": len(events)}):
            rows = self._together.ask(_Append(events, wire.decode(), seconds))
        wakeups.appended(self.engine)
        return [
            Placed(id_, Position(position), version, new) for id_, position, version, new in rows
        ]

    def close(self) -> None:
        """Close the connection; the next append would open another."""
        with self._lock:
            self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_cursor", None) is not None:
            self._disconnect()

    def _append(self, group: list[Call[_Append, list[Row]]]) -> None:
        """Settle every call of a group: together, or else each by itself."""
        with self._lock:
            if len(group) > 1 and self._append_together(group):
                return
            for number, call in enumerate(group):
                try:
                    with translated_errors(self.engine):
                        call.answer = self._rows(call.question.wire, call.question.seconds)
                except Exception as error:
                    call.error = error
                    unanswered = isinstance(error, DatabaseUnavailable | psycopg.OperationalError)
                    if unanswered and not isinstance(error, LockHeld):
                        # The others would wait as long, without success.
                        for other in group[number + 1 :]:
                            other.error = error
                        return

    def _append_together(self, group: list[Call[_Append, list[Row]]]) -> bool:
        """Settle every call of a group at once; False when the database refuses one of them."""
        limits = [call.question.seconds for call in group if call.question.seconds is not None]
        wire = _joined([call.question.wire for call in group])
        try:
            rows = iter(self._rows(wire, min(limits, default=None)))
        except DatabaseUnavailable as error:
            for call in group:
                call.error = error
        except psycopg.Error:
            return False  # which one, and why, is found when each is sent by itself
        else:
            for call in group:
                call.answer = list(islice(rows, len(call.question.events)))
        return True

    def _rows(self, wire: str, seconds: float | None) -> list[Row]:
        until = None if seconds is None else time.monotonic() + seconds
        try:
            return self._execute(wire, seconds, until)
        except psycopg.OperationalError as error:
            if not self._is_lost():
                raise
            self._disconnect()
            if until is not None and time.monotonic() >= until:
                raise self._unanswered(f"the server did not answer within {seconds:g} s") from error
            return self._repeat(wire, seconds, until)

    def _execute(self, wire: str, seconds: float | None, until: float | None) -> list[Row]:
        cursor = self._cursor or self._connect(until)
        connection = cursor.connection
        assert isinstance(connection, LimitedConnection)
        connection.deadline = None if until is None else _left(until) + SLACK
        calls = calls_of(wire)
        if self._limit_session(connection, seconds, until) or until is None:
            if len(calls) == 1:
                return self._call(cursor, wire)
            with connection.transaction():
                return [row for call in calls for row in self._call(cursor, call)]
        if len(calls) == 1:
            with connection.pipeline():
                self._limit(connection, until)
                cursor.execute(_APPEND, (wire,))
            return cursor.fetchall()
        with connection.transaction():
            self._limit(connection, until)
            return [row for call in calls for row in self._call(cursor, call)]

    def _call(self, cursor: psycopg.Cursor[Row], wire: str) -> list[Row]:
        if self._tenant is None or self._is_direct:  # the session acts for it
            cursor.execute(_APPEND, (wire,))
        else:
            cursor.execute(_APPEND_FOR, (self._tenant, wire))
        return cursor.fetchall()

    def _limit(self, connection: psycopg.Connection, until: float) -> None:
        connection.execute(_LIMITS, (*limits_of(_left(until)), self._tenant))

    def _limit_session(
        self, connection: psycopg.Connection, seconds: float | None, until: float | None
    ) -> bool:
        """Give the session the limit of a call; False where only its transaction can have one."""
        if not self._is_direct:
            return False
        if seconds is not None and until is not None and _left(until) < seconds - SLACK / 2:
            return False  # a new connection has taken a part of the time
        if seconds != self._session_seconds:
            if seconds is None:
                connection.execute(_NO_SESSION_LIMITS)
            else:
                connection.execute(_SESSION_LIMITS, limits_of(seconds))
            self._session_seconds = seconds
        return True

    def _repeat(self, wire: str, seconds: float | None, until: float | None) -> list[Row]:
        try:
            return self._execute(wire, seconds, until)
        except psycopg.OperationalError as error:
            if not self._is_lost():
                raise
            self._disconnect()
            raise ConnectionLost(
                where(self.engine.url),
                f"the connection to {where(self.engine.url)} was lost",
                "append the same events again: those that were stored are not appended twice",
            ) from error

    def _connect(self, until: float | None) -> psycopg.Cursor[Row]:
        if until is None:
            taken = self._take()
        else:
            left = _left(until) + SLACK
            try:
                taken = within(left, self._take)
            except TimeoutError as error:
                raise self._unanswered("the server did not answer in time") from error
        self._is_direct = is_direct(taken)
        self._session_seconds = None
        connection = taken.connection.driver_connection
        # It goes its own way: the pool's other users rely on explicit transactions.
        taken.detach()
        assert isinstance(connection, psycopg.Connection)
        connection.autocommit = True
        self._cursor = connection.cursor(binary=True)
        return self._cursor

    def _take(self) -> Connection:
        taken = self.engine.connect()
        is_session = is_direct(taken)  # asks the server, and remembers the answer
        taken.rollback()
        if is_session and self._tenant is not None:
            taken.execute(_SESSION_TENANT, {"tenant": self._tenant})
            taken.commit()
        return taken

    def _unanswered(self, problem: str) -> DatabaseUnreachable:
        return DatabaseUnreachable(
            where(self.engine.url),
            problem,
            "append the same events again: those that were stored are not appended twice",
        )

    def _is_lost(self) -> bool:
        return self._cursor is not None and self._cursor.connection.closed

    def _disconnect(self) -> None:
        if self._cursor is not None:
            self._cursor.connection.close()
            self._cursor = None


def _left(until: float) -> float:
    return max(0.001, until - time.monotonic())


def _joined(wires: Sequence[str]) -> str:
    """One JSON array of the elements of several."""
    return f"[{','.join(wire[1:-1] for wire in wires)}]"
