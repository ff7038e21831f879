"""The rows of a dataset, in order and in bounded memory, as Arrow record batches."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, pairwise
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
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
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from datasets.columns import OF_CALCULATIONS, TIME, VECTOR, Column
from datasets.selection import Sequence, ordered
from datasets.units import Quantity, Units
from eventstore.errors import QuantumForgeError
from projections.compiler.log import logged_by
from projections.registry import PROJECTIONS

PAGE = 256
"""Calculations fetched at once; their atoms are looked up by the positions of their events."""

LARGEST_BATCH = 1024
MOST_ATOMS = 50_000
"""A batch ends with the calculation that reaches either: what bounds memory."""

# As schema.events.chemistry.Atom, but as plain tuples, of which columns are made at once.
_Maybe = float | None
_Atom = tuple[str, int, _Maybe, float, float, float, _Maybe, _Maybe, _Maybe]
_atoms: msgspec.json.Decoder[list[_Atom]] = msgspec.json.Decoder(list[_Atom])

Page = list[tuple[tuple[Any, ...], str | None]]
"""Calculations as tuples in the order of OF_CALCULATIONS, each with its atoms in JSON."""


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
        self.atoms = 0
        self.without_atoms = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches; where one ends depends on the rows alone."""
        held: list[tuple[Any, ...]] = []
        atoms: list[list[_Atom]] = []
        count = 0
        for row, document in chain.from_iterable(self._pages()):
            its = _parsed(row, document)
            if not its:
                self.without_atoms += 1
                continue
            held.append(row)
            atoms.append(its)
            count += len(its)
            if len(held) == LARGEST_BATCH or count >= MOST_ATOMS:
                yield self._batch(held, atoms)
                held, atoms, count = [], [], 0
        if held:
            yield self._batch(held, atoms)

    def _pages(self) -> Iterator[Page]:
        """Pages, the next of which is fetched while one is worked on."""
        streamed = self._query.execution_options(stream_results=True, max_row_buffer=PAGE)
        with (
            ThreadPoolExecutor(1, "qforge-export") as fetching,
            self._connection.execute(streamed) as result,
        ):
            ahead: Future[Page] = fetching.submit(self._fetch, result)
            try:
                while page := ahead.result():
                    ahead = fetching.submit(self._fetch, result)
                    yield page
            except BaseException:
                # What is being fetched is given up rather than waited for.
                if not ahead.done():
                    driver = self._connection.connection.driver_connection
                    assert isinstance(driver, psycopg.Connection)
                    driver.cancel_safe(timeout=5)
                raise

    def _fetch(self, result: CursorResult[Any]) -> Page:
        rows = [tuple(row) for row in result.fetchmany(PAGE)]
        found = self._connection.execute(_ATOMS, {"positions": [row[-1] for row in rows]})
        documents: dict[int, str] = {row[0]: row[1] for row in found}
        return [(row, documents.get(row[-1])) for row in rows]

    def _batch(self, rows: list[tuple[Any, ...]], atoms: list[list[_Atom]]) -> pa.RecordBatch:
        columns = [
            _scalar_column(column, values, self._units)
            for column, values in zip(OF_CALCULATIONS, zip(*rows, strict=True), strict=True)
        ]
        lengths = [len(its) for its in atoms]
        self.atoms += sum(lengths)
        return pa.RecordBatch.from_arrays(
            [*columns, *_atom_columns(lengths, atoms, self._units)], schema=self._schema
        )


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
    """The atoms of the events at some positions, as JSON."""
    logged = logged_by(PROJECTIONS["atomic_properties"])
    positions = bindparam("positions", type_=ARRAY(BigInteger))
    return select(logged.c.id, cast(logged.c.data["atoms"], Text)).where(
        logged.c.id == any_(positions)
    )


_ATOMS = _select_atoms()


def _parsed(row: tuple[Any, ...], document: str | None) -> list[_Atom]:
    try:
        return _atoms.decode(document or "[]")
    except msgspec.MsgspecError as error:
        raise UnreadableAtoms(row[-1], str(error)) from error


def _scalar_column(column: Column, values: tuple[Any, ...], units: Units) -> pa.Array:
    factor = 1.0 if column.quantity is None else units.factor(column.quantity)
    if factor != 1:
        values = tuple(None if value is None else value * factor for value in values)
    return pa.array(values, column.type)


def _atom_columns(lengths: list[int], atoms: list[list[_Atom]], units: Units) -> list[pa.Array]:
    """The lists of a batch; one that is null for every atom of a calculation is null itself."""
    parts = list(zip(*chain.from_iterable(atoms), strict=True))
    element, number, charge, x, y, z, fx, fy, fz = parts
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] + length)
    bounds = list(pairwise(offsets))

    def lists(values: pa.Array, known: list[bool] | None = None) -> pa.Array:
        absent = None if known is None else pa.array([not there for there in known])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=absent)

    def vectors(*axes: tuple[float | None, ...], quantity: Quantity) -> pa.Array:
        factor = units.factor(quantity)
        flat = pa.array(chain.from_iterable(zip(*axes, strict=True)), pa.float64())
        if factor != 1:
            flat = pc.multiply(flat, factor)
        return pa.FixedSizeListArray.from_arrays(flat, type=VECTOR)

    def known(*values: tuple[float | None, ...]) -> list[bool] | None:
        if all(None not in axis for axis in values):
            return None
        return [
            any(value is not None for axis in values for value in axis[begin:end])
            for begin, end in bounds
        ]

    return [
        lists(pa.array(element, pa.string())),
        lists(pa.array(number, pa.int32())),
        lists(pa.array(charge, pa.float64()), known(charge)),
        lists(vectors(x, y, z, quantity=Quantity.LENGTH)),
        lists(vectors(fx, fy, fz, quantity=Quantity.FORCE), known(fx, fy, fz)),
    ]
