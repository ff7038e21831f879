"""Physical checks of results that the engine calls a success."""

import math

from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.molecules.geometry import Geometry

# e; tblite's charges add up to 1e-9 when the calculation is the one that was asked for.
CHARGE_TOLERANCE = 1e-3

# eV; programs print orbital energies with four decimals or more.
GAP_TOLERANCE = 1e-2

# Eh per atom. Of all elements, methods and multiplicities neon with GFN1-xTB is lowest (-6.32), and
# no molecule of tblite's is far above 0; the same in eV (27 times) is beyond for every molecule.
LOWEST_ENERGY, HIGHEST_ENERGY = -8.0, 2.0


def refusal(result: Result, geometry: Geometry, *, charge: int, multiplicity: int) -> str | None:
    """Return why a result cannot be right, in one sentence, or None when nothing is against it.

    `charge` and `multiplicity` are those that were asked for. tblite and xtb need this check: they
    clip a charge beyond what the orbitals hold, and a multiplicity beyond the electrons, and
    converge; xtb calls an optimisation that did not converge a success.
    """
    return (
        _wrong_size(result, geometry)
        or _not_finite(result)
        or _impossible_electrons(result, geometry, charge, multiplicity)
        or _wrong_charge(result, charge)
        or _wrong_orbitals(result, multiplicity)
        or _negative(result)
        or _not_in_hartree(result, geometry)
        or _not_converged(result)
    )


def _wrong_size(result: Result, geometry: Geometry) -> str | None:
    atoms = len(geometry)
    charges = atoms if result.charges is None else len(result.charges)
    gradients = atoms if result.gradient is None else len(result.gradient)
    if charges != atoms or gradients != atoms:
        return f"{charges} charges and {gradients} gradients for {atoms} atoms"
    return None


def _not_finite(result: Result) -> str | None:
    numbers = {
        "energy": (result.energy,),
        "dipole": _known(result.dipole),
        "orbital energies": _known(result.homo, result.lumo, result.gap),
        "charges": result.charges or (),
        "gradient": (
            *_known(result.gradient_norm),
            *(value for row in result.gradient or () for value in row),
        ),
    }
    for what, values in numbers.items():
        if not all(map(math.isfinite, values)):
            return f"non-finite {what}"
    return None


def _known(*values: float | None) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _impossible_electrons(
    result: Result, geometry: Geometry, charge: int, multiplicity: int
) -> str | None:
    electrons = sum(geometry.numbers) - charge
    unpaired = multiplicity - 1
    if electrons <= 0:
        return f"{electrons} electrons at charge {charge:+d}"
    if unpaired < 0 or unpaired > electrons or (electrons - unpaired) % 2:
        return f"multiplicity {multiplicity} does not fit {electrons} electrons"
    if result.electron_count is None:
        return None
    valence = round(result.electron_count)
    if valence <= 0:
        return f"{valence} valence electrons at charge {charge:+d}"
    if result.orbital_count is None:
        return None
    if unpaired > min(valence, 2 * result.orbital_count - valence):
        return (
            f"multiplicity {multiplicity} does not fit {valence} valence electrons "
            f"in {result.orbital_count} orbitals"
        )
    return None


def _wrong_charge(result: Result, charge: int) -> str | None:
    if result.charges is None:
        return None
    total = math.fsum(result.charges)
    if abs(total - charge) > CHARGE_TOLERANCE:
        return f"the atomic charges add up to {total:+.3f}, not to the charge {charge:+d}"
    return None


def _wrong_orbitals(result: Result, multiplicity: int) -> str | None:
    if result.homo is not None and result.lumo is not None and result.homo > result.lumo:
        return f"the HOMO ({result.homo:.3f} eV) lies above the LUMO ({result.lumo:.3f} eV)"
    if result.gap is not None and result.homo is not None and result.lumo is not None:
        between = result.lumo - result.homo
        if abs(result.gap - between) > GAP_TOLERANCE:
            return f"a gap of {result.gap:.4g} eV, but {between:.4g} eV from HOMO to LUMO"
    if multiplicity == 1 and result.gap is not None and result.gap < 0:
        return f"a closed shell with a negative gap ({result.gap:.3f} eV)"
    return None


def _not_in_hartree(result: Result, geometry: Geometry) -> str | None:
    # Of the methods of xTB alone is it known what an atom can have.
    if not result.method.endswith("-xTB"):
        return None
    each = result.energy / len(geometry)
    if not LOWEST_ENERGY < each < HIGHEST_ENERGY:
        return (
            f"an energy of {result.energy:.6g} Eh for {len(geometry)} atoms is not one of "
            f"{result.method}; is it in another unit?"
        )
    return None


def _negative(result: Result) -> str | None:
    for what, value in {
        "norm of the dipole": result.dipole,
        "norm of the gradient": result.gradient_norm,
    }.items():
        if value is not None and value < 0:
            return f"a negative {what} ({value:.4g})"
    return None


def _not_converged(result: Result) -> str | None:
    if result.is_converged:
        return None
    cycles = result.optimization_cycles
    return "the geometry did not converge" + (f" in {cycles} cycles" if cycles else "")
