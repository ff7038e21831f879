"""Triage of inputs by what the log already holds of each."""

from collections.abc import Sequence
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import structs

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.recording.attempt import earlier_in
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.runner.campaign import outcomes
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.engines.failures import Failure, classify
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.identity import Molecule, identify
from quantum_forge.runner.molecules.records import Input
from quantum_forge.runner.workers.liveness import is_gone
from quantum_forge.schema.domains.calculations import (
    NOTES,
    CalculationCompleted,
    CalculationFailed,
    CalculationInvalidated,
    CalculationRestored,
    CalculationStarted,
    ErrorType,
    ValueSource,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculeDeleted, molecule_id

HAS_RESULT = frozenset({CalculationCompleted.event_type, CalculationRestored.event_type})
"""Events after which a calculation has a result."""


class CalculationState(Enum):
    """State of a calculation before this campaign changes it."""

    TO_RUN = "to run"
    ABANDONED = "begun by a process that is gone"
    RUNNING = "running elsewhere"
    COMPLETED = "completed before"
    FAILED = "failed before, and not to be tried again now"
    INVALIDATED = "invalidated before"


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """An input, and which calculation it asks for.

    molecule, molecule_id: None with an `unreadable` reason. creation: the event of the molecule, if
    it is new to the log; made here, since formula and InChIKey are RDKit's.
    """

    source: Input
    calculation_id: UUID
    molecule: Molecule | None = None
    molecule_id: UUID | None = None
    creation: MoleculeCreated | None = None
    unreadable: Failure | None = None


class Candidate(Identified, frozen=True, kw_only=True):
    """An input, and where its calculation is in the log.

    version: of the calculation's stream. batch_id: of its last event. error_type, reason: why it
    has no result, where it ended without one. earlier: its attempts that failed.
    molecule_version: what to expect when creating the molecule; None when it is there.
    molecule_at: version of the molecule's stream; 0 where there is none.
    """

    state: CalculationState
    version: int
    batch_id: UUID | None
    error_type: str | None
    reason: str | None
    earlier: tuple[dict[str, Any], ...]
    molecule_version: int | None
    molecule_at: int = 0

    def forgotten(self) -> Identified:
        """Return the same without what the log said, to be looked up again."""
        return Identified(**{name: getattr(self, name) for name in Identified.__struct_fields__})


def identified(tenant_id: UUID, plan: Plan, source: Input) -> Identified:
    """Find out which molecule and which calculation an input means; asks no database.

    It runs RDKit: call it in a worker process, except for an input with an `error`.
    """
    try:
        molecule = identify(source, charge=plan.charge, multiplicity=plan.multiplicity)
    except InputError as error:
        return Identified(
            source=source,
            calculation_id=plan.unreadable_id(tenant_id, source.source),
            unreadable=classify(error),
        )
    its_id = molecule_id(tenant_id, molecule.structure, molecule.charge, molecule.multiplicity)
    return Identified(
        source=source,
        calculation_id=plan.calculation_id(its_id, source.geometry),
        molecule=molecule,
        molecule_id=its_id,
        creation=outcomes.created(molecule),
    )


def with_statements(inputs: Sequence[Identified]) -> list[Identified]:
    """Return the inputs, where those of one calculation have the sources that state the most.

    A charge or multiplicity that one input assumes and another states is stated; the warnings are
    those of the input that states it.
    """
    molecules: dict[UUID, list[Molecule]] = {}
    for each in inputs:
        if each.molecule is not None:
            molecules.setdefault(each.calculation_id, []).append(each.molecule)
    return [
        each
        if each.molecule is None
        else structs.replace(
            each, molecule=_as_stated(each.molecule, molecules[each.calculation_id])
        )
        for each in inputs
    ]


def _as_stated(molecule: Molecule, all_of_it: Sequence[Molecule]) -> Molecule:
    def states(each: Molecule) -> tuple[bool, bool]:
        given = ValueSource.GIVEN
        return each.multiplicity_source is given, each.charge_source is given

    best = max((molecule, *all_of_it), key=states)
    if states(best) == states(molecule):
        best = molecule
    is_charge_given = any(states(each)[1] for each in all_of_it)
    return structs.replace(
        molecule,
        charge_source=ValueSource.GIVEN if is_charge_given else ValueSource.ASSUMED,
        multiplicity_source=best.multiplicity_source,
        warnings=best.warnings,
    )


def triage(
    log: LogReader,
    inputs: Sequence[Identified],
    *,
    began: int,
) -> list[Candidate]:
    """Look inputs up in the log, which is asked itself: read models may lag.

    Args:
        log: of the tenant that owns the molecules.
        inputs: a chunk of the file; all of its ids are asked for at once.
        began: position of the log when the campaign began; what another process has recorded as
            failed since is not tried again.
    """
    calculations = log.last_events("calculation", [each.calculation_id for each in inputs])
    molecules = log.last_events(
        "molecule", [each.molecule_id for each in inputs if each.molecule_id is not None]
    )
    candidates = []
    for each in inputs:
        newest = calculations.get(each.calculation_id)
        last = _deciding(log, newest)
        known = molecules.get(each.molecule_id) if each.molecule_id else None
        data = last.data if last else {}
        candidates.append(
            Candidate(
                **structs.asdict(each),
                state=_state_of(log, last, began),
                version=newest.version if newest else 0,
                batch_id=UUID(data["batch_id"]) if data.get("batch_id") else None,
                error_type=data.get("error_type"),
                reason=data.get("error_message", data.get("reason")),
                earlier=_failed_attempts(log, last),
                molecule_version=_version_to_create(known) if each.molecule else None,
                molecule_at=known.version if known else 0,
            )
        )
    return candidates


def _deciding(log: LogReader, newest: RecordedEvent | None) -> RecordedEvent | None:
    """The event that says how a calculation stands: a note does not."""
    if newest is None or newest.event_type not in NOTES:
        return newest
    history = log.stream("calculation", newest.entity_id, backward=True)
    return next((each for each in history if each.event_type not in NOTES), None)


def _state_of(log: LogReader, last: RecordedEvent | None, began: int) -> CalculationState:
    if last is None:
        return CalculationState.TO_RUN
    match last.event_type:
        case event_type if event_type in HAS_RESULT:
            return CalculationState.COMPLETED
        case CalculationInvalidated.event_type:
            # Physics would refuse the same result again; what was retracted may come out better.
            return (
                CalculationState.TO_RUN
                if last.data.get("retraction_id")
                else CalculationState.INVALIDATED
            )
        case CalculationFailed.event_type if (
            last.data["error_type"] == ErrorType.INPUT_ERROR or last.position > began
        ):
            return CalculationState.FAILED
        case CalculationStarted.event_type:
            gone = is_gone(
                last.metadata,
                started_at=last.recorded_at,
                timeout_seconds=float(last.data["timeout_seconds"]),
                now=log.server_time(),
            )
            return CalculationState.ABANDONED if gone else CalculationState.RUNNING
    return CalculationState.TO_RUN


def _failed_attempts(log: LogReader, last: RecordedEvent | None) -> tuple[dict[str, Any], ...]:
    """Earlier failed attempts; in almost all cases there are none."""
    if last is None or last.event_type in HAS_RESULT:
        return ()
    return earlier_in(log.stream("calculation", last.entity_id))


def _version_to_create(known: RecordedEvent | None) -> int | None:
    if known is None:
        return 0
    return known.version if known.event_type == MoleculeDeleted.event_type else None
