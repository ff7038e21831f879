"""Detection of structures that are far from a minimum of the molecule."""

import math
from collections.abc import Iterable

import numpy as np

from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.molecules.connectivity import bond_limits, distances
from quantum_forge.runner.molecules.geometry import ELEMENTS, Geometry
from quantum_forge.runner.molecules.spin import METALS

LARGEST_FORCE = 0.1
"""Eh/Bohr on one atom.

After MMFF94, the median of the largest forces in 150 molecules of the NCI list is 0.035; above 0.1,
structures were 20 to 103 kcal/mol higher than those of UFF (N2, CO2, sulfonyl amidines).
"""


def largest_force(result: Result) -> float | None:
    """Return the largest force on an atom in Eh/Bohr; None without a gradient."""
    if not result.gradient:
        return None
    return max(math.hypot(*row) for row in result.gradient)


def bonds_of(geometry: Geometry) -> list[tuple[int, int]]:
    """Return the pairs of atoms, counted from 0, that are near enough to be bonded; no metals."""
    numbers = np.array(geometry.numbers)
    near = distances(geometry) <= bond_limits(numbers)
    metals = np.isin(numbers, list(METALS))
    near[metals, :] = near[:, metals] = False
    return [(int(first), int(second)) for first, second in np.argwhere(np.triu(near, k=1))]


def broken(geometry: Geometry, bonds: Iterable[tuple[int, int]]) -> str | None:
    """Return which bond a geometry no longer has, in one sentence, or None.

    A bond longer than `STRETCH` times the sum of the covalent radii of its atoms is broken.
    """
    numbers = np.array(geometry.numbers)
    for pair in bonds:
        length = math.dist(*(geometry.positions[index] for index in pair))
        longest = float(bond_limits(numbers[list(pair)])[0, 1])
        if length > longest:
            atoms = "–".join(f"{ELEMENTS[geometry.numbers[index]]}{index + 1}" for index in pair)
            return (
                f"the bond {atoms} is {length:.2f} Å long (expected: at most {longest:.2f} Å): "
                "the structure may have become another molecule; give its SMILES or coordinates"
            )
    return None


def strained(result: Result) -> str | None:
    """Return why the forces make a structure doubtful, in one sentence, or None."""
    force = largest_force(result)
    if force is not None and force > LARGEST_FORCE:
        return (
            f"the largest force is {force:.3f} Eh/Bohr (above {LARGEST_FORCE}): the generated "
            "structure is far from a minimum; optimise it with --opt, or give coordinates"
        )
    return None
