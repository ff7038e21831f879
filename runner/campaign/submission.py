"""Submission of one structure: its molecule, and the request of a calculation, in the log."""

from itertools import islice
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.triage import identified
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.inputs.xyz_files import read_xyz, xyz_frames
from quantum_forge.runner.molecules.records import Input, shown
from quantum_forge.schema.domains.calculations import CalculationRequested

MOST_ATOMS = 500
"""Atoms of a structure that is written by hand; larger ones come in files."""


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. is_new: whether it was recorded; else it waits, runs or has a result."""

    calculation_id: UUID
    molecule_id: UUID
    is_new: bool


def read_structure(text: str, *, name: str | None = None) -> Input:
    """Return a structure that a person wrote: one line of SMILES, or one frame of XYZ.

    Raises:
        InputError: for an empty text, several frames, or one that cannot be read.
    """
    lines = text.strip().splitlines()
    if not lines:
        raise InputError("write a SMILES or an XYZ geometry", code="EMPTY_MOLECULE")
    if len(lines) == 1:
        return Input(number=1, source=shown(lines[0]), smiles=lines[0].strip(), name=name)
    frames = list(islice(xyz_frames(lines), 2))
    if len(frames) != 1:
        raise InputError("give one geometry, not several", code="UNREADABLE_RECORD")
    found = read_xyz(frames[0])
    if found.error is not None:
        raise InputError(found.error, code="UNREADABLE_RECORD")
    if found.geometry is not None and len(found.geometry) > MOST_ATOMS:
        raise InputError(
            f"{len(found.geometry):,} atoms are more than the {MOST_ATOMS} that can be submitted "
            "here: put the geometry into a file for `qforge run`",
            code="TOO_LARGE",
        )
    return found if name is None else msgspec.structs.replace(found, name=name)


def submit(recorder: Recorder, source: Input, plan: Plan) -> Submitted:
    """Record that a calculation is asked for, and its molecule with it; one that is there is left.

    The id is that by which `qforge run` with the same settings knows the calculation. A geometry
    that was given is in the metadata of the request, as `xyz`.

    Raises:
        InputError: when the input is no molecule that can be calculated.
        AccessRefused: when the author may not record it.
        RuleBroken: when somebody else records the same in the same moment.
    """
    asked = identified(recorder.tenant_id, plan, source)
    if asked.unreadable is not None:
        raise InputError(asked.unreadable.message, code=asked.unreadable.error_code)
    assert asked.molecule is not None
    assert asked.molecule_id is not None
    assert asked.creation is not None
    of_molecule = Stream(recorder.tenant_id, "molecule", asked.molecule_id)
    of_calculation = Stream(recorder.tenant_id, "calculation", asked.calculation_id)
    with recorder.engine.connect() as connection:
        states = read_standings(connection, [of_molecule, of_calculation])
    is_there = states[of_calculation].state in ("pending", "running", "completed")
    events: list[NewEvent] = []
    if states[of_molecule].state != "present":
        creation = msgspec.structs.replace(asked.creation, generation_method="manual")
        events.append(recorder.new(asked.molecule_id, creation))
    if not is_there:
        molecule, geometry = asked.molecule, source.geometry
        request = CalculationRequested(
            molecule_id=asked.molecule_id,
            batch_id=None,
            method=plan.method,
            charge=molecule.charge,
            multiplicity=molecule.multiplicity,
            solvation_model=plan.solvation_model,
            optimization_level=plan.optimization_level,
            charge_source=molecule.charge_source,
            multiplicity_source=molecule.multiplicity_source,
            warnings=list(molecule.warnings) or None,
            metadata=msgspec.UNSET if geometry is None else {"xyz": geometry.xyz_text()},
        )
        events.append(recorder.new(asked.calculation_id, request))
    if events:
        recorder.record_all(*events)
    return Submitted(
        calculation_id=asked.calculation_id, molecule_id=asked.molecule_id, is_new=not is_there
    )
