"""HDF5 in the layout of the SPICE dataset: a group for each molecule, its conformations in arrays.

The layout: https://github.com/openmm/spice-dataset/tree/main/downloader. Its readers find `smiles`,
`subset`, `atomic_numbers` (N), `conformations` (M, N, 3), `dft_total_energy` (M) and
`dft_total_gradient` (M, N, 3), whatever method gave the energies, and take them as atomic units.
"""

from itertools import groupby
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import pyarrow as pa

from datasets.columns import COLUMNS
from datasets.formats.writer import Header

MOST_HELD = 1000
"""Conformations of a group that are written at once; more are appended to chunked arrays."""

_SETTINGS = ("molecule_id", "method", "solvation_model", "optimization_level")
_RENAMED = {
    "energy": "dft_total_energy",
    "positions": "conformations",
    "forces": "dft_total_gradient",
}
_ARRAYS = ("energy", "homo", "lumo", "gap", "dipole", "partial_charges", "positions", "forces")
_QUANTITIES = {column.name: column.quantity for column in COLUMNS}


class SpiceFile:
    """Rows must come by molecule, and within it by method.

    A group holds calculations that follow each other and have molecule, method, solvation, level of
    optimisation and order of the atoms in common. It is named after the first four, as
    `<molecule id>:GFN2-xTB`, with `:2` and so on where the order of the atoms changes. What is null
    is nan.
    """

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = h5py.File(path, "w", libver=("v110", "v110"), locking=False)
        self._file.attrs["quantum_forge"] = header.schema.metadata[b"quantum_forge"].decode()
        self._units = header.units
        self._held: list[dict[str, Any]] = []
        self._kind: tuple[Any, ...] = ()
        self._name = ""
        self._runs = 0
        self._group: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add conformations."""
        for kind, rows in groupby(batch.to_pylist(), key=_kind_of):
            if kind != self._kind:
                self._end_group()
                self._begin_group(kind)
            for row in rows:
                self._held.append(row)
                if len(self._held) == MOST_HELD:
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
        if self._held:
            self._flush(more=False)
        self._group = None

    def _flush(self, *, more: bool) -> None:
        rows, self._held = self._held, []
        begins = self._group is None
        if begins:
            name = self._name if self._runs == 1 else f"{self._name}:{self._runs}"
            self._group = self._file.create_group(name)
            self._describe(rows[0])
        self._put("calculation_ids", [row["calculation_id"] for row in rows], begins, more)
        atoms = len(rows[0]["atomic_numbers"])
        absent: dict[str, Any] = {
            "partial_charges": [np.nan] * atoms,
            "positions": [[np.nan] * 3] * atoms,
            "forces": [[np.nan] * 3] * atoms,
        }
        for name in _ARRAYS:
            known = [absent.get(name, np.nan) if row[name] is None else row[name] for row in rows]
            values = np.array(known, "f8")
            if name == "partial_charges":
                values = values[..., np.newaxis]  # as SPICE has charges: (M, N, 1)
            if name == "forces":
                values = -values  # SPICE has gradients
            self._put(_RENAMED.get(name, name), values, begins, more, name)

    def _describe(self, row: dict[str, Any]) -> None:
        """Write what all conformations of the group have in common."""
        texts = h5py.string_dtype()
        subset = " ".join(str(row[name]) for name in _SETTINGS[1:] if row[name] is not None)
        self._group.create_dataset("subset", data=[subset], dtype=texts)
        self._group.create_dataset("smiles", data=[row["smiles"]], dtype=texts)
        self._group.create_dataset("atomic_numbers", data=row["atomic_numbers"], dtype="i2")
        for name in (*_SETTINGS, "charge", "multiplicity", "program", "program_version"):
            if row[name] is not None:
                self._group.attrs[name] = row[name]

    def _put(self, name: str, values: Any, begins: bool, more: bool, column: str = "") -> None:
        if not begins:
            stored = self._group[name]
            stored.resize(len(stored) + len(values), axis=0)
            stored[-len(values) :] = values
            return
        dtype = h5py.string_dtype() if column == "" else "f8"
        shape = np.shape(values)
        extent = {"maxshape": (None, *shape[1:]), "chunks": (MOST_HELD, *shape[1:])} if more else {}
        stored = self._group.create_dataset(name, data=values, dtype=dtype, **extent)
        quantity = _QUANTITIES.get(column)
        if quantity is not None:
            stored.attrs["units"] = self._units.of(quantity)


def _kind_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SETTINGS), tuple(row["atomic_numbers"])
