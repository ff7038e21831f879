"""Calculations without a result, their history in the log, and the decision about each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.recording.attempt import FAILED, earlier_in
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.engines.methods import TBLITE
from quantum_forge.runner.retries.backoff import Backoff
from quantum_forge.runner.retries.repetition import Unrepeatable, read_molecules, repetition
from quantum_forge.runner.workers.liveness import is_gone
from quantum_forge.schema.domains.calculations import (
    NOTES,
    CalculationFailed,
    CalculationGivenUp,
    CalculationLost,
    CalculationRequested,
    CalculationRetryScheduled,
    CalculationStarted,
    ErrorType,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated

_CHUNK = 200


class Verdict(StrEnum):
    """Decision about a calculation that failed."""

    ABANDONED = "its process has ended"
    TO_SCHEDULE = "to be scheduled"
    WAITING = "not due yet"
    DUE = "due"
    GIVEN_UP = "given up"


class FailedCalculation(msgspec.Struct, frozen=True, kw_only=True):
    """A calculation without a result.

    version: of its stream. earlier: its failed attempts. failures: how often it failed, by type of
    error. started: its latest start. failed_at: when its latest failure was recorded. retry_at:
    when the next attempt is scheduled, if it is. Times are by the server's clock, and None where
    there was none. reason: why it cannot be repeated, None where it can. is_told: whether the log
    says of its latest failure that it was given up.
    """

    calculation_id: UUID
    molecule_id: UUID | None
    batch_id: UUID | None
    version: int
    verdict: Verdict
    earlier: tuple[dict[str, Any], ...]
    failures: dict[str, int]
    error_type: ErrorType | None
    error_message: str | None
    failed_at: datetime | None
    retry_at: datetime | None
    started: CalculationStarted
    reason: str | None = None
    is_told: bool = False

    @property
    def attempt(self) -> int:
        """The number of the next attempt."""
        return len(self.earlier) + 1

    @property
    def story(self) -> str:
        """`timed out 3 times`, and what else went wrong how often."""
        if not self.failures:
            return "asked for"
        times = {1: "once", 2: "twice"}
        return ", ".join(
            f"{_WORDS[ErrorType(kind)]} {times.get(count, f'{count} times')}"
            for kind, count in self.failures.items()
        )


_WORDS = {
    ErrorType.INPUT_ERROR: "was refused as input",
    ErrorType.CONVERGENCE_ERROR: "did not converge",
    ErrorType.TIMEOUT: "timed out",
    ErrorType.RESOURCE_ERROR: "ran out of resources",
    ErrorType.RANDOM_ERROR: "failed for a transient reason",
    ErrorType.COMPUTE_LOST: "was lost",
    ErrorType.UNKNOWN_ERROR: "failed for an unknown reason",
}


def read_failed(
    log: LogReader,
    calculation_ids: Iterable[UUID],
    backoff: Backoff,
    *,
    now: datetime,
) -> list[FailedCalculation]:
    """How these calculations stand by the log itself, in the given order; nothing is written.

    Those that completed, were invalidated or run at the moment are left out. `now`: the present
    time, by the server's clock.
    """
    found: list[FailedCalculation] = []
    ids = list(calculation_ids)
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        streams = log.streams("calculation", chunk)
        known: list[FailedCalculation] = []
        for id_ in chunk:
            calculation = _failed_calculation(streams.get(id_, []), backoff, now)
            if calculation is not None:
                known.append(calculation)
        molecules = read_molecules(log, (each.molecule_id for each in known if each.molecule_id))
        found += [_judged(each, molecules) for each in known]
    return found


def _judged(
    calculation: FailedCalculation, molecules: dict[UUID, MoleculeCreated]
) -> FailedCalculation:
    """The same, given up with the reason where the log does not hold what a retry needs."""
    if calculation.verdict not in (Verdict.TO_SCHEDULE, Verdict.WAITING, Verdict.DUE):
        return calculation
    id_ = calculation.molecule_id
    try:
        repetition(
            calculation.calculation_id,
            calculation.started,
            None if id_ is None else molecules.get(id_),
        )
    except Unrepeatable as reason:
        return msgspec.structs.replace(
            calculation, verdict=Verdict.GIVEN_UP, retry_at=None, reason=str(reason)
        )
    return calculation


def _failed_calculation(
    events: Sequence[RecordedEvent], backoff: Backoff, now: datetime
) -> FailedCalculation | None:
    attempts = [event for event in events if event.event_type not in NOTES]
    starts = [event for event in attempts if event.event_type == _STARTED]
    if not starts:
        return _asked_for(events, attempts)
    started = starts[-1].event
    assert isinstance(started, CalculationStarted)
    failed = [event for event in attempts if event.event_type in FAILED]
    last = attempts[-1]
    error_type = ErrorType(failed[-1].data["error_type"]) if failed else None
    failures = Counter(event.data["error_type"] for event in failed)
    retry_at: datetime | None = None
    match last.event_type:
        case CalculationStarted.event_type if is_gone(
            last.metadata,
            started_at=last.recorded_at,
            timeout_seconds=started.timeout_seconds,
            now=now,
        ):
            verdict = Verdict.ABANDONED
        case CalculationFailed.event_type | CalculationLost.event_type if error_type is not None:
            enough = failures[error_type] > backoff.allowed(error_type)
            verdict = Verdict.GIVEN_UP if enough else Verdict.TO_SCHEDULE
        case CalculationRetryScheduled.event_type:
            retry_at = datetime.fromisoformat(last.data["retry_at"])
            verdict = Verdict.DUE if retry_at <= now else Verdict.WAITING
        case CalculationRequested.event_type:
            retry_at = last.recorded_at
            verdict = Verdict.DUE
        case _:
            return None
    return FailedCalculation(
        calculation_id=last.entity_id,
        molecule_id=started.molecule_id,
        batch_id=started.batch_id,
        version=events[-1].version,
        verdict=verdict,
        earlier=earlier_in(failed),
        failures=dict(failures),
        error_type=error_type,
        error_message=failed[-1].data["error_message"] if failed else None,
        failed_at=failed[-1].recorded_at if failed else None,
        retry_at=retry_at,
        started=started,
        is_told=any(
            event.event_type == CalculationGivenUp.event_type
            for event in events
            if event.version > last.version
        ),
    )


def _asked_for(
    events: Sequence[RecordedEvent], attempts: Sequence[RecordedEvent]
) -> FailedCalculation | None:
    """A calculation that somebody asked for and that no runner has begun; it is due at once."""
    last = attempts[-1] if attempts else None
    if last is None or not isinstance(last.event, CalculationRequested):
        return None
    asked = last.event
    metadata = asked.metadata if isinstance(asked.metadata, dict) else {}
    xyz = metadata.get("xyz")
    started = CalculationStarted(
        molecule_id=asked.molecule_id,
        batch_id=asked.batch_id,
        attempt=1,
        method=asked.method,
        charge=asked.charge,
        multiplicity=asked.multiplicity,
        program=TBLITE,
        program_version="",  # that of the runner that begins it
        timeout_seconds=Plan(batch="").timeout_seconds,
        solvation_model=asked.solvation_model,
        optimization_level=asked.optimization_level,
        input_text=xyz if isinstance(xyz, str) else UNSET,
        charge_source=asked.charge_source,
        multiplicity_source=asked.multiplicity_source,
        warnings=asked.warnings,
    )
    return FailedCalculation(
        calculation_id=last.entity_id,
        molecule_id=asked.molecule_id,
        batch_id=asked.batch_id,
        version=events[-1].version,
        verdict=Verdict.DUE,
        earlier=(),
        failures={},
        error_type=None,
        error_message=None,
        failed_at=None,
        retry_at=last.recorded_at,
        started=started,
    )


_STARTED = CalculationStarted.event_type
