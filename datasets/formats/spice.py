"""HDF5 in the layout of the SPICE dataset: a group for each molecule, its conformations in arrays.

The layout: https://github.com/openmm/spice-dataset/tree/main/downloader. Its readers find `smiles`,
`subset`, `atomic_numbers` (N), `conformations` (M, N, 3), `dft_total_energy` (M) and
`dft_total_gradient` (M, N, 3), whatever method gave the energies, and take them as atomic units.
"""

from functools import cache
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import pyarrow as pa
from h5py import h5a, h5d, h5g, h5p, h5s, h5t

from quantum_forge.datasets.columns import COLUMNS
from quantum_forge.datasets.formats.writer import Header

MOST_PENDING = 1000
"""Conformations of a group that are written at once; more are appended to chunked arrays."""

COMPACT_BYTES = 2**13
"""A smaller array lies beside its description: at most 64 kB can."""

_SETTINGS = ("molecule_id", "method", "solvation_model", "optimization_level")
_OTHERS = ("charge", "multiplicity", "program", "program_version")
_RENAMED = {
    "energy": "dft_total_energy",
    "positions": "conformations",
    "forces": "dft_total_gradient",
}
_NUMBERS = ("energy", "homo", "lumo", "gap", "dipole")
_SHAPES = {"partial_charges": (1,), "positions": (3,), "forces": (3,)}
"""Of what each atom has; SPICE has charges as (M, N, 1)."""
_QUANTITIES = {column.name: column.quantity for column in COLUMNS}

_TEXT = h5py.string_dtype()
_ONE = h5s.create(h5s.SCALAR)


class _Batch:
    """A batch as NumPy and plain Python have it; what is null is nan, or None."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        names = ("calculation_id", "smiles", *_SETTINGS, *_OTHERS)
        self.texts = {name: batch[name].to_pylist() for name in names}
        self.numbers = {name: _floats(batch[name]) for name in _NUMBERS}
        begins = batch["atomic_numbers"].offsets.to_numpy()
        values = batch["atomic_numbers"].values.to_numpy().astype("<i2")
        self.atomic_numbers = np.split(values, begins[1:-1])
        self.per_atom = {name: self._lists(batch[name], shape) for name, shape in _SHAPES.items()}

    def kind(self, row: int) -> tuple[Any, ...]:
        """What the conformations of a group have in common."""
        settings = tuple(self.texts[name][row] for name in _SETTINGS)
        return settings, self.atomic_numbers[row].tobytes()

    def _lists(self, column: pa.ListArray, shape: tuple[int, ...]) -> list[Any]:
        begins, flat = column.offsets.to_numpy(), column.values
        if isinstance(flat, pa.FixedSizeListArray):
            flat = flat.values
        lists = np.split(_floats(flat).reshape(-1, *shape), begins[1:-1])
        for row in np.flatnonzero(np.asarray(column.is_null())):
            lists[row] = np.full((len(self.atomic_numbers[row]), *shape), np.nan)
        return lists


class SpiceFile:
    """Rows must come by molecule, and within it by method.

    A group holds calculations that follow each other and have molecule, method, solvation, level of
    optimisation and order of the atoms in common. It is named after the first four, as
    `<molecule id>:GFN2-xTB`, with `:2` and so on where the order of the atoms changes. What is null
    is nan; a SMILES that is null is empty.
    """

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = h5py.File(path, "w", libver=("v110", "v110"), locking=False)
        self._file.attrs["quantum_forge"] = header.schema.metadata[b"quantum_forge"].decode()
        self._units = header.units
        self._pending: list[tuple[_Batch, int]] = []
        self._kind: tuple[Any, ...] = ()
        self._name = ""
        self._runs = 0
        self._group: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add conformations."""
        given = _Batch(batch)
        for kind, rows in groupby(range(batch.num_rows), key=given.kind):
            if kind != self._kind:
                self._end_group()
                self._begin_group(kind)
            for row in rows:
                self._pending.append((given, row))
                if len(self._pending) == MOST_PENDING:
                    self._flush(more=True)

    def close(self) -> None:
        """Write the last group."""
        self._end_group()
        self._file.close()

    def _begin_group(self, kind: tuple[Any, ...]) -> None:
        name = ":".join(str(part).replace("/", "_") for part in kind[0] if part is not None)
        self._runs = self._runs + 1 if name == self._name else 1
        self._kind, self._name = kind, name

    def _end_group(self) -> None:
        if self._pending:
            self._flush(more=False)
        self._group = None

    def _flush(self, *, more: bool) -> None:
        pending, self._pending = self._pending, []
        begins = self._group is None
        if begins:
            name = self._name if self._runs == 1 else f"{self._name}:{self._runs}"
            self._group = h5g.create(
                self._file.id, name.encode(), _name_properties(), _group_properties()
            )
            self._describe(*pending[0])
        ids = [batch.texts["calculation_id"][row] for batch, row in pending]
        self._put("calculation_ids", np.array(ids, _TEXT), begins, more)
        for name in _NUMBERS:
            values = np.array([batch.numbers[name][row] for batch, row in pending])
            self._put(name, values, begins, more)
        for name in _SHAPES:
            values = np.stack([batch.per_atom[name][row] for batch, row in pending])
            # SPICE has gradients.
            self._put(name, -values if name == "forces" else values, begins, more)

    def _describe(self, batch: _Batch, row: int) -> None:
        """Write what all conformations of the group have in common."""
        texts = {name: batch.texts[name][row] for name in (*_SETTINGS, *_OTHERS)}
        subset = " ".join(str(texts[name]) for name in _SETTINGS[1:] if texts[name] is not None)
        _create(self._group, "subset", np.array([subset], _TEXT))
        _create(self._group, "smiles", np.array([batch.texts["smiles"][row] or ""], _TEXT))
        _create(self._group, "atomic_numbers", batch.atomic_numbers[row])
        for name, value in texts.items():
            if value is not None:
                _tell(self._group, name, value)

    def _put(self, column: str, values: Any, begins: bool, more: bool) -> None:
        name = _RENAMED.get(column, column)
        if not begins:
            stored = h5py.Group(self._group)[name]
            stored.resize(len(stored) + len(values), axis=0)
            stored[-len(values) :] = values
            return
        created = _create(self._group, name, values, more=more)
        quantity = _QUANTITIES.get(column)
        if quantity is not None:
            _tell(created, "units", self._units.of(quantity))


# h5py's own groups, datasets and attributes do the same in four times the time, of which there is
# much to save: a molecule has a dozen arrays of a few numbers each.


def _create(group: Any, name: str, values: Any, *, more: bool = False) -> Any:
    """Write an array, to which more can be appended, or not."""
    is_text = values.dtype == object
    if more:
        layout = _chunked((MOST_PENDING, *values.shape[1:]))
    else:
        layout = _whole(is_text, values.nbytes <= COMPACT_BYTES)
    most = (h5s.UNLIMITED, *values.shape[1:]) if more else values.shape
    type_ = h5t.py_create(values.dtype, logical=True)
    space = h5s.create_simple(values.shape, most)
    created = h5d.create(group, name.encode(), type_, space, layout, _name_properties())
    created.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(values))
    return created


def _tell(owner: Any, name: str, value: str | int) -> None:
    """Write an attribute."""
    array = np.array(value, _TEXT if isinstance(value, str) else "<i8")
    type_ = h5t.py_create(array.dtype, logical=True)
    h5a.create(owner, name.encode(), type_, _ONE).write(array)


@cache
def _group_properties() -> Any:
    properties = h5p.create(h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    properties.set_attr_phase_change(64, 32)  # all of them in one place
    return properties


@cache
def _name_properties() -> Any:
    properties = h5p.create(h5p.LINK_CREATE)
    properties.set_char_encoding(h5t.CSET_UTF8)
    return properties


@cache
def _whole(is_text: bool, is_compact: bool) -> Any:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_layout(h5d.COMPACT if is_compact else h5d.CONTIGUOUS)
    if not is_text:  # of which it demands one
        properties.set_fill_time(h5d.FILL_TIME_NEVER)
    return properties


def _chunked(chunk: tuple[int, ...]) -> Any:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_chunk(chunk)
    return properties


def _floats(values: pa.Array) -> Any:
    return values.to_numpy(zero_copy_only=False).astype("<f8", copy=False)
