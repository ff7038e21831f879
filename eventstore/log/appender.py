"""Appender: one round trip per append over a connection of its own."""

import threading
from collections.abc import Hashable, Sequence
from itertools import islice
from typing import Self
from uuid import UUID

import psycopg
from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Position
from quantum_forge.eventstore.base.errors import ConnectionLost, DatabaseUnavailable
from quantum_forge.eventstore.database.engine import where
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


LARGEST_GROUP = 2**20
"""Characters of JSON: some 1,000 events. What is sent together is also delayed together."""

Row = tuple[UUID, int, int, bool]


class _Append:
    """One call to `append`: the events, and the JSON of each behind the other."""

    __slots__ = ("events", "wire")

    def __init__(self, events: Sequence[NewEvent]) -> None:
        self.events = events
        self.wire = encode_wire(events).decode()

    @property
    def streams(self) -> set[Hashable]:
        return {(e.entity_id, e.event.entity_type, e.tenant_id) for e in self.events}


class Appender:
    """Appends and commits, several times as fast as `append` within a transaction of SQLAlchemy's.

    One statement is sent per call, which PostgreSQL runs as a transaction by itself: no BEGIN, no
    COMMIT, no ping beforehand. A call of more than `LARGEST_CALL` events is several statements in
    one transaction. Where the connection turns out to be lost, the call is repeated once over a new
    one; event ids make that harmless. Nothing is prepared, so it works behind a pooler.

    Close it, or use it in a `with`. Threads may share it, and do well to: the calls that come while
    one is on its way are sent together, as one transaction. Where the database refuses that, each
    is sent by itself, so that every call still gets its own positions or its own error. Calls that
    touch the same stream are never sent together.

    Args:
        engine: whose pool the connection is taken from, for good.
        tenant_id: whom to act for; None leaves that to the role, or to the engine's settings.
    """

    def __init__(self, engine: Engine, *, tenant_id: UUID | None = None) -> None:
        self._engine = engine
        self._tenant = None if tenant_id is None else str(tenant_id)
        self._lock = threading.Lock()
        self._cursor: psycopg.Cursor[Row] | None = None
        self._together: Together[_Append, list[Row]] = Together(
            self._append,
            keys=lambda append: append.streams,
            size=lambda append: len(append.wire),
            largest=LARGEST_GROUP,
        )

    def append(self, events: Sequence[NewEvent]) -> list[Placed]:
        """Append events to their streams, all or none, in the given order, durably.

        Returns and raises what `quantum_forge.eventstore.log.append.append` does, and:

        Raises:
            DatabaseUnavailable: when there is no connection, or two were lost on the way.
        """
        if not events:
            return []
        rows = self._together.ask(_Append(events))
        wakeups.appended(self._engine)
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

    def _append(self, group: list[Call[_Append, list[Row]]]) -> None:
        """Settle every call of a group: together, or else each by itself."""
        with self._lock:
            if len(group) > 1:
                try:
                    rows = iter(self._rows(_joined([call.question.wire for call in group])))
                except DatabaseUnavailable as error:
                    for call in group:
                        call.error = error
                    return
                except psycopg.Error:
                    pass  # one of them is refused: which, and why, each is told by itself
                else:
                    for call in group:
                        call.answer = list(islice(rows, len(call.question.events)))
                    return
            for call in group:
                try:
                    with translated_errors(self._engine):
                        call.answer = self._rows(call.question.wire)
                except Exception as error:
                    call.error = error

    def _rows(self, wire: str) -> list[Row]:
        try:
            return self._execute(wire)
        except psycopg.OperationalError:
            if not self._is_lost():
                raise
            return self._repeat(wire)

    def _execute(self, wire: str) -> list[Row]:
        cursor = self._cursor or self._connect()
        calls = calls_of(wire)
        if len(calls) == 1:
            return self._call(cursor, wire)
        with cursor.connection.transaction():
            return [row for call in calls for row in self._call(cursor, call)]

    def _call(self, cursor: psycopg.Cursor[Row], wire: str) -> list[Row]:
        if self._tenant is None:
            cursor.execute(_APPEND, (wire,))
        else:
            cursor.execute(_APPEND_FOR, (self._tenant, wire))
        return cursor.fetchall()

    def _repeat(self, wire: str) -> list[Row]:
        self._disconnect()
        try:
            return self._execute(wire)
        except psycopg.OperationalError as error:
            if not self._is_lost():
                raise
            self._disconnect()
            raise ConnectionLost(
                where(self._engine.url),
                f"the connection to {where(self._engine.url)} was lost",
                "append the same events again: those that arrived are not appended twice",
            ) from error

    def _connect(self) -> psycopg.Cursor[Row]:
        taken = self._engine.raw_connection()
        connection = taken.driver_connection
        # It goes its own way: the pool's other users rely on explicit transactions.
        taken.detach()
        assert isinstance(connection, psycopg.Connection)
        connection.autocommit = True
        self._cursor = connection.cursor(binary=True)
        return self._cursor

    def _is_lost(self) -> bool:
        return self._cursor is not None and self._cursor.connection.broken

    def _disconnect(self) -> None:
        if self._cursor is not None:
            self._cursor.connection.close()
            self._cursor = None


def _joined(wires: Sequence[str]) -> str:
    """One JSON array of the elements of several."""
    return f"[{','.join(wire[1:-1] for wire in wires)}]"
