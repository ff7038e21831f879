"""Whether physics accepts a result that the engine calls a success."""

import math

from runner.engine import Result
from runner.geometry import Geometry

# e; tblite's charges add up to 1e-9 when the calculation is the one that was asked for.
CHARGE_TOLERANCE = 1e-3


def refusal(result: Result, geometry: Geometry, *, charge: int, multiplicity: int) -> str | None:
    """Return why a result cannot be right, in one sentence, or None when nothing is against it.

    `charge` and `multiplicity` are those that were asked for. tblite needs this check: it clips a
    charge beyond what the orbitals hold, and a multiplicity beyond the electrons, and converges.
    """
    return (
        _wrong_size(result, geometry)
        or _not_finite(result)
        or _impossible_electrons(result, geometry, charge, multiplicity)
        or _wrong_charge(result, charge)
        or _wrong_orbitals(result, multiplicity)
    )


def _wrong_size(result: Result, geometry: Geometry) -> str | None:
    atoms = len(geometry)
    if len(result.charges) != atoms or len(result.gradient) != atoms:
        return (
            f"{len(result.charges)} charges and {len(result.gradient)} gradients for {atoms} atoms"
        )
    return None


def _not_finite(result: Result) -> str | None:
    numbers = {
        "energy": (result.energy,),
        "dipole": (result.dipole,),
        "orbital energies": tuple(v for v in (result.homo, result.lumo) if v is not None),
        "charges": result.charges,
        "gradient": tuple(value for row in result.gradient for value in row),
    }
    for what, values in numbers.items():
        if not all(math.isfinite(value) for value in values):
            return f"non-finite {what}"
    return None


def _impossible_electrons(
    result: Result, geometry: Geometry, charge: int, multiplicity: int
) -> str | None:
    electrons = sum(geometry.numbers) - charge
    unpaired = multiplicity - 1
    if electrons <= 0:
        return f"{electrons} electrons at charge {charge:+d}"
    if unpaired < 0 or unpaired > electrons or (electrons - unpaired) % 2:
        return f"multiplicity {multiplicity} does not fit {electrons} electrons"
    valence = round(result.electron_count)
    if unpaired > min(valence, 2 * result.orbital_count - valence):
        return (
            f"multiplicity {multiplicity} does not fit {valence} valence electrons "
            f"in {result.orbital_count} orbitals"
        )
    return None


def _wrong_charge(result: Result, charge: int) -> str | None:
    total = math.fsum(result.charges)
    if abs(total - charge) > CHARGE_TOLERANCE:
        return f"the atomic charges add up to {total:+.3f}, not to the charge {charge:+d}"
    return None


def _wrong_orbitals(result: Result, multiplicity: int) -> str | None:
    if result.homo is not None and result.lumo is not None and result.homo > result.lumo:
        return f"the HOMO ({result.homo:.3f} eV) lies above the LUMO ({result.lumo:.3f} eV)"
    if multiplicity == 1 and result.gap is not None and result.gap < 0:
        return f"a closed shell with a negative gap ({result.gap:.3f} eV)"
    return None
