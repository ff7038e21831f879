"""Appends in one round trip: over a connection that it keeps, each call its own transaction."""

import threading
from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

import psycopg
from sqlalchemy import Engine

from eventstore import wakeups
from eventstore.append import encode_wire, translated_errors
from eventstore.database import where
from eventstore.envelope import NewEvent, Placed, Position
from eventstore.errors import ConnectionLost

_APPEND = b"SELECT event_id, position, version, appended FROM append_events(%s::jsonb)"

# append_events needs the row that sets the tenant, and so comes second.
_APPEND_FOR = b"""
    WITH acting AS MATERIALIZED (SELECT set_config('qforge.tenant_id', %s, true) AS tenant_id)
    SELECT event_id, position, version, appended
      FROM acting, append_events(CASE WHEN acting.tenant_id <> '' THEN %s::jsonb END)
"""


class Appender:
    """Appends and commits, several times as fast as `append` within a transaction of SQLAlchemy's.

    One statement is sent per call, which PostgreSQL runs as a transaction by itself: no BEGIN, no
    COMMIT, no ping beforehand. Where the connection turns out to be lost, the call is repeated once
    over a new one; event ids make that harmless. Nothing is prepared, so it works behind a pooler.

    Close it, or use it in a `with`. Threads may share it, and take turns then.

    Args:
        engine: whose pool the connection is taken from, for good.
        tenant_id: whom to act for; None leaves that to the role, or to the engine's settings.
    """

    def __init__(self, engine: Engine, *, tenant_id: UUID | None = None) -> None:
        self._engine = engine
        self._tenant = None if tenant_id is None else str(tenant_id)
        self._lock = threading.Lock()
        self._cursor: psycopg.Cursor[tuple[Any, ...]] | None = None

    def append(self, events: Sequence[NewEvent]) -> list[Placed]:
        """Append events to their streams, all or none, in the given order, durably.

        Returns and raises what `eventstore.append.append` does, and:

        Raises:
            DatabaseUnavailable: when there is no connection, or two were lost on the way.
        """
        if not events:
            return []
        wire = encode_wire(events).decode()
        with self._lock, translated_errors():
            try:
                rows = self._execute(wire)
            except psycopg.OperationalError:
                if not self._is_lost():
                    raise
                rows = self._repeat(wire)
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

    def _execute(self, wire: str) -> list[tuple[Any, ...]]:
        cursor = self._cursor or self._connect()
        if self._tenant is None:
            cursor.execute(_APPEND, (wire,))
        else:
            cursor.execute(_APPEND_FOR, (self._tenant, wire))
        return cursor.fetchall()

    def _repeat(self, wire: str) -> list[tuple[Any, ...]]:
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

    def _connect(self) -> psycopg.Cursor[tuple[Any, ...]]:
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
