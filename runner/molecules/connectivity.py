"""Identity of a molecule by its connectivity: which atoms are near enough to be bonded.

It stands in where no SMILES is given and no bonds with orders can be perceived: metal complexes,
ionic compounds, clusters.

Two atoms count as connected where their distance is at most `STRETCH` times the sum of their
covalent radii. The key is a digest of the elements, of the isotopes that were given, and of the
lengths of the shortest paths between all atoms, refined until no two atoms can be told apart any
more (colour refinement, Weisfeiler and Leman 1968, with distances in place of neighbours).
Rotation, translation and the order of the atoms cannot change it. Stereoisomers share a key, and
so do compounds that differ in bond orders alone.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.geometry import ELEMENTS, Geometry

VERSION = "1"
"""Of the key: part of it, so that a change of the rules makes no two molecules one."""

STRETCH = 1.3

TOLERANCE = 0.05
"""Å by which every atom may be displaced without another key, where `Connectivity.doubt` is None.

A pair of atoms whose distance lies within twice this of its limit may become, or stop to be,
connected.
"""

MOST_ATOMS = 2_000
"""Time and memory grow with the square of the number of atoms."""

_ISOTOPE = 1_000
"""Factor of the mass number of an isotope that was given, in the label of an atom."""

# In Å, from hydrogen to radon: Cordero et al., Dalton Trans. 2008, 2832, table 2; of carbon the
# value for sp3, of manganese, iron and cobalt that for low spin.
_RADII = """
0.31 0.28
1.28 0.96 0.84 0.76 0.71 0.66 0.57 0.58
1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06
2.03 1.76 1.70 1.60 1.53 1.39 1.39 1.32 1.26 1.24 1.32 1.22 1.22 1.20 1.19 1.20 1.20 1.16
2.20 1.95 1.90 1.75 1.64 1.54 1.47 1.46 1.42 1.39 1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.40
2.44 2.15
2.07 2.04 2.03 2.01 1.99 1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.90 1.87 1.87
1.75 1.70 1.62 1.51 1.44 1.41 1.36 1.36 1.32 1.45 1.46 1.48 1.40 1.50 1.50
"""
COVALENT_RADII = np.array([0.0, *map(float, _RADII.split())])
"""In Å, by atomic number; 0 for a dummy atom."""


class Connectivity(NamedTuple):
    """Key of a geometry's connectivity, and why a slightly displaced geometry may have another."""

    key: str
    doubt: str | None


def connectivity(geometry: Geometry) -> Connectivity:
    """Return the connectivity of a geometry with elements up to radon.

    Raises:
        InputError: for more than `MOST_ATOMS` atoms.
    """
    if len(geometry) > MOST_ATOMS:
        raise InputError(
            f"no bonds found in {len(geometry)} atoms, and a molecule of more than {MOST_ATOMS} "
            "is not identified by distances; add smiles= to the comment line",
            code="NO_BONDS",
        )
    numbers = np.array(geometry.numbers)
    lengths, limits = distances(geometry), bond_limits(numbers)
    connected = lengths <= limits
    np.fill_diagonal(connected, val=False)
    labels = numbers
    if geometry.isotopes:
        labels = numbers + _ISOTOPE * np.array(geometry.isotopes)
    key = f"connectivity:{VERSION}:{_digest(labels, connected)}"
    return Connectivity(key, _doubt(numbers, lengths, limits))


def graph_key(numbers: Sequence[int], bonds: Iterable[tuple[int, int]]) -> str:
    """Return a digest of a graph of at most `MOST_ATOMS` atoms, the same for every order of them.

    Args:
        numbers: the atomic number of each atom.
        bonds: pairs of indices of bonded atoms, counted from 0.
    """
    connected = np.zeros((len(numbers), len(numbers)), dtype=bool)
    for first, second in bonds:
        connected[first, second] = connected[second, first] = True
    return _digest(np.array(numbers), connected)


def distances(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return the distances between all atoms in Å, as a square matrix."""
    positions = np.array(geometry.positions, dtype=float)
    squares = np.zeros((len(positions), len(positions)))
    for axis in positions.T:
        squares += np.subtract.outer(axis, axis) ** 2
    return np.sqrt(squares)


def bond_limits(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the largest distances in Å at which atoms count as connected, as a square matrix."""
    reach = STRETCH * COVALENT_RADII[numbers]
    return reach[:, None] + reach[None, :]


def _digest(labels: npt.NDArray[np.int64], connected: npt.NDArray[np.bool_]) -> str:
    """Digest of the coloured graph; the same for every order of its atoms."""
    paths = _path_lengths(connected)
    digest = hashlib.sha256()
    kinds, colours = np.unique(labels, return_inverse=True)
    digest.update(kinds.astype("<i8").tobytes())
    count = len(kinds)
    while True:
        # An atom as the atoms around it appear: own colour, then (path length, colour) of all.
        around = np.sort(paths * count + colours[None, :], axis=1)
        appearance = np.column_stack([colours, around])
        rows, colours, sizes = np.unique(
            appearance, axis=0, return_inverse=True, return_counts=True
        )
        colours = colours.reshape(-1)
        digest.update(np.column_stack([rows, sizes]).astype("<i8").tobytes())
        if len(rows) == count:
            return digest.hexdigest()
        count = len(rows)


def _path_lengths(connected: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Bonds on the shortest path between every two atoms; their number where there is no path."""
    size = len(connected)
    neighbours = [np.flatnonzero(row) for row in connected]
    lengths = np.full((size, size), size)
    for start in range(size):
        row = lengths[start]
        row[start] = 0
        reached, length = np.array([start]), 0
        while len(reached):
            length += 1
            found = np.unique(np.concatenate([neighbours[atom] for atom in reached]))
            reached = found[row[found] == size]
            row[reached] = length
    return lengths


def _doubt(
    numbers: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.float64],
    limits: npt.NDArray[np.float64],
) -> str | None:
    from_limit = np.abs(lengths - limits)
    np.fill_diagonal(from_limit, np.inf)
    first, second = np.unravel_index(int(from_limit.argmin()), from_limit.shape)
    if from_limit[first, second] > 2 * TOLERANCE:
        return None
    pair = "–".join(f"{ELEMENTS[numbers[index]]}{index + 1}" for index in (first, second))
    return (
        f"identified by its connectivity, where the distance {pair} of "
        f"{lengths[first, second]:.2f} Å is near the limit of {limits[first, second]:.2f} Å: a "
        "slightly different geometry may be another molecule; state its SMILES to be certain"
    )
