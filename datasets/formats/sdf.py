"""SDF, as RDKit reads it: a record for each calculation, with its bonds."""

import json
import textwrap
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds
from rdkit.Geometry import Point3D

from datasets.columns import OF_ATOMS, OF_CALCULATIONS
from datasets.formats.writer import Header
from datasets.units import Quantity

LONGEST_LINE = 190
"""Characters; the format ends a line of data at 200."""

STRETCHED = 1.3
"""A bond is at most so many times as long as the sum of its atoms' covalent radii."""

_PER_ATOM = {column.name: column for column in OF_ATOMS}


class SdfFile:
    """Numbers are data fields with the unit in their names; per-atom ones are RDKit's own lists.

    A mol block has positions in Å with four decimals; `atom.dprop.position_x_…` has all of them.
    Bonds are those of the SMILES where the atoms are in its order, else they follow from the
    distances; where neither gives any, the record has atoms alone.
    """

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = file
        self._units = header.units

    def write(self, batch: pa.RecordBatch) -> None:
        """Add records."""
        with rdBase.BlockLogs():
            records = [self._record(row) for row in batch.to_pylist()]
        self._file.write("".join(records).encode())

    def close(self) -> None:
        """Add nothing."""

    def _record(self, row: dict[str, Any]) -> str:
        to_angstrom = 1 / self._units.factor(Quantity.LENGTH)
        points = [[value * to_angstrom for value in point] for point in row["positions"]]
        molecule = _molecule(row["smiles"], row["atomic_numbers"], points, row["charge"])
        molecule.SetProp("_Name", _line(row["name"] or row["smiles"]))
        fields = [
            (column.named_with_unit(self._units), [_text(row[column.name])])
            for column in OF_CALCULATIONS
            if row[column.name] is not None
        ]
        fields += [(f"atom.dprop.{name}", _lines(values)) for name, values in self._atom_lists(row)]
        data = "".join(f">  <{name}>\n" + "\n".join(lines) + "\n\n" for name, lines in fields)
        return f"{Chem.MolToMolBlock(molecule, forceV3000=len(points) > 999)}{data}$$$$\n"

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


def _molecule(
    smiles: str, numbers: list[int], points: list[list[float]], charge: int | None
) -> Chem.Mol:
    """The atoms at their places in Å, with the bonds that can be known."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is not None:
        molecule = Chem.AddHs(molecule)
        same = [atom.GetAtomicNum() for atom in molecule.GetAtoms()] == numbers
        if same and _bonds_fit(molecule, points):
            return _placed(molecule, points)
    bare = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        bare.AddAtom(atom)
    placed = _placed(bare, points)
    bonded = Chem.Mol(placed)
    try:
        rdDetermineBonds.DetermineBonds(bonded, charge=charge or 0)
    except (ValueError, RuntimeError):
        return placed
    return bonded


def _placed(molecule: Chem.Mol, points: list[list[float]]) -> Chem.Mol:
    conformer = Chem.Conformer(len(points))
    conformer.Set3D(True)
    for index, point in enumerate(points):
        conformer.SetAtomPosition(index, Point3D(*point))
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer, assignId=True)
    return molecule


def _bonds_fit(molecule: Chem.Mol, points: list[list[float]]) -> bool:
    """Whether atoms that are bonded are near each other: whether their order is the SMILES's."""
    table = Chem.GetPeriodicTable()
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        reach = STRETCHED * sum(table.GetRcovalent(atom.GetAtomicNum()) for atom in ends)
        a, b = (points[atom.GetIdx()] for atom in ends)
        if sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) > reach**2:
            return False
    return True


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
    """A text as one line that does not end the record."""
    if text.isprintable() and not text.startswith(("$$$$", ">")) and text.strip():
        return text
    return json.dumps(text)
