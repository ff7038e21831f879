"""Mol blocks of geometries, with the bonds that RDKit knows or perceives; runs in workers."""

import msgspec
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds
from rdkit.Geometry import Point3D

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.limits import MOST_ATOMS, refuse_large_smiles

STRETCHED = 1.3
"""A bond is at most so many times as long as the sum of its atoms' covalent radii."""

SEARCH = 4_000_000
"""Atoms times steps of a search for bond orders, which takes some 2 s; a count, not a time, so that
the same record is written on every machine. Molecules whose bonds are found need a hundredth."""


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule and where its atoms are: points in Å, charge in e; title: its first line."""

    title: str
    smiles: str | None
    numbers: tuple[int, ...]
    points: tuple[tuple[float, ...], ...]
    charge: int


def bonded_block(structure: Structure) -> str:
    """The mol block with the bonds of the SMILES, or of the distances, or none."""
    with rdBase.BlockLogs():
        molecule = _of_smiles(structure) or _perceived(structure) or _bare(structure)
        return _written(structure, molecule)


def bare_block(structure: Structure) -> str:
    """The mol block with atoms alone."""
    with rdBase.BlockLogs():
        return _written(structure, _bare(structure))


def _written(structure: Structure, molecule: Chem.Mol) -> str:
    molecule.SetProp("_Name", structure.title)
    return str(Chem.MolToMolBlock(molecule, forceV3000=len(structure.numbers) > 999))


def _of_smiles(structure: Structure) -> Chem.Mol | None:
    """None where the atoms are others than those of the SMILES, or in another order."""
    if structure.smiles is None:
        return None
    try:
        refuse_large_smiles(structure.smiles)
    except InputError:
        return None
    molecule = Chem.MolFromSmiles(structure.smiles)
    if molecule is None:
        return None
    molecule = Chem.AddHs(molecule)
    same = tuple(atom.GetAtomicNum() for atom in molecule.GetAtoms()) == structure.numbers
    if same and _bonds_fit(molecule, structure.points):
        return _placed(molecule, structure.points)
    return None


def _perceived(structure: Structure) -> Chem.Mol | None:
    """None where no bonds fit, or none were found within the steps of SEARCH.

    Nor of a molecule without a SMILES: its bonds were looked for when it was identified.
    """
    if structure.smiles is None or len(structure.numbers) > MOST_ATOMS:
        return None
    bonded = Chem.Mol(_bare(structure))
    steps = max(1, SEARCH // len(structure.numbers))
    try:
        rdDetermineBonds.DetermineBonds(bonded, charge=structure.charge, maxIterations=steps)
    except (ValueError, RuntimeError):
        return None
    return bonded


def _bare(structure: Structure) -> Chem.Mol:
    bare = Chem.RWMol()
    for number in structure.numbers:
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        bare.AddAtom(atom)
    return _placed(bare, structure.points)


def _placed(molecule: Chem.Mol, points: tuple[tuple[float, ...], ...]) -> Chem.Mol:
    conformer = Chem.Conformer(len(points))
    conformer.Set3D(True)
    for index, point in enumerate(points):
        conformer.SetAtomPosition(index, Point3D(*point))
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer, assignId=True)
    return molecule


def _bonds_fit(molecule: Chem.Mol, points: tuple[tuple[float, ...], ...]) -> bool:
    """Whether atoms that are bonded are near each other: whether their order is the SMILES's."""
    table = Chem.GetPeriodicTable()
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        reach = STRETCHED * sum(table.GetRcovalent(atom.GetAtomicNum()) for atom in ends)
        a, b = (points[atom.GetIdx()] for atom in ends)
        if sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) > reach**2:
            return False
    return True
