"""Reader of metadata.json and results.json, with the names and units of every release."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from quantum_forge.runner.engines.result import ATOMIC_DIPOLE_DEBYE, HARTREE_EV
from quantum_forge.runner.engines.xtb.dump import number, numbers, text, whole
from quantum_forge.runner.jobs.reading.folders import METADATA, RESULTS
from quantum_forge.runner.jobs.reading.statements import StatedConditions, key_name, read_conditions
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM

ENERGY_UNITS = {
    "eh": 1.0,
    "hartree": 1.0,
    "hartrees": 1.0,
    "ha": 1.0,
    "au": 1.0,
    "ev": 1.0 / HARTREE_EV,
    "kcal_mol": 1.0 / 627.5094740631,
    "kcal/mol": 1.0 / 627.5094740631,
    "kj_mol": 1.0 / 2625.4996394799,
    "kj/mol": 1.0 / 2625.4996394799,
}
"""Value of each unit in Eh (CODATA 2018)."""

FORCE_UNITS = {
    **dict.fromkeys(("eh/bohr", "hartree/bohr", "ha/bohr", "eh/a0", "au", "a.u."), 1.0),
    **dict.fromkeys(("ev/angstrom", "ev/å", "ev/a", "ev/ang"), BOHR_ANGSTROM / HARTREE_EV),
    **dict.fromkeys(("eh/angstrom", "hartree/angstrom", "eh/å"), BOHR_ANGSTROM),
}
"""Value of each unit in Eh/Bohr; a gradient in another unit is not read."""

_ENDS = frozenset(unit.rpartition("_")[2] for unit in ENERGY_UNITS)

_NESTED = 3
_STATED = ""
"""Under this name, which no field has, stand the units that names end with."""

_STATUSES = {
    **dict.fromkeys(("completed", "complete", "success", "succeeded", "done", "finished"), "done"),
    **dict.fromkeys(("failed", "failure", "error", "timeout", "timed_out"), "failed"),
    **dict.fromkeys(("queued", "pending", "submitted", "running", "processing"), "open"),
    **dict.fromkeys(("cancelled", "canceled", "aborted"), "cancelled"),
}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the documents tell; None where they do not. Units as the log has them.

    `energies` are all that are stated, in Eh, each with the path to it. status: done, failed, open
    or cancelled. A number that is written but is none (NaN) is NaN.
    """

    job_id: str | None = None
    status: str | None = None
    succeeded: bool | None = None
    error: str | None = None
    name: str | None = None
    smiles: str | None = None
    xyz_file: str | None = None
    conditions: StatedConditions = StatedConditions()
    program: str | None = None
    program_version: str | None = None
    timeout_seconds: float | None = None
    began: datetime | None = None
    ended: datetime | None = None
    energy: float | None = None
    energies: tuple[tuple[str, float], ...] = ()
    homo: float | None = None
    lumo: float | None = None
    gap: float | None = None
    dipole: float | None = None
    charges: tuple[float, ...] | None = None
    gradient: tuple[tuple[float, float, float], ...] | None = None
    gradient_norm: float | None = None
    is_converged: bool | None = None
    scf_iterations: int | None = None
    optimization_cycles: int | None = None
    wall_time_seconds: float | None = None
    cpu_time_seconds: float | None = None
    memory_peak_mb: float | None = None


def read_documents(metadata: Mapping[str, Any], results: Mapping[str, Any]) -> Facts:
    """Return what both say; results outweigh metadata, and what is nested what surrounds it."""
    given = {**dict(_flat(metadata)), **dict(_flat(results))}
    units = given.get("units")
    given[_STATED] = _stated_units(given)
    status = _STATUSES.get((text(given.get("status") or given.get("state")) or "").lower())
    success = given.get("success")
    return Facts(
        conditions=read_conditions({METADATA: metadata, RESULTS: results}),
        job_id=text(_first(given, "job_id", "jobid")),
        status=status,
        succeeded=success if isinstance(success, bool) else None,
        error=text(_first(given, "error_message", "error", "failure_reason")),
        name=text(_first(given, "molecule_name", "name", "title")),
        smiles=text(_first(given, "canonical_smiles", "smiles", "molecule_smiles")),
        xyz_file=text(_first(given, "xyz_file", "xyz_path", "geometry_file")),
        program=text(_first(given, "program")),
        program_version=text(_first(given, "xtb_version", "program_version", "version")),
        timeout_seconds=number(_first(given, "timeout_seconds", "timeout")),
        began=_time(_first(given, "started_at", "start_time", "created_at", "submitted_at")),
        ended=_time(_first(given, "completed_at", "finished_at", "end_time", "updated_at")),
        energy=_energy(given, ("total_energy", "energy")),
        energies=_energies(metadata, results, units),
        homo=_in_ev(given, ("homo_energy", "homo")),
        lumo=_in_ev(given, ("lumo_energy", "lumo")),
        gap=_in_ev(given, ("homo_lumo_gap", "gap")),
        dipole=_dipole(given),
        charges=numbers(_first(given, "partial_charges", "atomic_charges", "charges")),
        gradient=_gradient(given),
        gradient_norm=number(_first(given, "gradient_norm", "gradient_norm_eh_a0")),
        is_converged=_converged(given),
        scf_iterations=whole(_first(given, "scf_cycles", "scf_iterations")),
        optimization_cycles=whole(
            _first(given, "optimization_cycles", "optimization_steps", "opt_cycles")
        ),
        wall_time_seconds=_seconds(
            given, "wall_time_seconds", "wall_time", "execution_time_seconds", "execution_time"
        ),
        cpu_time_seconds=_seconds(given, "cpu_time_seconds", "cpu_time"),
        memory_peak_mb=number(_first(given, "memory_peak_mb", "peak_memory_mb")),
    )


def _flat(document: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every field, those of nested objects last, so that they outweigh the others."""
    nested = []
    for key, value in document.items():
        name = key_name(key)
        if name == "units":
            yield name, value
        elif isinstance(value, dict):
            nested.append(value)
        elif value is not None:
            yield name, value
    if depth < _NESTED:
        for value in nested:
            yield from _flat(value, depth + 1)


def _first(given: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        if (value := given.get(name)) is not None:
            return value
    return None


def _energy(given: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """A quantity in Eh: its unit stands in its name, or in `units`, or is Eh."""
    found = _with_unit(given, names)
    if found is None:
        return None
    value, unit = found
    return value if unit is None else value * ENERGY_UNITS.get(unit, math.nan)


def _energies(
    metadata: Mapping[str, Any], results: Mapping[str, Any], units: object
) -> tuple[tuple[str, float], ...]:
    """Every total energy that is stated, in Eh, with its path."""
    found: list[tuple[str, float]] = []

    def search(document: Mapping[str, Any], path: str, depth: int) -> None:
        own = {key_name(key): value for key, value in document.items() if value is not None}
        for key, value in document.items():
            if isinstance(value, dict) and depth < _NESTED and key_name(key) != "units":
                search(value, f"{path}.{key}", depth + 1)
        given = {**own, "units": units, _STATED: _stated_units(own)}
        for name in ("total_energy", "energy"):
            if (energy := _energy(given, (name,))) is not None:
                found.append((f"{path}.{name}", energy))

    search(metadata, METADATA, 0)
    search(results, RESULTS, 0)
    return tuple(found)


def _in_ev(given: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """A quantity in eV, which is what it is in unless it says otherwise."""
    found = _with_unit(given, names)
    if found is None:
        return None
    value, unit = found
    same = unit in (None, "ev")
    return value if same else value * ENERGY_UNITS.get(unit or "", math.nan) * HARTREE_EV


def _with_unit(given: Mapping[str, Any], names: tuple[str, ...]) -> tuple[float, str | None] | None:
    """The first of these quantities that there is, and its unit where that is stated."""
    units = given.get("units")
    for name in names:
        if (found := number(given.get(name))) is not None:
            stated = text(units.get(name)) if isinstance(units, dict) else None
            return found, None if stated is None else stated.lower()
        for unit in given.get(_STATED, ()):
            if (found := number(given.get(f"{name}_{unit}"))) is not None:
                return found, unit
    return None


def _stated_units(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Which units stand in names: none, in most documents."""
    ends = {key.rpartition("_")[2] for key in given}
    if not ends & _ENDS:
        return ()
    return tuple(unit for unit in ENERGY_UNITS if any(key.endswith(f"_{unit}") for key in given))


def _dipole(given: Mapping[str, Any]) -> float | None:
    for name in ("dipole_moment", "dipole", "dipole_debye", "dipole_moment_debye"):
        value = given.get(name)
        if (vector := numbers(value)) is not None:
            return math.hypot(*vector)
        if (norm := number(value)) is not None:
            return norm
    vector = numbers(_first(given, "dipole_au", "dipole_moment_au"))
    return None if vector is None else math.hypot(*vector) * ATOMIC_DIPOLE_DEBYE


def _gradient(given: Mapping[str, Any]) -> tuple[tuple[float, float, float], ...] | None:
    units = given.get("units")
    for name, sign in (("gradient", 1.0), ("forces", -1.0)):
        rows = given.get(name)
        stated = text(units.get(name)) if isinstance(units, dict) else None
        factor = 1.0 if stated is None else FORCE_UNITS.get(stated.lower().replace(" ", ""))
        if factor is None:
            continue
        sign *= factor
        if isinstance(rows, list) and rows:
            vectors = [numbers(row) for row in rows]
            if all(vector is not None and len(vector) == 3 for vector in vectors):
                return tuple((sign * v[0], sign * v[1], sign * v[2]) for v in vectors if v)
    return None


def _converged(given: Mapping[str, Any]) -> bool | None:
    value = _first(given, "converged", "is_converged", "geometry_converged")
    if isinstance(value, bool):
        return value
    status = text(given.get("convergence_status"))
    return None if status is None else "not" not in status.lower()


def _seconds(given: Mapping[str, Any], *names: str) -> float | None:
    value = number(_first(given, *names))
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _time(value: object) -> datetime | None:
    """A moment; without a zone it is UTC, as the first releases wrote it; a number is Unix time."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        if (seconds := number(value)) is not None:
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
