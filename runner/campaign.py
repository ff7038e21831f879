"""Runs xTB on the molecules of a file and records every step."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

import msgspec

from eventstore.envelope import NewEvent, Stream
from eventstore.errors import VersionConflict
from eventstore.ids import batch_id
from eventstore.read import read_stream
from eventstore.recorder import Recorder
from runner import narrative
from runner.engine import program_version
from runner.errors import CampaignInterrupted
from runner.inputs import read_inputs
from runner.narrative import Attempt
from runner.plan import Plan
from runner.records import Input
from runner.tasks import Completed, Outcome, Task
from runner.triage import Candidate, Standing, triage
from runner.workers import WorkerPool
from schema.events import Event
from schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchItemReused,
    BatchItemsAdded,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
)

CHUNK = 100
"""Inputs that are looked up in the log together."""

PROGRESS_SECONDS = 5.0
"""How often a running batch records how far it has come."""

PROGRAM = "tblite"


class Tally(msgspec.Struct):
    """What became of the inputs; their sum is the number of inputs read.

    before: completed in an earlier run. failed, lost, invalidated: in this run or, where no retry
    could help, in an earlier one. elsewhere: running in another process now.
    """

    completed: int = 0
    before: int = 0
    failed: int = 0
    lost: int = 0
    invalidated: int = 0
    duplicates: int = 0
    elsewhere: int = 0

    @property
    def successful(self) -> int:
        """Calculations that have a result."""
        return self.completed + self.before

    @property
    def unsuccessful(self) -> int:
        """Calculations that have none."""
        return self.failed + self.lost + self.invalidated

    @property
    def inputs(self) -> int:
        """Every input accounted for so far."""
        return self.successful + self.unsuccessful + self.duplicates + self.elsewhere


class Campaign:
    """One run over one file.

    Args:
        recorder: appends on behalf of the tenant and the user.
        plan: what to compute.
        path: the file of molecules.
        total: how many inputs will be read.
        jobs: how many worker processes.
        limit: read at most so many inputs.
        on_input: called for each input that is accounted for, with whether it has a result.
        function: what the workers run, as `module:name`.
    """

    def __init__(
        self,
        recorder: Recorder,
        plan: Plan,
        path: Path,
        *,
        total: int,
        jobs: int,
        limit: int | None = None,
        on_input: Callable[[bool], None] = lambda _: None,
        function: str = "runner.calculation:calculate",
    ) -> None:
        self.recorder = recorder
        self.plan = plan
        self.batch_id = batch_id(recorder.tenant_id, plan.batch)
        self.tally = Tally()
        self._inputs = read_inputs(path, limit=limit)
        self._total = total
        self._jobs = jobs
        self._on_input = on_input
        self._function = function
        self._program_version = program_version()
        self._seen: set[UUID] = set()
        self._members: set[UUID] = set()
        self._begun = False
        self._known = False
        self._ready: deque[Candidate] = deque()
        self._running: dict[UUID, tuple[Attempt, int]] = {}
        self._reported = datetime.now(UTC)

    def run(self) -> Tally:
        """Run what has not completed, and return what became of each input.

        Raises:
            CampaignInterrupted: on Ctrl-C or SIGTERM, after what was in flight is recorded as lost.
        """
        self._load_batch()
        with WorkerPool(self._jobs, function=self._function) as pool:
            try:
                while self._fill(pool) or self._running:
                    self._finish(pool.wait(timeout=1.0))
            except (KeyboardInterrupt, SystemExit) as signal:
                self._interrupt(pool.kill_all())
                raise CampaignInterrupted(self.tally.inputs, self._total) from signal
        if self._begun:
            self.recorder.record(
                self._of_batch(
                    BatchCompleted(
                        total_count=self.tally.successful + self.tally.unsuccessful,
                        successful_count=self.tally.successful,
                        failed_count=self.tally.unsuccessful,
                    )
                )
            )
        return self.tally

    def _load_batch(self) -> None:
        stream = Stream(self.recorder.tenant_id, "batch", self.batch_id)
        with self.recorder.engine.connect() as connection:
            for event in read_stream(connection, stream):
                self._known = True
                if event.event_type == BatchItemsAdded.event_type:
                    self._members.update(map(UUID, event.data["molecule_ids"]))

    # Looking up: inputs become candidates, chunk by chunk, only as fast as they are run.

    def _fill(self, pool: WorkerPool) -> bool:
        """Give every free worker something to do; False when there is nothing left to give."""
        while len(pool.in_flight()) + pool.queued() < self._jobs:
            if not self._ready and not self._look_up():
                return False
            if self._ready:
                self._start(pool, self._ready.popleft())
        return True

    def _look_up(self) -> bool:
        chunk = list(islice(self._inputs, CHUNK))
        if not chunk:
            return False
        # Another runner may create the same molecules at the same moment: then look again.
        for _ in range(10):
            candidates = self._triaged(chunk)
            try:
                self._join(candidates)
                break
            except VersionConflict as conflict:
                last = conflict
        else:
            raise last
        for candidate in candidates:
            self._sort(candidate)
        return True

    def _triaged(self, chunk: Sequence[Input]) -> list[Candidate]:
        with self.recorder.engine.connect() as connection:
            return triage(connection, self.recorder.tenant_id, self.plan, chunk, datetime.now(UTC))

    def _join(self, candidates: Sequence[Candidate]) -> None:
        """Record, in one append, the molecules and batch members that a chunk brings."""
        events: list[NewEvent] = []
        joined: dict[UUID, Candidate] = {}
        creating: set[UUID] = set()
        for candidate in candidates:
            molecule, its_id = candidate.molecule, candidate.molecule_id
            if molecule is None or its_id is None:
                continue
            if candidate.molecule_version is not None and its_id not in creating:
                creating.add(its_id)
                events.append(
                    self.recorder.new(
                        its_id,
                        narrative.created(molecule),
                        expected_version=candidate.molecule_version,
                    )
                )
            if its_id not in self._members:
                joined.setdefault(its_id, candidate)
        if joined:
            events.append(self._of_batch(BatchItemsAdded(molecule_ids=list(joined))))
        events += [
            self._of_batch(
                BatchItemReused(molecule_id=its_id, calculation_id=candidate.calculation_id)
            )
            for its_id, candidate in joined.items()
            if candidate.standing is Standing.COMPLETED
        ]
        if events:
            self.recorder.record(*self._beginning(), *events)
            self._begun = True
            self._members.update(joined)

    def _sort(self, candidate: Candidate) -> None:
        if candidate.calculation_id in self._seen:
            self.tally.duplicates += 1
            self._on_input(True)
            return
        self._seen.add(candidate.calculation_id)
        match candidate.standing:
            case Standing.COMPLETED:
                self.tally.before += 1
            case Standing.FAILED:
                self.tally.failed += 1
            case Standing.INVALIDATED:
                self.tally.invalidated += 1
            case Standing.RUNNING:
                self.tally.elsewhere += 1
            case Standing.TO_RUN | Standing.ABANDONED:
                self._ready.append(candidate)
                return
        self._on_input(candidate.standing in (Standing.COMPLETED, Standing.RUNNING))

    # Running: an attempt is recorded before a worker has it, and again when it ends.

    def _start(self, pool: WorkerPool, candidate: Candidate) -> None:
        # All events of one stream in one append expect the version before the first of them.
        events: list[NewEvent] = []
        version = candidate.version
        earlier = candidate.earlier
        if candidate.standing is Standing.ABANDONED:
            abandoned = self._attempt(candidate, earlier)
            reason = "its runner ended without recording a result"
            events.append(self._of(abandoned, narrative.lost(abandoned, reason), version))
            earlier = (
                *earlier,
                {
                    "attempt": abandoned.number,
                    "error_type": "compute_lost",
                    "error_message": reason,
                    "at": datetime.now(UTC).isoformat(),
                },
            )
        attempt = self._attempt(candidate, earlier)
        begun = narrative.started(
            attempt,
            self.plan,
            program=PROGRAM,
            program_version=self._program_version,
            molecule=candidate.molecule,
            input_text=None if candidate.molecule else candidate.source.source,
        )
        events.append(self._of(attempt, begun, version))
        if candidate.unreadable is not None:
            failure = narrative.failed(attempt, candidate.unreadable)
            events.append(self._of(attempt, failure, version))
        try:
            self.recorder.record(*self._beginning(), *events)
        except VersionConflict:
            # Another runner began it since it was looked up.
            self.tally.elsewhere += 1
            self._on_input(True)
            return
        self._begun = True
        if candidate.unreadable is not None or candidate.molecule is None:
            self.tally.failed += 1
            self._on_input(False)
            return
        self._running[attempt.calculation_id] = (attempt, version + len(events))
        pool.submit(
            Task(
                id=attempt.calculation_id,
                smiles=candidate.molecule.smiles,
                geometry=candidate.source.geometry,
                charge=candidate.molecule.charge,
                multiplicity=candidate.molecule.multiplicity,
                method=self.plan.method,
                solvent=self.plan.solvent,
                timeout_s=self.plan.timeout_seconds,
            )
        )

    def _attempt(self, candidate: Candidate, earlier: tuple[dict[str, object], ...]) -> Attempt:
        return Attempt(
            calculation_id=candidate.calculation_id,
            molecule_id=candidate.molecule_id,
            batch_id=self.batch_id,
            number=len(earlier) + 1,
            earlier=earlier,
        )

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            attempt, version = self._running.pop(outcome.task_id)
            try:
                self.recorder.record(self._of(attempt, narrative.ended(attempt, outcome), version))
            except VersionConflict:
                # Somebody recorded this attempt as lost meanwhile; the record stands.
                self.tally.lost += 1
                self._on_input(False)
                continue
            self._count(outcome)
        now = datetime.now(UTC)
        if (now - self._reported).total_seconds() >= PROGRESS_SECONDS:
            self._reported = now
            self.recorder.record(
                self._of_batch(
                    BatchProgressed(
                        successful_count=self.tally.successful,
                        failed_count=self.tally.unsuccessful,
                    )
                )
            )

    def _count(self, outcome: Outcome) -> None:
        name = type(outcome).__name__.lower()
        setattr(self.tally, name, getattr(self.tally, name) + 1)
        self._on_input(isinstance(outcome, Completed))

    def _interrupt(self, outcomes: Sequence[Outcome]) -> None:
        """Record, in one append, how everything in flight ended, and that the batch stopped."""
        events = []
        for outcome in outcomes:
            attempt, version = self._running.pop(outcome.task_id)
            events.append(self._of(attempt, narrative.ended(attempt, outcome), version))
            self._count(outcome)
        for attempt, version in self._running.values():
            reason = "interrupted before a worker had it"
            events.append(self._of(attempt, narrative.lost(attempt, reason), version))
            self.tally.lost += 1
        if self._begun:
            events.append(
                self._of_batch(
                    BatchCancelled(
                        reason="interrupted",
                        successful_count=self.tally.successful,
                        failed_count=self.tally.unsuccessful,
                    )
                )
            )
        if events:
            self.recorder.record(*events)

    # Events.

    def _beginning(self) -> Iterator[NewEvent]:
        """What the batch's first append of this run begins with; nothing later."""
        if self._begun:
            return
        if self._known:
            yield self._of_batch(BatchResumed(total_count=self._total))
            return
        yield self.recorder.new(
            self.batch_id,
            BatchStarted(
                name=self.plan.batch, parameters=self.plan.parameters(), total_count=self._total
            ),
        )

    def _of_batch(self, event: Event) -> NewEvent:
        return self.recorder.new(self.batch_id, event)

    def _of(self, attempt: Attempt, event: Event, version: int) -> NewEvent:
        return self.recorder.new(attempt.calculation_id, event, expected_version=version)
