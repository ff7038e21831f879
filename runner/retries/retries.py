"""Tries failed calculations again, when their time has come, until they have failed often enough.

Nothing is remembered but what the log says: a run that is killed is gone on with by the next one.
"""

import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import RuleBroken, VersionConflict
from quantum_forge.eventstore.database.availability.clock import ServerClock
from quantum_forge.eventstore.database.availability.outage import PATIENCE, Patience, Trouble
from quantum_forge.eventstore.recording.log_reader import LogReader
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign import outcomes
from quantum_forge.runner.campaign.outcomes import Attempt
from quantum_forge.runner.engines.check import program_version
from quantum_forge.runner.engines.tasks import Completed, Outcome, Task
from quantum_forge.runner.retries.backoff import Backoff
from quantum_forge.runner.retries.failed_calculations import (
    FailedCalculation,
    Verdict,
    read_failed,
)
from quantum_forge.runner.retries.repetition import Unrepeatable, read_molecules, repetition
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.runner.workers.stopping import ATTENTION_SECONDS, StopRequest
from quantum_forge.schema.domains.batches import BatchCompleted, BatchResumed
from quantum_forge.schema.domains.calculations import (
    CalculationGivenUp,
    CalculationRetryScheduled,
    ErrorType,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated
from quantum_forge.schema.language.event import Event

LOOK_SECONDS = 2.0
"""Seconds between two searches for calculations that failed in other processes."""

OVERRULED = (VersionConflict, RuleBroken)
"""Another process did something to the same calculation first; what it did stands."""


class Retried(msgspec.Struct, kw_only=True):
    """What a run did.

    scheduled: retries that got their time. attempts: that ran; completed: that had a result.
    impossible: calculations that cannot be repeated from the log, and why; they keep their status.
    waiting: scheduled for later, the next ones first. given_up: failed too often, or impossible.
    signal: that ended the run, if one did.
    """

    scheduled: int = 0
    attempts: int = 0
    completed: int = 0
    impossible: dict[UUID, str] = msgspec.field(default_factory=dict)
    waiting: list[FailedCalculation] = msgspec.field(default_factory=list)
    given_up: list[FailedCalculation] = msgspec.field(default_factory=list)
    signal: int | None = None


def find_failed(log: LogReader, backoff: Backoff) -> list[FailedCalculation]:
    """Every calculation that failed and could be tried again, or could have been."""
    return read_failed(log, log.retry_candidates(), backoff, now=log.server_time())


class Retries:
    """One run over what failed.

    Several may run at once, beside campaigns: each attempt is begun by one.

    Args:
        recorder: appends on behalf of the tenant and the user, without a spool.
        backoff: how often, and after how long.
        jobs: how many worker processes.
        timeout_seconds: of an attempt, in s; None: what the calculation had before.
        on_attempt: called for each attempt that ended, with whether it has a result.
        on_trouble: see `Trouble` in eventstore/database/availability/outage.py: the database is
            away, or refuses for a while.
        function: what the workers run, as `module:name`.
        draw: gives the random numbers of the jitter.
    """

    def __init__(
        self,
        recorder: Recorder,
        backoff: Backoff,
        *,
        jobs: int,
        timeout_seconds: float | None = None,
        on_attempt: Callable[[FailedCalculation, bool], None] = lambda *_: None,
        on_trouble: Trouble = lambda _: None,
        function: str = "quantum_forge.runner.engines.calculation:calculate",
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.recorder = recorder
        self.backoff = backoff
        self.done = Retried()
        self._jobs = jobs
        self._timeout = timeout_seconds
        self._on_attempt = on_attempt
        self._on_trouble = on_trouble
        self._patience = Patience(PATIENCE, on_trouble=on_trouble)
        self._function = function
        self._draw = draw
        self._running: dict[UUID, tuple[FailedCalculation, Attempt, int]] = {}
        self._clock = ServerClock()

    def run(self, *, follow: bool = False) -> Retried:
        """Schedule what failed, and run what is due; `follow`: wait for the rest, until Ctrl-C."""
        with StopRequest() as stop, WorkerPool(self._jobs, function=self._function) as pool:
            self._patience = Patience(
                None if follow else PATIENCE, stop=lambda: bool(stop), on_trouble=self._on_trouble
            )
            looked = 0.0
            known: list[FailedCalculation] = []
            while not stop:
                if time.monotonic() - looked >= LOOK_SECONDS or not looked:
                    known = self._scheduled(self._find())
                    looked = time.monotonic()
                due = self._due(known)
                while due and len(self._running) < self._jobs and not stop:
                    self._start(pool, due.pop())
                if self._running:
                    outcomes = pool.wait(timeout=ATTENTION_SECONDS)
                    known = self._renewed(known, self._finished(outcomes))
                elif not self._due(known):
                    if not follow:
                        break
                    time.sleep(ATTENTION_SECONDS)
            self._finished(pool.kill_all())
            self.done.signal = stop.signal
        known = self._find()
        self.done.waiting = sorted(
            (each for each in known if each.verdict in (Verdict.WAITING, Verdict.DUE)),
            key=lambda each: each.retry_at or datetime.max.replace(tzinfo=UTC),
        )
        self.done.given_up = [each for each in known if each.verdict is Verdict.GIVEN_UP]
        self.done.impossible |= {
            each.calculation_id: each.reason for each in known if each.reason is not None
        }
        return self.done

    # What there is to do

    def _find(self) -> list[FailedCalculation]:
        return self._asked(lambda log: find_failed(log, self.backoff))

    def _read(self, ids: Iterable[UUID]) -> list[FailedCalculation]:
        """How these calculations stand now."""
        wanted = list(ids)
        return self._asked(
            lambda log: read_failed(log, wanted, self.backoff, now=self._clock.now())
        )

    def _asked(
        self, question: Callable[[LogReader], list[FailedCalculation]]
    ) -> list[FailedCalculation]:
        """Read the state from the log; waits for a database that is unreachable."""

        def ask() -> list[FailedCalculation]:
            with self.recorder.reading() as log:
                self._clock.note(log.server_time())
                return question(log)

        return self._patience.persist(ask)

    def _record(self, *events: NewEvent) -> None:
        """Record events, which may be repeated: the log knows their ids."""
        self._patience.persist(lambda: self.recorder.record_all(*events))

    def _due(self, known: Iterable[FailedCalculation]) -> list[FailedCalculation]:
        """Calculations that can be started now, the longest overdue last."""
        now = self._clock.now()
        due = [
            each
            for each in known
            if each.verdict in (Verdict.WAITING, Verdict.DUE)
            and each.retry_at is not None
            and each.retry_at <= now
            and each.calculation_id not in self._running
            and each.calculation_id not in self.done.impossible
        ]
        return sorted(due, key=lambda each: each.retry_at or now, reverse=True)

    def _renewed(
        self, known: list[FailedCalculation], ended: list[UUID]
    ) -> list[FailedCalculation]:
        """The same, with what the log says now of the attempts that ended."""
        if not ended:
            return known
        again = self._read(ended)
        others = [each for each in known if each.calculation_id not in ended]
        return [*others, *self._scheduled(again)]

    def _scheduled(self, known: Iterable[FailedCalculation]) -> list[FailedCalculation]:
        """The same, after what has no time yet got one, and what has ended was recorded as that."""
        result: list[FailedCalculation] = []
        for each in known:
            try:
                if each.verdict is Verdict.ABANDONED:
                    each = self._lose(each)
                if each.verdict is Verdict.TO_SCHEDULE:
                    each = self._schedule(each)
                if each.verdict is Verdict.GIVEN_UP and each.reason is None and not each.is_told:
                    each = self._give_up(each)
            except OVERRULED:
                continue
            result.append(each)
        return result

    def _lose(self, calculation: FailedCalculation) -> FailedCalculation:
        attempt = _attempt(calculation, calculation.started.attempt)
        lost = outcomes.lost(attempt, "its runner ended without recording a result")
        self._record(self._of(calculation, lost, calculation.version))
        (again,) = self._read([calculation.calculation_id]) or [calculation]
        return again

    def _schedule(self, calculation: FailedCalculation) -> FailedCalculation:
        assert calculation.failed_at is not None
        delay = self.backoff.delay(len(calculation.earlier), self._draw())
        retry_at = calculation.failed_at + delay
        scheduled = CalculationRetryScheduled(
            molecule_id=calculation.molecule_id,
            batch_id=calculation.batch_id,
            attempt=calculation.attempt,
            retry_at=retry_at,
            delay_seconds=delay.total_seconds(),
        )
        self._record(self._of(calculation, scheduled, calculation.version))
        self.done.scheduled += 1
        return msgspec.structs.replace(
            calculation, version=calculation.version + 1, verdict=Verdict.WAITING, retry_at=retry_at
        )

    def _give_up(self, calculation: FailedCalculation) -> FailedCalculation:
        error_type = calculation.error_type or ErrorType.UNKNOWN_ERROR
        allowed = counted(self.backoff.allowed(error_type), "retry", "retries")
        given_up = CalculationGivenUp(
            molecule_id=calculation.molecule_id,
            batch_id=calculation.batch_id,
            attempt=max(1, len(calculation.earlier)),
            error_type=error_type,
            reason=f"{calculation.story}: {allowed} at most",
        )
        self._record(self._of(calculation, given_up, calculation.version))
        return msgspec.structs.replace(calculation, version=calculation.version + 1, is_told=True)

    # Attempts

    def _start(self, pool: WorkerPool, calculation: FailedCalculation) -> None:
        try:
            task = self._task(calculation)
        except Unrepeatable as reason:
            self.done.impossible[calculation.calculation_id] = str(reason)
            return
        attempt = _attempt(calculation, calculation.attempt)
        begun = msgspec.structs.replace(
            calculation.started,
            attempt=attempt.number,
            program_version=program_version(task.engine),
            timeout_seconds=task.timeout_s or calculation.started.timeout_seconds,
        )
        try:
            self._record(self._of(calculation, begun, calculation.version))
        except OVERRULED:
            return
        self._running[task.id] = (calculation, attempt, calculation.version + 1)
        pool.submit(task)

    def _task(self, calculation: FailedCalculation) -> Task:
        """What a worker needs, from the log alone.

        Raises:
            Unrepeatable: when the log does not hold it any more.
        """
        id_ = calculation.molecule_id

        def ask() -> MoleculeCreated | None:
            if id_ is None:
                return None
            with self.recorder.reading() as log:
                return read_molecules(log, [id_]).get(id_)

        return repetition(
            calculation.calculation_id,
            calculation.started,
            self._patience.persist(ask),
            timeout_seconds=self._timeout,
        )

    def _finished(self, tasks: Iterable[Outcome]) -> list[UUID]:
        """Record how attempts ended; returns whose."""
        ended = []
        for outcome in tasks:
            calculation, attempt, version = self._running.pop(outcome.task_id)
            event = outcomes.ended(attempt, outcome)
            ended.append(outcome.task_id)
            successful = isinstance(outcome, Completed)
            batch_id = calculation.batch_id if successful else None
            try:
                self._record_end(self._of(calculation, event, version), batch_id)
            except OVERRULED:
                continue
            self.done.attempts += 1
            self.done.completed += successful
            self._on_attempt(calculation, successful)
        return ended

    def _record_end(self, ended: NewEvent, batch_id: UUID | None) -> None:
        """Record how an attempt ended, and one result more in the batch, if that had completed.

        In one append: whenever this process is killed, the batch counts what there is.
        """

        def decide(log: LogReader) -> list[NewEvent]:
            known = log.last_events(ended.stream.entity_type, [ended.entity_id])
            if (latest := known.get(ended.entity_id)) and latest.event_id == ended.event_id:
                return []  # an earlier try, whose answer was lost, has recorded it
            if batch_id is None:
                return [ended]
            event = log.last_events("batch", [batch_id]).get(batch_id)
            if event is None or event.event_type != BatchCompleted.event_type:
                return [ended]  # its own runner is at it, and counts for itself
            total = event.data["total_count"]
            recounted = BatchCompleted(
                total_count=total,
                successful_count=event.data["successful_count"] + 1,
                failed_count=max(0, event.data["failed_count"] - 1),
            )
            return [
                ended,
                *(
                    self.recorder.new(batch_id, each, expected_version=event.version)
                    for each in (BatchResumed(total_count=total), recounted)
                ),
            ]

        self._patience.persist(lambda: self.recorder.decide_by_log(decide))

    def _of(self, calculation: FailedCalculation, event: Event, version: int) -> NewEvent:
        return self.recorder.new(calculation.calculation_id, event, expected_version=version)


def _attempt(calculation: FailedCalculation, number: int) -> Attempt:
    return Attempt(
        calculation_id=calculation.calculation_id,
        molecule_id=calculation.molecule_id,
        batch_id=calculation.batch_id,
        number=number,
        earlier=calculation.earlier,
    )
