"""The rows of a dataset, in order and in bounded memory, as Arrow record batches."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import Any

import psycopg
import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Connection,
    Label,
    Select,
    Subquery,
    Text,
    Uuid,
    cast,
    extract,
    func,
    select,
)

from quantum_forge.datasets.atoms import BETWEEN, LINE_END, BadAtoms, atom_columns, count_atoms
from quantum_forge.datasets.columns import OF_CALCULATIONS, TIME, Column
from quantum_forge.datasets.selection import Sequence, ordered
from quantum_forge.datasets.units import Units
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.driver_sql import driver_sql
from quantum_forge.projections.compiler.log import logged_by
from quantum_forge.projections.registry import PROJECTIONS

PAGE = 64
"""Calculations that are fetched at once."""

AHEAD, AHEAD_BYTES = 16, 8 * 2**20
"""Pages fetched while others are worked on, so that the server never waits: so many, or so many
that their atoms have about so many bytes of text; one at least."""

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
        self._query = _with_atoms(
            ordered(select(*_scalars(judged)).where(judged.c.reason.is_(None)), judged, sequence)
        )
        self._units = units
        self._schema = schema
        self.atoms = 0
        self.without_atoms = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches; where one ends depends on the rows alone."""
        pending: list[tuple[Any, ...]] = []
        documents: list[str] = []
        counts: list[int] = []
        atoms = 0
        for row, document in chain.from_iterable(self._pages()):
            its = count_atoms(document)
            if document is None or not its:
                self.without_atoms += 1
                continue
            pending.append(row)
            documents.append(document)
            counts.append(its)
            atoms += its
            if len(pending) == LARGEST_BATCH or atoms >= MOST_ATOMS:
                yield self._batch(pending, documents, counts)
                pending, documents, counts, atoms = [], [], [], 0
        if pending:
            yield self._batch(pending, documents, counts)

    def _pages(self) -> Iterator[Page]:
        """Pages, the next of which are fetched while one is worked on."""
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor() as cursor:
            # Not by a server-side cursor: the server would wait whenever a page is unpacked.
            rows = cursor.stream(*driver_sql(self._query), size=PAGE)
            assert isinstance(rows, Generator)

            def fetch() -> Page:
                return [(row[:-1], row[-1]) for row in islice(rows, PAGE)]

            with closing(rows), ThreadPoolExecutor(1, "qforge-export") as fetching:
                ahead = deque([fetching.submit(fetch)])
                try:
                    while page := ahead.popleft().result():
                        size = sum(len(document or "") for _, document in page)
                        while len(ahead) < max(1, min(AHEAD, AHEAD_BYTES // (size + 1))):
                            ahead.append(fetching.submit(fetch))
                        yield page
                except BaseException:
                    # What is being fetched is given up rather than waited for.
                    fetching.shutdown(wait=False, cancel_futures=True)
                    if not all(page.done() for page in ahead):
                        driver.cancel_safe(timeout=5)
                    raise

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


def _with_atoms(calculations: Select[Any]) -> Select[Any]:
    """Calculations in their order, each with its atoms as a document (see datasets/atoms.py)."""
    # OFFSET: they are sorted before their atoms are looked up, one by one.
    scalars = calculations.offset(0).subquery("scalars")
    logged = logged_by(PROJECTIONS["atomic_properties"])
    document = func.replace(cast(logged.c.data["atoms"], Text), BETWEEN, LINE_END)
    found = select(document).where(logged.c.id == scalars.c.log_position).scalar_subquery()
    return select(scalars, found.label("atoms"))


def _scalar_column(column: Column, values: tuple[Any, ...], units: Units) -> pa.Array:
    factor = 1.0 if column.quantity is None else units.factor(column.quantity)
    if factor != 1:
        values = tuple(None if value is None else value * factor for value in values)
    return pa.array(values, column.type)
