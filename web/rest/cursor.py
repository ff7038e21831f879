"""Cursors of the server, which give rows in chunks of about as many bytes."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Connection, Select

from quantum_forge.eventstore.database.driver_sql import driver_sql

CHUNK_BYTES = 2**18
"""Bytes of a chunk, whatever a row has."""

_FIRST_ROWS = 100
_MOST_ROWS = 5_000

_NUMBERS = itertools.count(1)

Rows: TypeAlias = list[tuple[Any, ...]]


class Cursor:
    """A cursor of the server, which ends with the transaction, whether all was read or not.

    An iteration gives chunks of rows; `weigh` tells how large the last one was.

    Args:
        connection: in a transaction.
        statement: whose rows are read.

    Raises:
        psycopg.Error: for a statement that the database refuses, here rather than later.
    """

    def __init__(self, connection: Connection, statement: Select[Any]) -> None:
        driver: object = connection.connection.dbapi_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver: psycopg.Connection[tuple[Any, ...]] = driver
        self._name = f"rows_{next(_NUMBERS)}"
        self._next = _FIRST_ROWS
        sql, parameters = driver_sql(statement)
        driver.execute(f"DECLARE {self._name} NO SCROLL CURSOR FOR {sql}", parameters)
        self._first = self._fetched()

    def __iter__(self) -> Iterator[Rows]:
        rows = self._first
        while rows:
            yield rows
            rows = self._fetched()

    def weigh(self, rows: Sequence[object], size: int) -> None:
        """Choose the size of the next chunk by the bytes that these rows had."""
        self._next = max(1, min(_MOST_ROWS, len(rows) * CHUNK_BYTES // max(1, size)))

    def _fetched(self) -> Rows:
        return self._driver.execute(f"FETCH {self._next} FROM {self._name}").fetchall()
