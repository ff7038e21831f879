"""Whether a structure that a toolkit made is near one that the molecule can have."""

import math
from collections.abc import Iterable
from math import dist

from runner.connectivity import COVALENT_RADII, STRETCH
from runner.geometry import ELEMENTS, Geometry
from runner.result import Result

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


def strain(result: Result, geometry: Geometry, bonds: Iterable[tuple[int, int]]) -> str | None:
    """Return why a structure is doubtful, in one sentence, or None.

    `bonds` are the pairs of atoms that the SMILES connects: one that is longer than `STRETCH` times
    the sum of its covalent radii is broken, and the structure is another molecule.
    """
    for first, second in bonds:
        length = dist(geometry.positions[first], geometry.positions[second])
        limit = STRETCH * float(
            COVALENT_RADII[geometry.numbers[first]] + COVALENT_RADII[geometry.numbers[second]]
        )
        if length > limit:
            pair = "–".join(
                f"{ELEMENTS[geometry.numbers[index]]}{index + 1}" for index in (first, second)
            )
            return (
                f"the bond {pair} of the SMILES is {length:.2f} Å long (at most {limit:.2f} Å is "
                "expected): the structure may be another molecule; give its SMILES, or coordinates"
            )
    force = largest_force(result)
    if force is not None and force > LARGEST_FORCE:
        return (
            f"the largest force is {force:.3f} Eh/Bohr (above {LARGEST_FORCE}): the generated "
            "structure is far from a minimum; optimise it with --opt, or give coordinates"
        )
    return None
