"""Geometries that no program should be given: atoms on top of each other, or nowhere."""

import numpy as np

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.geometry import Geometry

# Closer than this no nuclei of a molecule ever are (H2 is 0.74 Å); tblite and xtb refuse only 0.
CLOSEST_APPROACH = 0.3


def refuse_close_atoms(geometry: Geometry) -> None:
    """Raise InputError for a geometry without atoms, with infinite or with too close ones."""
    positions = np.array(geometry.positions, dtype=float).reshape(-1, 3)
    if len(positions) == 0:
        raise InputError("a geometry without atoms", code="EMPTY_MOLECULE")
    if not np.isfinite(positions).all():
        raise InputError("a position is not finite", code="BAD_POSITION")
    # Row by row: a matrix of all distances would be the largest thing in memory.
    for first in range(len(positions) - 1):
        distances = np.linalg.norm(positions[first + 1 :] - positions[first], axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] < CLOSEST_APPROACH:
            raise InputError(
                f"atoms {first + 1} and {first + nearest + 2} are {distances[nearest]:.3f} Å apart",
                code="ATOMS_TOO_CLOSE",
            )
