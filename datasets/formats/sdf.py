"""SDF, as RDKit reads it: a record for each calculation, with its bonds."""

import json
import logging
import os
import textwrap
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa

from quantum_forge.datasets.columns import OF_ATOMS, OF_CALCULATIONS
from quantum_forge.datasets.formats.mol_blocks import Structure
from quantum_forge.datasets.formats.writer import Header
from quantum_forge.datasets.units import Quantity
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.runner.workers.isolation import Isolation
from quantum_forge.runner.workers.pool import WorkerPool

LONGEST_LINE = 190
"""Characters; the format ends a line of data at 200."""

MOST_WORKERS = 4
"""More of them wait for the rest of the export."""

SEARCH_SECONDS = 60.0
"""For the bonds of one record, after which it has none. The search is bounded by its steps and ends
within 3 s, so that what is written does not depend on the machine; this is for what has no bound.
"""

_logger = logging.getLogger(__name__)
_BONDED = "quantum_forge.datasets.formats.mol_blocks:bonded_block"
_BARE = "quantum_forge.datasets.formats.mol_blocks:bare_block"
_PER_ATOM = {column.name: column for column in OF_ATOMS}


class UnwritableRecord(QuantumForgeError):
    """RDKit cannot write the mol block of a record, even without bonds."""

    def __init__(self, title: str, reason: str) -> None:
        super().__init__(
            f"RDKit cannot write the record of {title} ({reason}); leave it out with --where, or "
            "give another --format"
        )


class _NoBlock(msgspec.Struct, frozen=True):
    """The reason why RDKit wrote no mol block."""

    reason: str


class SdfFile:
    """Numbers are data fields with the unit in their names; per-atom ones are RDKit's own lists.

    A mol block has positions in Å with four decimals; `atom.dprop.position_x_…` has all of them.
    Bonds are those of the SMILES where the atoms are in its order, else they follow from the
    distances; where neither gives any, the record has atoms alone. RDKit runs in processes of its
    own, one of which it may crash or occupy for ever.
    """

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = file
        self._units = header.units
        workers = min(MOST_WORKERS, len(os.sched_getaffinity(0)), header.records or MOST_WORKERS)
        self._pool = WorkerPool(workers, function=_BONDED)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add records."""
        rows = batch.to_pylist()
        structures = [self._structure(row) for row in rows]
        blocks = self._blocks(structures)
        self._file.write("".join(map(self._record, rows, blocks)).encode())

    def close(self) -> None:
        """End the worker processes; nothing is added."""
        self._pool.kill_all()

    def _structure(self, row: dict[str, Any]) -> Structure:
        to_angstrom = 1 / self._units.factor(Quantity.LENGTH)
        return Structure(
            title=_line(row["name"] or row["smiles"] or ""),
            smiles=row["smiles"],
            numbers=tuple(row["atomic_numbers"]),
            points=tuple(tuple(value * to_angstrom for value in p) for p in row["positions"]),
            charge=row["charge"] or 0,
        )

    def _blocks(self, structures: list[Structure]) -> list[str]:
        """A mol block for each structure, without bonds where looking for them ends a worker."""
        found = self._ran(_BONDED, structures)
        failed = [index for index, block in enumerate(found) if isinstance(block, _NoBlock)]
        again = self._ran(_BARE, [structures[index] for index in failed]) if failed else []
        bare = dict(zip(failed, again, strict=True))
        blocks = []
        for index, block in enumerate(found):
            if isinstance(block, _NoBlock):
                title = structures[index].title
                _logger.warning("the record of %s has no bonds: %s", title, block.reason)
                block = bare[index]
            if isinstance(block, _NoBlock):
                raise UnwritableRecord(structures[index].title, block.reason)
            blocks.append(block)
        return blocks

    def _ran(self, function: str, structures: list[Structure]) -> list[str | _NoBlock]:
        isolation = Isolation[Structure, str | _NoBlock](
            self._pool, function, lambda _, reason: _NoBlock(reason), timeout_s=SEARCH_SECONDS
        )
        isolation.give(structures)
        blocks: list[str | _NoBlock] = []
        while isolation:
            for outcome in self._pool.wait():
                isolation.heed(outcome)
            blocks += isolation.taken(len(isolation))
        return blocks

    def _record(self, row: dict[str, Any], block: str) -> str:
        fields = [
            (column.named_with_unit(self._units), [_text(row[column.name])])
            for column in OF_CALCULATIONS
            if row[column.name] is not None
        ]
        fields += [(f"atom.dprop.{name}", _lines(values)) for name, values in self._atom_lists(row)]
        data = "".join(f">  <{name}>\n" + "\n".join(lines) + "\n\n" for name, lines in fields)
        return f"{block}{data}$$$$\n"

    def _atom_lists(self, row: dict[str, Any]) -> list[tuple[str, list[float | None]]]:
        lists = []
        for plural, singular in (("positions", "position"), ("forces", "force")):
            named = _PER_ATOM[plural].named_with_unit(self._units)
            for axis, letter in enumerate("xyz"):
                if row[plural] is not None:
                    name = named.replace(plural, f"{singular}_{letter}")
                    lists.append((name, [point[axis] for point in row[plural]]))
        if row["partial_charges"] is not None:
            named = _PER_ATOM["partial_charges"].named_with_unit(self._units)
            lists.append((named.replace("charges", "charge"), row["partial_charges"]))
        return lists


def _lines(values: list[float | None]) -> list[str]:
    """A list as RDKit has it: [n/a] first, as what stands for a missing value, where one is."""
    words = ["n/a" if value is None else repr(value) for value in values]
    start = "[n/a] " if "n/a" in words else ""
    return textwrap.wrap(start + " ".join(words), LONGEST_LINE, break_on_hyphens=False)


def _text(value: Any) -> str:
    match value:
        case datetime():
            return value.isoformat()
        case str():
            return _line(value)
    return repr(value)


def _line(text: str) -> str:
    """A text as one line that does not end the record: as it stands, or as JSON."""
    if text.isprintable() and not text.startswith(("$$$$", ">", '"')) and text.strip():
        return text
    return json.dumps(text)
