"""Outcomes of workers as events of the log."""

from collections.abc import Sequence

from msgspec import UNSET

from quantum_forge.eventstore.recording.attempt import Attempt as Attempt
from quantum_forge.eventstore.recording.attempt import failed as failed
from quantum_forge.eventstore.recording.attempt import invalidated
from quantum_forge.eventstore.recording.attempt import lost as lost
from quantum_forge.eventstore.recording.attempt import storable as storable
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.strain import largest_force
from quantum_forge.runner.engines.tasks import Completed, Failed, Invalidated, Lost, Outcome
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.identity import Molecule
from quantum_forge.schema.domains.calculations import (
    Atom,
    CalculationCompleted,
    CalculationEvent,
    CalculationStarted,
    ErrorType,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated


def created(molecule: Molecule) -> MoleculeCreated:
    """The event of a molecule that a file brought."""
    return MoleculeCreated(
        smiles=molecule.smiles,
        identity=molecule.identity,
        identity_key=UNSET if molecule.identity_key is None else molecule.identity_key,
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        formula=molecule.formula,
        molecular_weight=molecule.molecular_weight,
        generation_method="imported",
        toolkit=molecule.toolkit,
        toolkit_version=molecule.toolkit_version,
        inchikey=molecule.inchikey,
        name=UNSET if molecule.name is None else molecule.name,
    )


def started(
    attempt: Attempt,
    plan: Plan,
    *,
    program: str,
    program_version: str,
    molecule: Molecule | None = None,
    input_text: str | None = None,
    conformer_seed: int | None = None,
) -> CalculationStarted:
    """The event that an attempt begins with."""
    return CalculationStarted(
        molecule_id=attempt.molecule_id,
        batch_id=attempt.batch_id,
        attempt=attempt.number,
        method=plan.method,
        charge=molecule.charge if molecule else plan.charge,
        multiplicity=molecule.multiplicity if molecule else plan.multiplicity,
        program=program,
        program_version=program_version,
        timeout_seconds=plan.timeout_seconds,
        solvation_model=plan.solvation_model,
        optimization_level=plan.optimization_level,
        input_text=UNSET if input_text is None else input_text,
        identity=molecule.identity if molecule else UNSET,
        charge_source=molecule.charge_source if molecule else UNSET,
        multiplicity_source=molecule.multiplicity_source if molecule else UNSET,
        warnings=warnings_of(molecule),
        conformer_seed=UNSET if conformer_seed is None else conformer_seed,
    )


def warnings_of(molecule: Molecule | None) -> list[str] | None:
    """What an attempt's start says of assumptions about its molecule; None for nothing."""
    return list(molecule.warnings) or None if molecule else None


def ended(attempt: Attempt, outcome: Outcome) -> CalculationEvent:
    """The event that an attempt ends with."""
    match outcome:
        case Completed():
            return _completed(attempt, outcome)
        case Invalidated(reason=reason):
            return invalidated(attempt, reason, outcome.wall_time_seconds)
        case Failed(failure=failure):
            return failed(attempt, failure, outcome.wall_time_seconds)
        case Lost(failure=failure) if failure.error_type is ErrorType.COMPUTE_LOST:
            return lost(
                attempt, failure.message, outcome.wall_time_seconds, code=failure.error_code
            )
        case Lost(failure=failure):
            return failed(attempt, failure, outcome.wall_time_seconds)


def _completed(attempt: Attempt, outcome: Completed) -> CalculationCompleted:
    result, geometry = outcome.result, outcome.geometry
    return CalculationCompleted(
        molecule_id=attempt.molecule_id,
        batch_id=attempt.batch_id,
        energy=result.energy,
        homo=result.homo,
        lumo=result.lumo,
        gap=result.gap,
        dipole=result.dipole,
        convergence_status="converged" if result.is_converged else "not_converged",
        is_converged=result.is_converged,
        gradient_norm=result.gradient_norm,
        wall_time_seconds=outcome.wall_time_seconds,
        cpu_time_seconds=result.cpu_time_seconds,
        program=result.program,
        program_version=result.program_version,
        xyz_sha256=geometry.xyz_sha256,
        geometry_source=outcome.geometry_source,
        geometry_warning=outcome.geometry_warning,
        max_force=largest_force(result),
        atoms=atoms(result, geometry),
        scf_cycles=result.scf_iterations,
        optimization_cycles=result.optimization_cycles,
        convergence_iterations=result.scf_iterations,
        memory_peak_mb=result.memory_peak_mb,
        stdout_log=storable(result.stdout_log) if result.stdout_log else UNSET,
        stderr_log=storable(outcome.stderr_log) if outcome.stderr_log else UNSET,
    )


def atoms(result: Result, geometry: Geometry) -> list[Atom]:
    """One record per atom; what the program did not tell is null."""
    nothing: Sequence[None] = [None] * len(geometry)
    forces = result.forces()
    columns = (
        geometry.elements(),
        geometry.numbers,
        nothing if result.charges is None else result.charges,
        *zip(*geometry.positions, strict=True),
        *((nothing,) * 3 if forces is None else zip(*forces, strict=True)),
    )
    return [Atom(*fields) for fields in zip(*columns, strict=True)]
