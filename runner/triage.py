"""What is to be done with each input, given what the log already says of it."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from eventstore.envelope import RecordedEvent, Stream
from eventstore.ids import molecule_id
from eventstore.read import last_events, read_stream
from runner.errors import InputError
from runner.failures import Failure, classify
from runner.liveness import is_gone
from runner.molecules import Molecule, identify
from runner.plan import Plan
from runner.records import Input
from schema.events.chemistry import (
    CalculationCompleted,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationStarted,
    ErrorType,
    MoleculeDeleted,
)


class Standing(Enum):
    """How a calculation stands before this campaign touches it."""

    TO_RUN = "to run"
    ABANDONED = "begun by a process that is gone"
    RUNNING = "running elsewhere"
    COMPLETED = "completed before"
    FAILED = "failed before, and would again"
    INVALIDATED = "invalidated before"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An input, what it is, and where its calculation is in the log.

    molecule, molecule_id: None with an `unreadable` reason. version: of the calculation's stream.
    earlier: its failed attempts. molecule_version: what to expect when creating the molecule; None
    when it is there.
    """

    source: Input
    calculation_id: UUID
    molecule: Molecule | None
    molecule_id: UUID | None
    unreadable: Failure | None
    standing: Standing
    version: int
    earlier: tuple[dict[str, Any], ...]
    molecule_version: int | None


class _Identified(msgspec.Struct, frozen=True):
    source: Input
    calculation_id: UUID
    molecule: Molecule | None
    molecule_id: UUID | None
    unreadable: Failure | None


def triage(
    connection: Connection, tenant_id: UUID, plan: Plan, inputs: Sequence[Input], now: datetime
) -> list[Candidate]:
    """Identify inputs and look each of them up in the log; reads only.

    Args:
        connection: to the log, which is asked itself: read models may lag.
        tenant_id: who owns the molecules.
        plan: the settings that identify a calculation.
        inputs: a chunk of the file; all of its ids are asked for at once.
        now: the present time, for attempts that another host never ended.
    """
    identified = [_identified(tenant_id, plan, source) for source in inputs]
    calculations = last_events(
        connection, tenant_id, "calculation", [each.calculation_id for each in identified]
    )
    molecules = last_events(
        connection,
        tenant_id,
        "molecule",
        [each.molecule_id for each in identified if each.molecule_id is not None],
    )
    candidates = []
    for each in identified:
        last = calculations.get(each.calculation_id)
        known = molecules.get(each.molecule_id) if each.molecule_id else None
        candidates.append(
            Candidate(
                source=each.source,
                calculation_id=each.calculation_id,
                molecule=each.molecule,
                molecule_id=each.molecule_id,
                unreadable=each.unreadable,
                standing=_standing(last, now),
                version=last.version if last else 0,
                earlier=_failed_attempts(connection, last),
                molecule_version=_version_to_create(known) if each.molecule else None,
            )
        )
    return candidates


def _identified(tenant_id: UUID, plan: Plan, source: Input) -> _Identified:
    try:
        molecule = identify(source, charge=plan.charge, multiplicity=plan.multiplicity)
    except InputError as error:
        unreadable = plan.unreadable_id(tenant_id, source.source)
        return _Identified(source, unreadable, None, None, classify(error))
    its_id = molecule_id(tenant_id, molecule.smiles, molecule.charge, molecule.multiplicity)
    calculation = plan.calculation_id(its_id, source.geometry)
    return _Identified(source, calculation, molecule, its_id, None)


def _standing(last: RecordedEvent | None, now: datetime) -> Standing:
    if last is None:
        return Standing.TO_RUN
    match last.event_type:
        case CalculationCompleted.event_type:
            return Standing.COMPLETED
        case CalculationInvalidated.event_type:
            return Standing.INVALIDATED
        case CalculationFailed.event_type if last.data.get("error_type") == ErrorType.INPUT_ERROR:
            return Standing.FAILED
        case CalculationStarted.event_type:
            gone = is_gone(
                last.metadata,
                started_at=last.occurred_at,
                timeout_seconds=float(last.data["timeout_seconds"]),
                now=now,
            )
            return Standing.ABANDONED if gone else Standing.RUNNING
    return Standing.TO_RUN


def _failed_attempts(
    connection: Connection, last: RecordedEvent | None
) -> tuple[dict[str, Any], ...]:
    """What is known of earlier attempts that failed; almost always there is none to ask for."""
    if last is None or last.event_type == CalculationCompleted.event_type:
        return ()
    stream = Stream(last.tenant_id, last.entity_type, last.entity_id)
    return tuple(
        {
            "attempt": event.data["attempt"],
            "error_type": event.data["error_type"],
            "error_message": event.data["error_message"],
            "at": event.occurred_at.isoformat(),
        }
        for event in read_stream(connection, stream)
        if event.event_type in (CalculationFailed.event_type, CalculationLost.event_type)
    )


def _version_to_create(known: RecordedEvent | None) -> int | None:
    if known is None:
        return 0
    return known.version if known.event_type == MoleculeDeleted.event_type else None
