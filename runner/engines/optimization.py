"""Geometry optimisation with tblite's gradients and ASE's L-BFGS."""

import math
import time
from typing import Any

import msgspec
import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.optimize import LBFGS
from ase.units import Bohr, Hartree
from msgspec.structs import replace
from tblite.ase import TBLite

from quantum_forge.runner.engines.memory import peak_mb, reset_peak
from quantum_forge.runner.engines.methods import TBLITE, require_known
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.molecules.closeness import refuse_close_atoms
from quantum_forge.runner.molecules.geometry import Geometry


class Convergence(msgspec.Struct, frozen=True):
    """Thresholds of an optimised geometry.

    energy: change of the energy in Eh. gradient_norm: in Eh/Bohr, over all components.
    """

    energy: float
    gradient_norm: float


CONVERGENCE = {
    "crude": Convergence(5e-4, 1e-2),
    "sloppy": Convergence(1e-4, 6e-3),
    "loose": Convergence(5e-5, 4e-3),
    "lax": Convergence(2e-5, 2.5e-3),
    "normal": Convergence(5e-6, 1e-3),
    "tight": Convergence(1e-6, 8e-4),
    "vtight": Convergence(1e-7, 2e-4),
    "extreme": Convergence(5e-8, 5e-5),
}
"""The thresholds that xtb 6.5 prints for its levels of --opt."""

_WINDOW = 5
"""Steps over which the energy must have changed by less than the threshold.

L-BFGS in Cartesian coordinates takes small steps along soft torsions: with one step, as in xtb,
diclofenac ended 95 µEh above xtb's minimum at `normal`; with five, 6 µEh.
"""

_STIFFNESS = 40.0  # eV/Å², the initial Hessian: of 20, 40 and 70, 40 took the fewest steps

MOST_STEPS = (500, 10)
"""Steps after which an optimisation gives up: at least so many, and so many for each atom."""

_VANISHING = 1e-6  # Eh/Bohr: a lone atom, or a geometry that was optimised before

_DISPLACEMENT = 0.01  # Å, of each atom before the first step
_SEED = 1  # any number would do; it never changes, so that a start has one end

_MEMORY = 100  # steps that L-BFGS remembers, ASE's default


def optimise(
    geometry: Geometry,
    *,
    level: str,
    charge: int = 0,
    multiplicity: int = 1,
    method: str = "GFN2-xTB",
    solvent: str | None = None,
) -> tuple[Result, Geometry]:
    """Return the single-point result at the optimised geometry, and that geometry.

    Levels and thresholds are those of xtb. `optimization_cycles` of the result counts the steps;
    the times are those of the whole optimisation. A geometry that has not converged after the limit
    of steps is returned with `is_converged` false.

    Raises:
        InputError: for an unknown method, solvent or level, and for atoms on top of each other.
        EngineError: when tblite gives up (above all an SCF that does not converge).
    """
    require_known(method, solvent, engine=TBLITE, optimization_level=level)
    refuse_close_atoms(geometry)
    reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    atoms = Atoms(numbers=geometry.numbers, positions=geometry.positions)
    if len(atoms) > 1:
        # Symmetry forbids some forces: boric acid stayed 12.7 mEh above its minimum.
        atoms.rattle(stdev=_DISPLACEMENT, seed=_SEED)
    atoms.calc = TBLite(
        method=method,
        charge=float(charge),
        multiplicity=multiplicity,
        solvation=None if solvent is None else ("alpb", solvent),
        verbosity=0,
    )
    try:
        cycles, is_converged = _descend(atoms, CONVERGENCE[level])
    except CalculationFailed as error:
        raise EngineError(str(error), stdout_log="", scf_iterations=0) from error
    final = Geometry(
        geometry.numbers, tuple((float(x), float(y), float(z)) for x, y, z in atoms.positions)
    )
    result = run_singlepoint(
        final, charge=charge, multiplicity=multiplicity, method=method, solvent=solvent
    )
    return (
        replace(
            result,
            optimization_cycles=cycles,
            is_converged=is_converged,
            wall_time_seconds=time.perf_counter() - wall,
            cpu_time_seconds=time.process_time() - cpu,
            memory_peak_mb=peak_mb(),
        ),
        final,
    )


def _descend(atoms: Atoms, limit: Convergence) -> tuple[int, bool]:
    """Move the atoms to a minimum; return the steps taken and whether it was reached."""
    energies: list[float] = []
    least, per_atom = MOST_STEPS
    steps = max(least, per_atom * len(atoms))
    search: Any = LBFGS(atoms, logfile=None, alpha=_STIFFNESS, memory=_MEMORY)
    for _ in search.irun(fmax=0.0, steps=steps):
        energies.append(atoms.get_potential_energy() / Hartree)
        norm = float(np.linalg.norm(atoms.get_forces())) * Bohr / Hartree
        earlier = energies[-1 - _WINDOW] if len(energies) > _WINDOW else math.inf
        is_settled = abs(earlier - energies[-1]) < limit.energy
        if norm < _VANISHING or (norm < limit.gradient_norm and is_settled):
            return len(energies) - 1, True
    return len(energies) - 1, False
