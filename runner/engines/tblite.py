"""Single points with tblite: GFN2-xTB, GFN1-xTB, IPEA1-xTB."""

import re
import time
from typing import Any

import numpy as np
from tblite import library
from tblite.interface import Calculator

from quantum_forge.runner.engines.memory import peak_mb, reset_peak
from quantum_forge.runner.engines.methods import require_known
from quantum_forge.runner.engines.result import ATOMIC_DIPOLE_DEBYE, HARTREE_EV, Result
from quantum_forge.runner.engines.solvents import solvent_named
from quantum_forge.runner.errors import EngineError, InputError
from quantum_forge.runner.molecules.closeness import refuse_close_atoms
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM, Geometry

_CYCLE = re.compile(r"^\s+(\d+)\s+(?:-?\d+\.\d+|NaN|-?Infinity)\s")


def run_singlepoint(
    geometry: Geometry,
    *,
    charge: int = 0,
    multiplicity: int = 1,
    method: str = "GFN2-xTB",
    solvent: str | None = None,
    accuracy: float = 1.0,
    max_iterations: int = 250,
) -> Result:
    """Return the single-point result of a geometry in its given order of atoms.

    Solvation is ALPB, which has parameters for GFN1-xTB and GFN2-xTB. An open shell is
    spin-restricted, as in xtb. Nothing is printed. Raises InputError for an unknown method or
    solvent and for atoms on top of each other, EngineError when tblite gives up (above all an SCF
    that does not converge).
    """
    require_known(method, solvent)
    refuse_close_atoms(geometry)
    log: list[str] = []
    reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        calculator = Calculator(
            method,
            np.array(geometry.numbers, dtype=np.int32),
            np.array(geometry.positions, dtype=float) / BOHR_ANGSTROM,
            charge=float(charge),
            uhf=multiplicity - 1,
            color=False,
            logger=log.append,
        )
        calculator.set("accuracy", accuracy)
        calculator.set("max-iter", max_iterations)
        if solvent is not None:
            _add_solvent(calculator, method, solvent)
        raw = calculator.singlepoint()
        values = {name: raw.get(name) for name in _QUANTITIES}
    except RuntimeError as error:
        raise EngineError(
            str(error), stdout_log="\n".join(log), scf_iterations=_iterations(log)
        ) from error
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    gradient = np.asarray(values["gradient"], dtype=float)
    occupations = np.asarray(values["orbital-occupations"], dtype=float)
    homo, lumo = _frontier(
        np.asarray(values["orbital-energies"], dtype=float),
        electrons=round(float(occupations.sum())),
        unpaired=multiplicity - 1,
    )
    return Result(
        method=method,
        solvent=solvent,
        charge=charge,
        multiplicity=multiplicity,
        energy=float(values["energy"]),
        homo=homo,
        lumo=lumo,
        gap=None if homo is None or lumo is None else lumo - homo,
        dipole=float(np.linalg.norm(values["dipole"])) * ATOMIC_DIPOLE_DEBYE,
        charges=tuple(float(value) for value in values["charges"]),
        gradient=tuple((float(x), float(y), float(z)) for x, y, z in gradient),
        gradient_norm=float(np.linalg.norm(gradient)),
        electron_count=float(occupations.sum()),
        orbital_count=int(occupations.size),
        scf_iterations=_iterations(log),
        is_converged=True,  # tblite raises otherwise
        wall_time_seconds=wall,
        cpu_time_seconds=cpu,
        memory_peak_mb=peak_mb(),
        program="tblite",
        program_version=version(),
        stdout_log="\n".join(log),
    )


_QUANTITIES = (
    *("energy", "gradient", "charges", "dipole"),
    *("orbital-energies", "orbital-occupations"),
)


def version() -> str:
    """Return tblite's version, as `0.8.0`."""
    return ".".join(str(part) for part in library.get_version())


def _add_solvent(calculator: Any, method: str, solvent: str) -> None:
    try:
        calculator.add("alpb-solvation", solvent_named(solvent))
    except (RuntimeError, UnicodeEncodeError) as error:
        raise InputError(
            f"tblite has no solvent {solvent!r} for {method}: {error}", code="UNKNOWN_SOLVENT"
        ) from error


def _iterations(log: list[str]) -> int:
    """Return the number of the last SCF cycle in tblite's table; 0 when there is none."""
    cycles = [match for line in log if (match := _CYCLE.match(line))]
    return int(cycles[-1][1]) if cycles else 0


def _frontier(
    energies: np.ndarray[Any, np.dtype[np.float64]], *, electrons: int, unpaired: int
) -> tuple[float | None, float | None]:
    """Return homo and lumo in eV of the majority spin, counted in order of energy, as xtb does.

    `energies` are one per orbital, in Eh, both spins sharing them. Counting, not reading the
    occupations, stays right where the electronic temperature (300 K) smears them.
    """
    ordered = np.sort(energies.ravel())
    occupied = (electrons + unpaired) // 2
    homo = float(ordered[occupied - 1]) * HARTREE_EV if 0 < occupied <= ordered.size else None
    lumo = float(ordered[occupied]) * HARTREE_EV if 0 <= occupied < ordered.size else None
    return homo, lumo
