"""Gradients of xtb that are wrong because atoms lie in a plane of the coordinate system.

Up to version 6.7.1, xtb leaves out of its gradient every pair of orbitals whose overlap is below
1e-8 (`neglect` in src/scf_module.F90; grimme-lab/xtb#986, fixed by #1208). The overlap of an s and
a p orbital is zero where the two atoms share a coordinate, and that with a d orbital also where
two differences of coordinates are equal; its derivative is not. Energies are right.
"""

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from quantum_forge.runner.molecules.geometry import Geometry, Position
from quantum_forge.runner.molecules.pairs import blocks_of_atoms

FIRST_RIGHT_VERSION = (6, 7, 2)
"""Builds between the correction and this release call themselves 6.7.1, as the release does."""

SHARED = 1e-4
"""Å; two coordinates that differ by less are taken as the same one."""

_REACH = 10.0
"""Å; between atoms farther apart, overlaps and their derivatives are negligible."""

_FIRST_WITH_D = 11
"""Atomic number from which on an element may have d orbitals in GFN1-xTB and GFN2-xTB."""

_NORMALS = (
    *((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    *((1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)),
)
"""Of planes in which two atoms have an overlap that is zero; all but three with d orbitals only."""

_NORMALS_TURNED = np.array(_NORMALS, dtype=float).T

_UNAFFECTED = ("GFN-FF", "GFN0-xTB")
"""Methods whose gradient other parts of xtb calculate (src/gfnff, src/peeq_module.f90)."""


def _rotation(first: float, second: float, third: float) -> npt.NDArray[np.float64]:
    """Rotations about z, y, and z again, by angles in radians, in one matrix."""

    def about_z(angle: float) -> npt.NDArray[np.float64]:
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    c, s = np.cos(second), np.sin(second)
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    turn: npt.NDArray[np.float64] = about_z(third) @ about_y @ about_z(first)
    return turn


_GENERIC = tuple(
    _rotation(0.7071 + step, 1.0393 + 0.31 * step, 2.1817 + 0.77 * step) for step in range(8)
)
"""Rotations that have no axis, plane or angle in common with usual orientations of molecules."""


class Turned:
    """A geometry in an orientation in which xtb calculates the right gradient.

    It is rotated about the origin, so that a dipole rotates with it, also that of an ion.
    """

    def __init__(self, geometry: Geometry) -> None:
        positions = np.array(geometry.positions)
        turned = [positions @ matrix.T for matrix in _GENERIC]
        chosen = max(range(len(turned)), key=lambda at: _least_margin(geometry, turned[at]))
        self._matrix = _GENERIC[chosen]
        self.geometry = Geometry(geometry.numbers, _rows(turned[chosen]), geometry.isotopes)

    def back(self, vectors: Iterable[Position]) -> tuple[Position, ...]:
        """Return positions or gradients in the orientation that was given."""
        return _rows(np.array(list(vectors)) @ self._matrix)


def is_gradient_doubtful(geometry: Geometry, *, method: str | None, version: str | None) -> bool:
    """Whether xtb may have left parts out of its gradient at this geometry.

    What it leaves out is zero where the plane that two atoms lie in is a mirror plane of the
    molecule, as that of benzene, and between two hydrogens, which have no p orbitals.

    Args:
        geometry: in the orientation in which xtb calculated.
        method: such as GFN2-xTB; None where it is not known.
        version: of xtb, such as 6.5.1; None where it is not known.
    """
    if method is not None and method.startswith(_UNAFFECTED):
        return False
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    if numbers and tuple(int(part or 0) for part in numbers.groups()) >= FIRST_RIGHT_VERSION:
        return False
    positions = np.array(geometry.positions)
    if _least_margin(geometry, positions) >= SHARED:
        return False
    in_mirror = np.array([_in_mirror_plane(geometry, positions, normal) for normal in _NORMALS])
    return _least_margin(geometry, positions, in_mirror) < SHARED


def _least_margin(
    geometry: Geometry,
    positions: npt.NDArray[np.float64],
    in_mirror: npt.NDArray[np.bool_] | None = None,
) -> float:
    """Å by which some pair of atoms misses an orientation in which an overlap is zero.

    `in_mirror` has the atoms, for each of `_NORMALS`, that lie in a mirror plane of this normal.
    """
    numbers = np.array(geometry.numbers)
    has_d = numbers >= _FIRST_WITH_D
    has_p = numbers > 1
    atoms = np.arange(len(numbers))
    least = np.inf
    for block in blocks_of_atoms(len(atoms)):
        between = positions[block, None] - positions
        is_pair = (block[:, None] > atoms) & (has_p[block, None] | has_p)
        one, other = np.nonzero(((between**2).sum(axis=2) < _REACH**2) & is_pair)
        between, one = between[one, other], block[one]
        with_d = has_d[one] | has_d[other]
        x, y, z = between[with_d].T
        margins = np.abs(between @ _NORMALS_TURNED)
        if in_mirror is not None:
            margins[(in_mirror[:, one] & in_mirror[:, other]).T] = np.inf
        least = min(
            least,
            margins[:, :3].min(initial=np.inf),
            margins[with_d, 3:].min(initial=np.inf),
            np.abs(np.hypot(x, y) / np.sqrt(2) - np.abs(z)).min(initial=np.inf),
        )
    return float(least)


def _in_mirror_plane(
    geometry: Geometry, positions: npt.NDArray[np.float64], normal: tuple[int, int, int]
) -> npt.NDArray[np.bool_]:
    """Return which atoms lie in a mirror plane of the molecule that has this normal; or none."""
    unit = np.array(normal) / np.linalg.norm(normal)
    numbers = np.array(geometry.numbers)
    heights = positions @ unit
    heights = heights - (heights * numbers).sum() / numbers.sum()
    mirrored = positions - 2 * np.outer(heights, unit)
    in_plane: npt.NDArray[np.bool_] = np.abs(heights) <= SHARED
    for at in np.flatnonzero(~in_plane):
        same = positions[numbers == numbers[at]]
        if np.abs(same - mirrored[at]).max(axis=1).min() > SHARED:
            return np.zeros(len(numbers), dtype=bool)
    return in_plane


def _rows(array: npt.NDArray[np.float64]) -> tuple[Position, ...]:
    return tuple((float(x), float(y), float(z)) for x, y, z in array)
