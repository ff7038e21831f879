"""Runs xTB on the molecules of a file and records every step."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import structs

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import QuantumForgeError, RuleBroken, VersionConflict
from quantum_forge.eventstore.database.availability.outage import AWAY, PATIENCE
from quantum_forge.eventstore.recording.attempt import as_earlier
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign import outcomes
from quantum_forge.runner.campaign.batch import Batch
from quantum_forge.runner.campaign.identification import AHEAD, Identification
from quantum_forge.runner.campaign.lookup_outage import LookupOutage
from quantum_forge.runner.campaign.outcomes import Attempt
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.tally import Tally
from quantum_forge.runner.campaign.triage import (
    CalculationState,
    Candidate,
    Identified,
    triage,
    with_statements,
)
from quantum_forge.runner.engines.check import program_version
from quantum_forge.runner.engines.tasks import Completed, Invalidated, Lost, Outcome, Task
from quantum_forge.runner.errors import CampaignInterrupted
from quantum_forge.runner.inputs.files import MoleculeFile
from quantum_forge.runner.molecules.records import Input
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.runner.workers.stopping import ATTENTION_SECONDS, StopRequest
from quantum_forge.schema.domains.calculations import ErrorType
from quantum_forge.schema.domains.molecules import MoleculeAddedToProject
from quantum_forge.schema.language.event import Event

PROGRESS_SECONDS = 5.0
"""Seconds between two records of a running batch's progress."""

OTHER_PROJECT = "its molecule belongs to another project and stays there"

CONFLICTS = 20
"""Number of times that a chunk is looked up again because others recorded the same events."""


class _InFlight(msgspec.Struct, frozen=True):
    """An attempt that has begun, the input that it is for, and its stream's version."""

    attempt: Attempt
    source: Input
    version: int


class Campaign:
    """One run over one file.

    Several may run at once, on the same file and batch even: each calculation is begun by one.

    Args:
        recorder: appends on behalf of the tenant and the user.
        plan: what to compute.
        file: of molecules; its records are taken.
        jobs: how many worker processes.
        on_input: called for each input that is accounted for, with whether it has a result.
        patience: seconds to wait for a database that went away while inputs are to be looked up.
        on_wait: called once when that begins, with the reason.
        function: what the workers run, as `module:name`.
    """

    def __init__(
        self,
        recorder: Recorder,
        plan: Plan,
        file: MoleculeFile,
        *,
        jobs: int,
        on_input: Callable[[bool], None] = lambda _: None,
        patience: float = PATIENCE,
        on_wait: Callable[[str], None] = lambda _: None,
        function: str = "quantum_forge.runner.engines.calculation:calculate",
    ) -> None:
        self.recorder = recorder
        self.plan = plan
        self.batch = Batch(recorder, plan, file.total, jobs)
        self.tally = Tally()
        self._records = file.records()
        self._total = file.total
        self._jobs = jobs
        self._on_input = on_input
        self._outage = LookupOutage(patience, on_wait)
        self._function = function
        self._program_version = program_version(plan.engine)
        self._began: int | None = None
        self._reported = time.monotonic()
        self._seen: set[UUID] = set()
        self._chunk: list[Identified] = []
        self._ready: deque[Candidate] = deque()
        self._running: dict[UUID, _InFlight] = {}
        self._elsewhere: list[Identified] = []
        self._again: deque[Identified] = deque()
        self._is_last_look = False
        self._in_other_projects: dict[UUID, Input] = {}

    def run(self) -> Tally:
        """Run what has not completed, and return what became of each input.

        What a stop interrupts is computed by the next run, and is not counted as failed.

        Raises:
            CampaignInterrupted: on Ctrl-C or SIGTERM, or when somebody asks the batch to stop;
                what was in flight is recorded as lost before.
            DatabaseStayedAway: when it was away for too long, after what was in flight has ended.
        """
        with StopRequest() as stop, WorkerPool(self._jobs, function=self._function) as pool:
            identification = Identification(pool, self._records, self.recorder.tenant_id, self.plan)
            try:
                self._work(pool, identification, stop)
                # What another process had may have ended, or been lost, while this one worked.
                self._again.extend(self._elsewhere)
                self._elsewhere, self._is_last_look = [], True
                self._work(pool, identification, stop)
            except QuantumForgeError as error:
                self._give_up(pool.kill_all(), error)
                raise
            if stop.signal is not None:
                self._interrupt(pool.kill_all())
                raise CampaignInterrupted(self.tally.inputs, self._total, signal=stop.signal)
        self._complete()
        for source in self._in_other_projects.values():
            self.tally.add_warnings(source, [OTHER_PROJECT])
        return self.tally

    def _work(self, pool: WorkerPool, identification: Identification, stop: StopRequest) -> None:
        while not stop and (self._fill(pool, identification, stop) or self._running):
            outcomes = pool.wait(timeout=ATTENTION_SECONDS)
            self._finish(each for each in outcomes if not identification.heed(each))
            self._report(stop)
            if self._outage.is_on and not self._running:
                time.sleep(ATTENTION_SECONDS)

    # Looking up: inputs become candidates, chunk by chunk, only as fast as they are run.

    def _fill(self, pool: WorkerPool, identification: Identification, stop: StopRequest) -> bool:
        """Give every free worker something to do; False when there is nothing left to give.

        While the database is away, what has been looked up goes on, and the rest waits.
        """
        while not stop and len(pool.in_flight()) + pool.queued() < self._jobs:
            if (refused := self.recorder.refused) is not None:
                # What is in flight ends, and goes to the spool; nothing new is begun.
                if self._running:
                    return True
                raise refused
            if not self._ready:
                if self._outage.is_too_early:
                    return True
                try:
                    if not self._look_up(identification):
                        return identification.is_under_way
                except AWAY as error:
                    self._outage.goes_on(error, may_end=not self._running)
                    return True
                self._outage.over()
            if self._ready:
                self._start(pool, self._ready.popleft())
        return True

    def _look_up(self, identification: Identification) -> bool:
        """Look up what is identified, or again what found the database away."""
        self._chunk = self._chunk or with_statements(identification.taken()) or self._taken_again()
        # The workers identify the next ones while the database is asked for these.
        identification.look_ahead()
        if not self._chunk:
            return False
        candidates = self._welcomed(self._chunk)
        self._chunk = []
        for candidate in candidates:
            self._sort(candidate)
        return True

    def _taken_again(self) -> list[Identified]:
        return [self._again.popleft() for _ in range(min(AHEAD, len(self._again)))]

    def _welcomed(self, chunk: Sequence[Identified]) -> list[Candidate]:
        """Look a chunk up, and record, in one append, the molecules and batch items it brings."""
        for _ in range(CONFLICTS):
            # What is still in the spool would be missing from what is looked up.
            self.recorder.settle()
            self.batch.refresh()
            with self.recorder.reading() as log:
                if self._began is None:
                    self._began = log.last_assigned()
                candidates = triage(log, chunk, began=self._began)
                joining = self._joining(log, candidates)
            events = [*self._new_molecules(candidates), *self.batch.welcoming(candidates)]
            try:
                self.recorder.record_all(*events, *joining)
            except VersionConflict as conflict:
                # Another runner recorded the same molecules, or went on with the same batch.
                last = conflict
                continue
            self.batch.is_mine |= bool(events)
            return candidates
        raise last

    def _new_molecules(self, candidates: Iterable[Candidate]) -> Iterator[NewEvent]:
        created: set[UUID] = set()
        for candidate in candidates:
            creation, its_id = candidate.creation, candidate.molecule_id
            if creation is None or its_id is None or its_id in created:
                continue
            if candidate.molecule_version is not None:
                created.add(its_id)
                if self.plan.project_id is not None:
                    creation = structs.replace(creation, project_id=self.plan.project_id)
                yield self.recorder.new(
                    its_id,
                    creation,
                    expected_version=candidate.molecule_version,
                )

    def _joining(self, log: LogReader, candidates: Iterable[Candidate]) -> list[NewEvent]:
        """Have the molecules that are in the log, and in no project, join that of the plan."""
        project_id = self.plan.project_id
        if project_id is None:
            return []
        present = {
            each.molecule_id: each
            for each in candidates
            if each.molecule_id is not None and each.molecule_version is None
        }
        joining = []
        latest = log.latest_ids("molecule", list(present), "project_id")
        for its_id, now in latest.items():
            candidate = present[its_id]
            if now is None:
                joining.append(
                    self.recorder.new(
                        its_id,
                        MoleculeAddedToProject(project_id=project_id),
                        expected_version=candidate.molecule_at,
                    )
                )
            elif now != project_id:
                self._in_other_projects.setdefault(its_id, candidate.source)
        return joining

    def _sort(self, candidate: Candidate) -> None:
        if candidate.calculation_id in self._seen:
            self.tally.duplicates += 1
            self._on_input(True)
            return
        self._seen.add(candidate.calculation_id)
        if candidate.molecule is not None and candidate.molecule.warnings:
            self.tally.add_warnings(candidate.source, candidate.molecule.warnings)
        match candidate.state:
            case CalculationState.TO_RUN | CalculationState.ABANDONED:
                self._ready.append(candidate)
            case CalculationState.COMPLETED:
                self.tally.before += 1
                self._on_input(True)
            case CalculationState.RUNNING:
                self._leave(candidate)
            case CalculationState.FAILED | CalculationState.INVALIDATED:
                kind = candidate.state.name.lower()
                self._count_problem(
                    candidate.source, kind, candidate.reason or "", candidate.error_type
                )

    def _leave(self, candidate: Candidate) -> None:
        """Leave a calculation to the process that runs it, and look again at the end."""
        if self._is_last_look:
            self.tally.elsewhere += 1
            self._on_input(True)
        else:
            self._seen.discard(candidate.calculation_id)
            self._elsewhere.append(candidate.forgotten())

    # Running: an attempt is recorded before a worker has it, and again when it ends.

    def _start(self, pool: WorkerPool, candidate: Candidate) -> None:
        # All events of one stream in one append expect the version before the first of them.
        version = candidate.version
        events: list[NewEvent] = []
        earlier = candidate.earlier
        if candidate.state is CalculationState.ABANDONED:
            abandoned = self._attempt(candidate, earlier, batch_id=candidate.batch_id)
            reason = "its runner ended without recording a result"
            events.append(self._of(abandoned, outcomes.lost(abandoned, reason), version))
            lost = ErrorType.COMPUTE_LOST.value
            its_end = as_earlier(abandoned.number, lost, reason, datetime.now(UTC))
            earlier = (*earlier, its_end)
        attempt = self._attempt(candidate, earlier, batch_id=self.batch.id)
        begun = outcomes.started(
            attempt,
            self.plan,
            program=self.plan.engine,
            program_version=self._program_version,
            molecule=candidate.molecule,
            input_text=_input_text(candidate),
            conformer_seed=self.plan.seed if candidate.source.geometry is None else None,
        )
        events.append(self._of(attempt, begun, version))
        failure = candidate.unreadable
        if failure is not None:
            events.append(self._of(attempt, outcomes.failed(attempt, failure), version))
        try:
            self.recorder.record_all(*events)
        except VersionConflict:
            # Another runner began it since it was looked up.
            self._leave(candidate)
            return
        if failure is not None:
            self.batch.ended(attempt.calculation_id, has_result=False)
            self._count_problem(candidate.source, "failed", failure.message, failure.error_type)
        elif candidate.molecule is not None:
            self._running[attempt.calculation_id] = _InFlight(
                attempt, candidate.source, version + len(events)
            )
            pool.submit(
                Task(
                    id=attempt.calculation_id,
                    smiles=candidate.molecule.smiles,
                    geometry=candidate.source.geometry,
                    geometry_source=candidate.source.geometry_source,
                    charge=candidate.molecule.charge,
                    multiplicity=candidate.molecule.multiplicity,
                    method=self.plan.method,
                    solvent=self.plan.solvent,
                    engine=self.plan.engine,
                    optimization_level=self.plan.optimization_level,
                    seed=self.plan.seed,
                    timeout_s=self.plan.timeout_seconds,
                )
            )

    def _attempt(
        self,
        candidate: Candidate,
        earlier: tuple[dict[str, Any], ...],
        *,
        batch_id: UUID | None,
    ) -> Attempt:
        return Attempt(
            calculation_id=candidate.calculation_id,
            molecule_id=candidate.molecule_id,
            batch_id=batch_id,
            number=len(earlier) + 1,
            earlier=earlier,
        )

    def _finish(self, tasks: Iterable[Outcome], *, stopped: bool = False) -> None:
        """Record outcomes, and count them; not those that are lost because the run was stopped."""
        for outcome in tasks:
            running = self._running[outcome.task_id]
            ended = outcomes.ended(running.attempt, outcome)
            try:
                self.recorder.record_all(self._of(running.attempt, ended, running.version))
            except VersionConflict:
                self._count_overruled(running)
            else:
                is_lost = isinstance(outcome, Lost)
                self.batch.ended(
                    outcome.task_id, has_result=isinstance(outcome, Completed), is_lost=is_lost
                )
                if not (stopped and is_lost):
                    self._count(running, outcome)
            del self._running[outcome.task_id]

    def _report(self, stop: StopRequest) -> None:
        """Record how far the batch has come, and heed who wants it to stop."""
        now = time.monotonic()
        if self.batch.is_mine and now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            # While the database is away, nobody could read how far it has come. What another run
            # has ended does not progress until this one adds to it.
            with suppress(RuleBroken, *AWAY):
                self.batch.refresh()
                if self.batch.stop_reason is not None:
                    stop.ask()
                elif (progressed := self.batch.progressed()) is not None:
                    self.recorder.record_all(progressed)

    # Ending.

    def _complete(self) -> None:
        """Close the batch, unless something of it still runs elsewhere: then its runner will."""
        if (self.batch.is_mine or self.batch.is_open) and not self.tally.elsewhere:
            self.batch.complete()

    def _interrupt(self, outcomes: Iterable[Outcome]) -> None:
        """Record how everything in flight ended, and that somebody stopped the batch."""
        reason = self.batch.stop_reason or "interrupted"
        self._end(outcomes, reason)
        if self.batch.is_mine:
            self.batch.cancel(reason)

    def _give_up(self, outcomes: Iterable[Outcome], error: QuantumForgeError) -> None:
        """Record the same of a run that cannot go on, as far as the database still listens."""
        try:
            self._end(outcomes, "its runner could not continue")
            if self.batch.is_mine:
                self.batch.fail(str(error))
        except QuantumForgeError:
            return  # what is not recorded now, the next run will find abandoned

    def _end(self, tasks: Iterable[Outcome], reason: str) -> None:
        # Those of records that were being identified are nobody's: the next run reads them again.
        self._finish((each for each in tasks if each.task_id in self._running), stopped=True)
        for running in list(self._running.values()):
            lost = outcomes.lost(running.attempt, reason)
            try:
                self.recorder.record_all(self._of(running.attempt, lost, running.version))
            except VersionConflict:
                self._count_overruled(running)
            else:
                self.batch.ended(running.attempt.calculation_id, has_result=False, is_lost=True)
        self._running.clear()

    # Counting and recording.

    def _count(self, running: _InFlight, outcome: Outcome) -> None:
        match outcome:
            case Completed():
                self.tally.completed += 1
                if outcome.geometry_warning is not None:
                    self.tally.add_warnings(running.source, [outcome.geometry_warning])
                self._on_input(True)
            case Invalidated(reason=reason):
                self._count_problem(running.source, "invalidated", reason, None)
            case _:
                failure = outcome.failure
                kind = "lost" if isinstance(outcome, Lost) else "failed"
                self._count_problem(running.source, kind, failure.message, failure.error_type)

    def _count_overruled(self, running: _InFlight) -> None:
        reason = "another runner recorded it as lost before it ended"
        self._count_problem(running.source, "lost", reason, ErrorType.COMPUTE_LOST)

    def _count_problem(self, source: Input, kind: str, reason: str, error_type: str | None) -> None:
        self.tally.add_problem(source, kind, reason, error_type)
        self._on_input(False)

    def _of(self, attempt: Attempt, event: Event, version: int) -> NewEvent:
        return self.recorder.new(attempt.calculation_id, event, expected_version=version)


def _input_text(candidate: Candidate) -> str | None:
    """Facts that a later attempt needs and that only this record holds."""
    if candidate.molecule is None:
        return candidate.source.source
    geometry = candidate.source.geometry
    return None if geometry is None else geometry.xyz_text()
