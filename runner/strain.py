"""Whether a structure that a toolkit made is near one that the molecule can have."""

import math
from collections.abc import Iterable
from itertools import combinations
from math import dist

from runner.connectivity import COVALENT_RADII, STRETCH
from runner.geometry import ELEMENTS, Geometry
from runner.result import Result
from runner.spin import METALS

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
    return [
        (first, second)
        for first, second in combinations(range(len(geometry)), 2)
        if not {geometry.numbers[first], geometry.numbers[second]} & METALS
        and _length(geometry, first, second) <= _longest(geometry, first, second)
    ]


def broken(geometry: Geometry, bonds: Iterable[tuple[int, int]]) -> str | None:
    """Return which bond a geometry no longer has, in one sentence, or None.

    A bond longer than `STRETCH` times the sum of the covalent radii of its atoms is broken.
    """
    for first, second in bonds:
        length, longest = _length(geometry, first, second), _longest(geometry, first, second)
        if length > longest:
            pair = "–".join(
                f"{ELEMENTS[geometry.numbers[index]]}{index + 1}" for index in (first, second)
            )
            return (
                f"the bond {pair} is {length:.2f} Å long (expected: at most {longest:.2f} Å): the "
                "structure may be another molecule than it began as; give its SMILES or coordinates"
            )
    return None


def _length(geometry: Geometry, first: int, second: int) -> float:
    return dist(geometry.positions[first], geometry.positions[second])


def _longest(geometry: Geometry, first: int, second: int) -> float:
    radii = (COVALENT_RADII[geometry.numbers[index]] for index in (first, second))
    return STRETCH * float(sum(radii))


def strained(result: Result) -> str | None:
    """Return why the forces make a structure doubtful, in one sentence, or None."""
    force = largest_force(result)
    if force is not None and force > LARGEST_FORCE:
        return (
            f"the largest force is {force:.3f} Eh/Bohr (above {LARGEST_FORCE}): the generated "
            "structure is far from a minimum; optimise it with --opt, or give coordinates"
        )
    return None
