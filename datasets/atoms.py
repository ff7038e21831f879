"""The atoms of many calculations, from the JSON in which the log has them to columns of lists.

They arrive as documents: PostgreSQL's text of the JSON, with a line end in place of what stands
between two atoms. Nothing else in such a text is a line end, so it can be undone; and without
brackets it is CSV, which costs a fifth of decoding JSON.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from quantum_forge.datasets.columns import VECTOR
from quantum_forge.datasets.units import Quantity, Units

# As Atom of quantum_forge.schema.domains.calculations, but as plain tuples, of which columns are
# made at once.
_Maybe = float | None
_Atom = tuple[str, int, _Maybe, float, float, float, _Maybe, _Maybe, _Maybe]
_decoder: msgspec.json.Decoder[list[_Atom]] = msgspec.json.Decoder(list[_Atom])

_TYPES: dict[str, pa.DataType] = {
    "element": pa.string(),
    "number": pa.int32(),
    "charge": pa.float64(),
    **dict.fromkeys(("x", "y", "z", "fx", "fy", "fz"), pa.float64()),
}
_REQUIRED = ("element", "number", "x", "y", "z")
BETWEEN = "], ["
"""Separator that PostgreSQL writes between two atoms."""

LINE_END = "\n"
"""What documents have there; JSON escapes it everywhere else."""

Flat = dict[str, pa.Array]
"""A value for each atom of all calculations, by the names of _TYPES."""


class BadAtoms(ValueError):
    """A document is no list of atoms; `index` says which."""

    def __init__(self, index: int, reason: str) -> None:
        self.index = index
        super().__init__(reason)


def count_atoms(document: str | None) -> int:
    """How many atoms a document has, judged by its looks; none, if there is no document."""
    return 0 if document in (None, "", "[]") else document.count(LINE_END) + 1


def atom_columns(documents: Sequence[str], counts: Sequence[int], units: Units) -> list[pa.Array]:
    """A list for each calculation, in the order of `quantum_forge.datasets.columns.OF_ATOMS`.

    A list that is null for every atom of a calculation is null itself.

    Args:
        documents: the atoms of each calculation, at least one.
        counts: as `count_atoms` counts them.
        units: of positions and forces.

    Raises:
        BadAtoms
    """
    found = _read_as_table(documents, sum(counts))
    if found is None:
        counts, found = _read_one_by_one(documents)
    begins = np.concatenate(([0], np.cumsum(counts))).astype("i4")
    offsets = pa.array(begins)

    def lists(values: pa.Array, known: Any = None) -> pa.Array:
        absent = None if known is None else pa.array(~known)
        return pa.ListArray.from_arrays(offsets, values, mask=absent)

    def vectors(names: Sequence[str], quantity: Quantity) -> pa.Array:
        axes = [found[name] for name in names]
        flat = np.column_stack([axis.to_numpy(zero_copy_only=False) for axis in axes]).ravel()
        absent = None
        if any(axis.null_count for axis in axes):
            absent = np.column_stack([np.asarray(axis.is_null()) for axis in axes]).ravel()
        values = pa.array(flat, pa.float64(), mask=absent)
        factor = units.factor(quantity)
        if factor != 1:
            values = pc.multiply(values, factor)
        return pa.FixedSizeListArray.from_arrays(values, type=VECTOR)

    def known(*names: str) -> Any:
        """Which calculations have any of these values; None: all of them have them all."""
        if not any(found[name].null_count for name in names):
            return None
        there = np.any([np.asarray(found[name].is_valid()) for name in names], axis=0)
        return np.logical_or.reduceat(there, begins[:-1])

    return [
        lists(found["element"]),
        lists(found["number"]),
        lists(found["charge"], known("charge")),
        lists(vectors(("x", "y", "z"), Quantity.LENGTH)),
        lists(vectors(("fx", "fy", "fz"), Quantity.FORCE), known("fx", "fy", "fz")),
    ]


def _read_as_table(documents: Sequence[str], atoms: int) -> Flat | None:
    """All atoms at once, each as a line of CSV; None where they are anything but plain atoms."""
    if not all(text.startswith('[["') and text.endswith("]]") for text in documents):
        return None
    # Numbers are written in JSON as in CSV. Quotes are taken as they come: an element has two of
    # them, and a text elsewhere is no number.
    lines = LINE_END.join([text[2:-2] for text in documents]).encode()
    try:
        table = csv.read_csv(
            pa.py_buffer(lines),
            csv.ReadOptions(use_threads=False, block_size=len(lines), column_names=list(_TYPES)),
            csv.ParseOptions(quote_char=False),
            csv.ConvertOptions(
                column_types={**_TYPES, "element": pa.dictionary(pa.int32(), pa.string())},
                null_values=[" null"],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    found = {
        name: column.combine_chunks() for name, column in zip(_TYPES, table.columns, strict=True)
    }
    elements = found["element"].dictionary.to_pylist()
    if (
        table.num_rows != atoms
        or any(found[name].null_count for name in _REQUIRED)
        or not all(len(e) > 1 and e[0] == e[-1] == '"' and "\\" not in e for e in elements)
        or not all(_is_finite(found[name]) for name in list(_TYPES)[2:])
    ):
        return None
    names = pa.array([element[1:-1] for element in elements], pa.string())
    return {**found, "element": names.take(found["element"].indices)}


def _read_one_by_one(documents: Sequence[str]) -> tuple[list[int], Flat]:
    """The same of any JSON, with how many atoms each document has.

    Raises:
        BadAtoms
    """
    atoms: list[list[_Atom]] = []
    for index, document in enumerate(documents):
        try:
            atoms.append(_decoder.decode(document.replace(LINE_END, BETWEEN)))
        except msgspec.MsgspecError as error:
            raise BadAtoms(index, str(error)) from error
    parts = zip(*chain.from_iterable(atoms), strict=True)
    return [len(its) for its in atoms], {
        name: pa.array(values, type_)
        for (name, type_), values in zip(_TYPES.items(), parts, strict=True)
    }


def _is_finite(values: pa.Array) -> bool:
    return pc.all(pc.is_finite(values)).as_py() is not False  # None: nothing but nulls
