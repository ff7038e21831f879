"""Rows of our own exports whose molecule had isotopes that their atoms do not name."""

import math

from quantum_forge.runner.molecules.geometry import Geometry

_TOLERANCE = 0.006
"""g/mol: less than between carbon and carbon-12, more than of a weight with two decimals."""


def refuse_lost_isotopes(geometry: Geometry, molecular_weight: str | None) -> None:
    """Raise ValueError where a molecular weight is not that of the elements of a geometry.

    A molecule without a SMILES is identified by its isotopes, too; read without them, it would be
    another molecule.

    Args:
        geometry: of the row.
        molecular_weight: in g/mol, as the row has it; None or empty where it has none.
    """
    if not molecular_weight or geometry.isotopes:
        return
    from rdkit import Chem  # only worker processes have it

    table = Chem.GetPeriodicTable()
    expected = math.fsum(table.GetAtomicWeight(number) for number in geometry.numbers)
    try:
        stated = float(molecular_weight)
    except ValueError:
        return
    if abs(stated - expected) > _TOLERANCE:
        raise ValueError(
            f"the molecular weight {stated:.3f} is not that of the elements, {expected:.3f}: the "
            "molecule has isotopes that the export does not name; write it as .xyz with D, T or 13C"
        )
