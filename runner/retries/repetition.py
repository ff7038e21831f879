"""Task that repeats a failed calculation from what the log holds."""

import re
from collections.abc import Iterable
from uuid import UUID

from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.engines.check import program_version
from quantum_forge.runner.engines.methods import ENGINES, require_known
from quantum_forge.runner.engines.tasks import Task
from quantum_forge.runner.errors import InputError, ProgramMissing
from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.schema.domains.calculations import CalculationStarted
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculeDeleted

_NO_GEOMETRY = (
    "its geometry is not in the log; calculate the molecule again with `qforge run`, or repair "
    "its folder and import it again"
)


class Unrepeatable(Exception):
    """Why a calculation cannot be repeated from what the log holds, and what to do instead."""


def repetition(
    calculation_id: UUID,
    started: CalculationStarted,
    molecule: MoleculeCreated | None,
    *,
    timeout_seconds: float | None = None,
) -> Task:
    """Return what a worker needs to repeat a calculation, from the log alone.

    Args:
        calculation_id: of the calculation.
        started: its latest start.
        molecule: its molecule, None where that does not exist any more.
        timeout_seconds: of the attempt, in s; None: what the calculation had before.

    Raises:
        Unrepeatable: when the log does not hold it.
    """
    if started.program not in ENGINES:
        raise Unrepeatable(f"it was computed by {started.program}, which this program does not run")
    if started.molecule_id is None:
        raise Unrepeatable("its input was not a molecule")
    if molecule is None:
        raise Unrepeatable("its molecule no longer exists")
    solvent = None
    if started.solvation_model is not None:
        named = re.fullmatch(r"ALPB\((.+)\)", started.solvation_model)
        if named is None:
            raise Unrepeatable(f"no engine has the solvation {started.solvation_model}")
        solvent = named[1]
    geometry = _geometry(started.input_text) if isinstance(started.input_text, str) else None
    seed = started.conformer_seed if isinstance(started.conformer_seed, int) else None
    plan = Plan(
        batch="",
        method=started.method,
        solvent=solvent,
        engine=started.program,
        optimization_level=started.optimization_level,
        seed=seed,
    )
    is_ours = calculation_id == plan.calculation_id(started.molecule_id, geometry)
    if not is_ours and not _is_whole_import(started, molecule, geometry):
        raise Unrepeatable(_NO_GEOMETRY)
    try:
        require_known(
            started.method,
            solvent,
            engine=started.program,
            optimization_level=started.optimization_level,
        )
        program_version(started.program)
    except (InputError, ProgramMissing) as error:
        raise Unrepeatable(str(error)) from error
    return Task(
        id=calculation_id,
        smiles=molecule.smiles,
        geometry=geometry,
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        method=started.method,
        solvent=solvent,
        engine=plan.engine,
        optimization_level=plan.optimization_level,
        seed=seed,
        timeout_s=timeout_seconds or started.timeout_seconds,
    )


def read_molecules(log: LogReader, molecule_ids: Iterable[UUID]) -> dict[UUID, MoleculeCreated]:
    """Return the creation of each of these molecules that exists; nothing is written."""
    found: dict[UUID, MoleculeCreated] = {}
    for id_, events in log.streams("molecule", sorted(set(molecule_ids))).items():
        for event in events:
            if isinstance(event.event, MoleculeCreated):
                found[id_] = event.event
            elif isinstance(event.event, MoleculeDeleted):
                found.pop(id_, None)
    return found


def _is_whole_import(
    started: CalculationStarted, molecule: MoleculeCreated, geometry: Geometry | None
) -> bool:
    """Whether the log holds all that an imported job began with.

    The start of an imported job states the hash of its files, and that of its geometry where it
    had one.
    """
    told = started.metadata
    if not isinstance(told, dict) or "content_sha256" not in told:
        return False
    if isinstance(started.xyz_sha256, str):
        return geometry is not None and geometry.xyz_sha256 == started.xyz_sha256
    return geometry is not None or molecule.smiles is not None


def _geometry(xyz: str) -> Geometry | None:
    """The geometry that a start recorded; None where it recorded something else.

    Read in this process: it is text work in linear time, without a toolkit.
    """
    frames = list(xyz_frames(xyz.splitlines()))
    return read_xyz(frames[0]).geometry if len(frames) == 1 else None
