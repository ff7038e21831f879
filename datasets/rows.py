"""The rows of a dataset, in order and in bounded memory, as Arrow record batches."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import psycopg
import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Connection,
    CursorResult,
    Label,
    Select,
    Subquery,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    extract,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from datasets.atoms import BETWEEN, LINE_END, BadAtoms, atom_columns, count_atoms
from datasets.columns import OF_CALCULATIONS, TIME, Column
from datasets.selection import Sequence, ordered
from datasets.units import Units
from eventstore.errors import QuantumForgeError
from projections.compiler.log import logged_by
from projections.registry import PROJECTIONS

PAGE, PAGE_BYTES, FIRST_PAGE = 512, 2**21, 64
"""Calculations fetched at once, or so many that their atoms have about so many bytes of JSON; the
first ones tell how large they are. Atoms are looked up by the positions of their events."""

AHEAD = 4
"""Pages fetched while others are worked on: a batch's, so that the server never waits."""

LARGEST_BATCH = 512
MOST_ATOMS = 50_000
"""A batch ends with the calculation that reaches either: what bounds memory."""

Page = list[tuple[tuple[Any, ...], str | None]]
"""Calculations as tuples in the order of OF_CALCULATIONS, each with its atoms as a document."""


class UnreadableAtoms(QuantumForgeError):
    """An event that completed a calculation has no list of atoms that can be read."""

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        super().__init__(
            f"the atoms of the event at position {position} cannot be read ({reason}); invalidate "
            "its calculation, and export again"
        )


class Rows:
    """The rows that a dataset holds, read once, from first to last.

    `atoms` and `without_atoms` count what was read so far; calculations without any atom are left
    out.
    """

    def __init__(
        self,
        connection: Connection,
        judged: Subquery,
        sequence: Sequence,
        units: Units,
        schema: pa.Schema,
    ) -> None:
        self._connection = connection
        self._query = ordered(
            select(*_scalars(judged)).where(judged.c.reason.is_(None)), judged, sequence
        )
        self._units = units
        self._schema = schema
        self._page = FIRST_PAGE
        self.atoms = 0
        self.without_atoms = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches; where one ends depends on the rows alone."""
        held: list[tuple[Any, ...]] = []
        documents: list[str] = []
        counts: list[int] = []
        atoms = 0
        for row, document in chain.from_iterable(self._pages()):
            its = count_atoms(document)
            if document is None or not its:
                self.without_atoms += 1
                continue
            held.append(row)
            documents.append(document)
            counts.append(its)
            atoms += its
            if len(held) == LARGEST_BATCH or atoms >= MOST_ATOMS:
                yield self._batch(held, documents, counts)
                held, documents, counts, atoms = [], [], [], 0
        if held:
            yield self._batch(held, documents, counts)

    def _pages(self) -> Iterator[Page]:
        """Pages, the next of which are fetched while one is worked on."""
        streamed = self._query.execution_options(stream_results=True, max_row_buffer=PAGE)
        with (
            ThreadPoolExecutor(1, "qforge-export") as fetching,
            self._connection.execute(streamed) as result,
        ):
            ahead = deque(fetching.submit(self._fetch, result) for _ in range(AHEAD))
            try:
                while page := ahead.popleft().result():
                    ahead.append(fetching.submit(self._fetch, result))
                    yield page
            except BaseException:
                # What is being fetched is given up rather than waited for.
                fetching.shutdown(wait=False, cancel_futures=True)
                if not all(page.done() for page in ahead):
                    driver = self._connection.connection.driver_connection
                    assert isinstance(driver, psycopg.Connection)
                    driver.cancel_safe(timeout=5)
                raise

    def _fetch(self, result: CursorResult[Any]) -> Page:
        rows = [tuple(row) for row in result.fetchmany(min(PAGE, self._page))]
        if not rows:
            return []
        found = self._connection.execute(_ATOMS, {"positions": [row[-1] for row in rows]})
        documents: dict[int, str] = {row[0]: row[1] or "" for row in found}
        size = sum(map(len, documents.values()))
        self._page = max(1, PAGE_BYTES * len(rows) // (size + 1))
        return [(row, documents.get(row[-1])) for row in rows]

    def _batch(
        self, rows: list[tuple[Any, ...]], documents: list[str], counts: list[int]
    ) -> pa.RecordBatch:
        columns = [
            _scalar_column(column, values, self._units)
            for column, values in zip(OF_CALCULATIONS, zip(*rows, strict=True), strict=True)
        ]
        try:
            lists = atom_columns(documents, counts, self._units)
        except BadAtoms as error:
            raise UnreadableAtoms(rows[error.index][-1], str(error)) from error
        self.atoms += len(lists[0].values)
        return pa.RecordBatch.from_arrays([*columns, *lists], schema=self._schema)


def _scalars(judged: Subquery) -> list[Label[Any]]:
    """The columns as they are sent: ids as text, times in µs since 1970."""
    sent = []
    for column in OF_CALCULATIONS:
        value: Any = judged.c[column.name]
        if isinstance(value.type, Uuid):
            value = cast(value, Text)
        elif column.type == TIME:
            value = cast(extract("epoch", value) * 1_000_000, BigInteger)
        sent.append(value.label(column.name))
    assert sent[-1].name == "log_position"
    return sent


def _select_atoms() -> Select[Any]:
    """The atoms of the events at some positions, as documents (see `datasets.atoms`)."""
    logged = logged_by(PROJECTIONS["atomic_properties"])
    positions = bindparam("positions", type_=ARRAY(BigInteger))
    document = func.replace(cast(logged.c.data["atoms"], Text), BETWEEN, LINE_END)
    return select(logged.c.id, document).where(logged.c.id == any_(positions))


_ATOMS = _select_atoms()


def _scalar_column(column: Column, values: tuple[Any, ...], units: Units) -> pa.Array:
    factor = 1.0 if column.quantity is None else units.factor(column.quantity)
    if factor != 1:
        values = tuple(None if value is None else value * factor for value in values)
    return pa.array(values, column.type)
