"""Comparison of a SMILES with a geometry: whether the atoms that are near are those it bonds.

Bond orders are not compared, and bonds to metals are left out of both. Two atoms are bonded where
their distance is at most `CERTAIN` times the sum of their covalent radii, and not bonded where it
is above `POSSIBLE` times that sum. A pair of atoms in between may be either, and so may a near pair
of heavier elements, which are no farther apart across a ring than when they are bonded, and a near
pair of atoms that one metal has next to it.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations, islice
from math import comb

import msgspec
import numpy as np
from rdkit import Chem

from quantum_forge.runner.molecules.connectivity import COVALENT_RADII, MOST_ATOMS, graph_key
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.pairs import blocks_of_atoms
from quantum_forge.runner.molecules.spin import METALS

CERTAIN, POSSIBLE = 1.15, 1.4
"""Times the sum of the covalent radii.

The longest usual bond is F–F with 1.24; the bridgeheads of bicyclo[1.1.1]pentane, which are not
bonded, are at 1.23, and the opposite atoms of cyclobutane at 1.41.
"""

CERTAIN_OF_HEAVIER = 0.95
"""The same for two atoms of `_HEAVIER`: the silicon atoms of cyclodisiloxane are at 1.07."""

MOST_CHOICES = 500
"""Ways to choose the bonds among the pairs that may be bonded; more are not tried."""

_HEAVIER = np.array([5, 14, 15, 16, 32, 33, 34, 51, 52])
_ORDINARY = frozenset(
    {
        Chem.BondType.SINGLE,
        Chem.BondType.DOUBLE,
        Chem.BondType.TRIPLE,
        Chem.BondType.QUADRUPLE,
        Chem.BondType.AROMATIC,
    }
)

Pair = tuple[int, int]


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """A geometry has other bonds than its SMILES; hydrogens_only: only hydrogens are elsewhere."""

    reason: str
    hydrogens_only: bool


def contradiction(smiles: str, mol: Chem.Mol, geometry: Geometry) -> Contradiction | None:
    """Return how the bonds of a geometry differ from those of a SMILES; None where they may agree.

    Args:
        smiles: for the reason.
        mol: what it means; it has the atoms of the geometry, in any order.
        geometry: with all hydrogens.
    """
    with_hydrogens = Chem.AddHs(mol)
    numbers = [atom.GetAtomicNum() for atom in with_hydrogens.GetAtoms()]
    bonds = []
    for bond in with_hydrogens.GetBonds():
        pair = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if METALS.isdisjoint(numbers[index] for index in pair):
            if bond.GetBondType() not in _ORDINARY:
                return None  # dative, or of no order: as long as it likes
            bonds.append(pair)
    certain, possible = _near(geometry)
    if _may_be_same(numbers, bonds, geometry.numbers, certain, possible):
        return None
    heavy = _without_hydrogens(numbers, bonds)
    found = _without_hydrogens(geometry.numbers, certain)
    _, maybe = _without_hydrogens(geometry.numbers, possible)
    hydrogens_only = _may_be_same(*heavy, *found, maybe)
    shown = _skeleton(*found)
    if hydrogens_only:
        what = "hydrogens at other atoms"
    elif shown is not None and shown != _skeleton(*heavy):
        what = f"the bonds of {shown} (without hydrogens and bond orders)"
    else:
        what = "bonds between other atoms"
    return Contradiction(
        reason=f"the geometry has {what}, which is a different molecule from the SMILES {smiles}",
        hydrogens_only=hydrogens_only,
    )


def _near(geometry: Geometry) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs of atoms that are bonded, and those that may be, the nearest first."""
    numbers = np.array(geometry.numbers)
    positions = np.array(geometry.positions, dtype=float)
    radii = COVALENT_RADII[numbers]
    is_heavier = np.isin(numbers, _HEAVIER)
    is_metal = np.isin(numbers, list(METALS))
    at_metal = np.zeros((int(is_metal.sum()), len(numbers)), dtype=bool)
    for row, metal in enumerate(np.flatnonzero(is_metal)):
        lengths = np.sqrt(((positions - positions[metal]) ** 2).sum(axis=1))
        at_metal[row] = lengths <= POSSIBLE * (radii + radii[metal])
    atoms = np.arange(len(numbers))
    certain: list[Pair] = []
    possible: list[tuple[float, Pair]] = []
    for block in blocks_of_atoms(len(atoms)):
        squares = ((positions[block, None] - positions) ** 2).sum(axis=2)
        ratios = np.sqrt(squares) / (radii[block, None] + radii)
        is_pair = (block[:, None] < atoms) & ~is_metal[block, None] & ~is_metal
        one, other = np.nonzero((ratios <= POSSIBLE) & is_pair)
        first = block[one]
        limits = np.where(is_heavier[first] & is_heavier[other], CERTAIN_OF_HEAVIER, CERTAIN)
        limits[(at_metal[:, first] & at_metal[:, other]).any(axis=0)] = 0.0
        ratio = ratios[one, other]
        pairs = zip(first.tolist(), other.tolist(), strict=True)
        for pair, found, limit in zip(pairs, ratio.tolist(), limits.tolist(), strict=True):
            if found <= limit:
                certain.append(pair)
            else:
                possible.append((found, pair))
    return certain, [pair for _, pair in sorted(possible)]


def _may_be_same(
    numbers: Iterable[int],
    bonds: list[Pair],
    found_numbers: Iterable[int],
    certain: list[Pair],
    possible: list[Pair],
) -> bool:
    """Whether some choice among the possible bonds makes the two graphs the same."""
    wanted = len(bonds) - len(certain)
    if not 0 <= wanted <= len(possible):
        return False
    one, other = tuple(numbers), tuple(found_numbers)
    choices = combinations(possible, wanted)  # the nearest first
    if any(
        _is_same_graph(one, bonds, other, [*certain, *choice])
        for choice in islice(choices, MOST_CHOICES)
    ):
        return True
    return comb(len(possible), wanted) > MOST_CHOICES


def _is_same_graph(
    numbers: tuple[int, ...], bonds: list[Pair], others: tuple[int, ...], found: list[Pair]
) -> bool:
    if _degrees(numbers, bonds) != _degrees(others, found):
        return False
    written = _written(numbers, bonds)
    if written is not None and written == _written(others, found):
        return True
    # The canonical numbering of RDKit is not proven to be one; this invariant is.
    if len(numbers) > MOST_ATOMS:
        return True
    return graph_key(numbers, bonds) == graph_key(others, found)


def _degrees(numbers: tuple[int, ...], bonds: list[Pair]) -> Counter[tuple[int, tuple[int, ...]]]:
    """How many atoms there are of each element with these elements bonded to them."""
    around: list[list[int]] = [[] for _ in numbers]
    for first, second in bonds:
        around[first].append(numbers[second])
        around[second].append(numbers[first])
    return Counter(
        (number, tuple(sorted(near))) for number, near in zip(numbers, around, strict=True)
    )


def _written(numbers: tuple[int, ...], bonds: list[Pair]) -> str | None:
    """A canonical SMILES of a graph with single bonds; None where RDKit cannot write it."""
    mol = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for pair in bonds:
        mol.AddBond(*pair, Chem.BondType.SINGLE)
    try:
        mol.UpdatePropertyCache(strict=False)
        return str(Chem.MolToSmiles(mol))
    except Exception:  # RDKit raises plain RuntimeError, for too many rings that are open
        return None


def _without_hydrogens(
    numbers: Iterable[int], bonds: list[Pair]
) -> tuple[tuple[int, ...], list[Pair]]:
    kept = {
        index: place
        for place, index in enumerate(index for index, number in enumerate(numbers) if number != 1)
    }
    return (
        tuple(number for number in numbers if number != 1),
        [
            (kept[first], kept[second])
            for first, second in bonds
            if first in kept and second in kept
        ],
    )


def _skeleton(numbers: tuple[int, ...], bonds: list[Pair]) -> str | None:
    """A SMILES of heavy atoms to show, as `CCO`; None where it would be long."""
    mol = Chem.RWMol()
    for number in numbers:
        mol.AddAtom(Chem.Atom(number))
    for pair in bonds:
        mol.AddBond(*pair, Chem.BondType.SINGLE)
    mol.UpdatePropertyCache(strict=False)
    try:
        text = str(Chem.MolToSmiles(mol))
    except Exception:  # as above
        return None
    return text if len(text) <= 80 else None
