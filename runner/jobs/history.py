"""Events of an imported job, the same whoever imports the folder."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from quantum_forge.eventstore.base.envelope import MUST_NOT_EXIST, NewEvent
from quantum_forge.runner.campaign import outcomes
from quantum_forge.runner.campaign.outcomes import Attempt, storable
from quantum_forge.runner.engines.physics import refusal
from quantum_forge.runner.engines.tasks import Completed, Failed, Invalidated, Outcome
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.molecules.identity import Molecule
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationEvent,
    CalculationStarted,
)
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.identity import natural_id

COMPLETED, FAILED, INVALIDATED = "completed", "failed", "invalidated"


class History:
    """A job's calculation as events, and the molecule that must be there before it.

    Ids follow from the tenant, the job's id and the content of its files: whoever imports the
    folder again, or a copy of it, makes the same events.
    """

    def __init__(
        self,
        job: Job,
        molecule: Molecule | None,
        *,
        tenant_id: UUID,
        user_id: UUID | None,
        metadata: dict[str, Any],
        keep_logs: bool,
    ) -> None:
        self.molecule = molecule
        self.calculation_id = calculation_id(tenant_id, job)
        self.molecule_id: UUID | None = None
        if molecule is not None:
            self.molecule_id = molecule_id(
                tenant_id, molecule.structure, molecule.charge, molecule.multiplicity
            )
        self._job = job
        self._tenant_id = tenant_id
        self._user_id = user_id
        self._metadata = metadata
        attempt = Attempt(
            calculation_id=self.calculation_id,
            molecule_id=self.molecule_id,
            batch_id=None,
            number=1,
        )
        outcome = _outcome(job, molecule, self.calculation_id, keep_logs=keep_logs)
        self.status, self.reason = _category(outcome)
        self._ended = outcomes.ended(attempt, outcome)
        if isinstance(self._ended, CalculationCompleted):
            assert job.result is not None
            self._ended = replace(
                self._ended,
                wall_time_seconds=job.result.wall_time_seconds,
            )

    def calculation(self) -> list[NewEvent]:
        """The calculation, begun and ended, at the times of the job."""
        return [
            self._new(self.calculation_id, self._started(), 1, self._job.began),
            self._new(self.calculation_id, self._ended, 2, self._job.ended),
        ]

    def creation(self, version: int) -> NewEvent:
        """The molecule's entry into the system, on a stream that is at this version."""
        assert self.molecule is not None
        assert self.molecule_id is not None
        event = outcomes.created(self.molecule)
        return replace(
            self._new(self.molecule_id, event, version + 1, self._job.began),
            expected_version=version,
        )

    def _started(self) -> CalculationEvent:
        job = self._job
        metadata: dict[str, object] = {"job_id": job.job_id, "content_sha256": job.sha256}
        if job.notes:
            metadata["import_notes"] = [storable(note) for note in job.notes]
        geometry = job.source.geometry
        return CalculationStarted(
            molecule_id=self.molecule_id,
            batch_id=None,
            attempt=1,
            method=storable(job.method),
            charge=job.source.charge if self.molecule is None else self.molecule.charge,
            multiplicity=None if self.molecule is None else self.molecule.multiplicity,
            program=storable(job.program),
            program_version=storable(job.program_version),
            timeout_seconds=job.timeout_seconds,
            solvation_model=job.solvation_model and storable(job.solvation_model),
            optimization_level=job.optimization_level and storable(job.optimization_level),
            xyz_sha256=UNSET if geometry is None else geometry.xyz_sha256,
            input_text=storable(job.source.source) if self.molecule is None else UNSET,
            identity=UNSET if self.molecule is None else self.molecule.identity,
            charge_source=UNSET if self.molecule is None else self.molecule.charge_source,
            multiplicity_source=(
                UNSET if self.molecule is None else self.molecule.multiplicity_source
            ),
            warnings=outcomes.warnings_of(self.molecule),
            metadata=metadata,
        )

    def _new(self, entity_id: UUID, event: Event, version: int, occurred_at: datetime) -> NewEvent:
        return NewEvent(
            event_id=natural_id("imported event", self._tenant_id, entity_id, version),
            tenant_id=self._tenant_id,
            entity_id=entity_id,
            event=event,
            user_id=self._user_id,
            expected_version=MUST_NOT_EXIST,
            occurred_at=occurred_at,
            metadata=self._metadata,
        )


def calculation_id(tenant_id: UUID, job: Job) -> UUID:
    """Id of the calculation that a folder is, wherever it lies."""
    return natural_id("imported job", tenant_id, job.job_id, job.sha256)


def _outcome(job: Job, molecule: Molecule | None, task_id: UUID, *, keep_logs: bool) -> Outcome:
    if job.failure is not None:
        return Failed(task_id=task_id, failure=job.failure)
    assert job.result is not None
    assert job.geometry is not None
    refused = job.refused
    if refused is None and molecule is not None:
        refused = molecule.contradiction or refusal(
            job.result, job.geometry, charge=molecule.charge, multiplicity=molecule.multiplicity
        )
    kind = Completed if refused is None else None
    if kind is None:
        return Invalidated(
            task_id=task_id,
            reason=refused or "",
            result=job.result,
            geometry=job.geometry,
            wall_time_seconds=job.result.wall_time_seconds or 0.0,
        )
    return Completed(
        task_id=task_id,
        result=job.result if keep_logs else replace(job.result, stdout_log=""),
        geometry=job.geometry,
        stderr_log=job.stderr_log if keep_logs else "",
    )


def _category(outcome: Outcome) -> tuple[str, str | None]:
    match outcome:
        case Completed():
            return COMPLETED, None
        case Invalidated(reason=reason):
            return INVALIDATED, reason
        case _:
            return FAILED, outcome.failure.message
