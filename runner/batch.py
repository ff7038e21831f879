"""The bookkeeping of a batch: who belongs to it, and when it begins, goes on and ends."""

from collections.abc import Iterable
from uuid import UUID

from eventstore.envelope import NewEvent, RecordedEvent, Stream
from eventstore.ids import batch_id
from eventstore.read import read_stream
from eventstore.recorder import Recorder
from runner.plan import Plan
from runner.tally import Tally
from runner.triage import Candidate, Standing
from schema.events import Event
from schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchFailed,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
)

NO_SECOND_RUN = {
    Standing.COMPLETED: BatchItemReused,
    Standing.FAILED: BatchItemRefused,
    Standing.INVALIDATED: BatchItemRefused,
}


class Batch:
    """A batch as the log tells it, and the events that a run adds to it.

    Nothing is kept here that was not read from the log: several runners may work at one batch, and
    each reads what the others recorded before it appends.

    Args:
        recorder: appends on behalf of the tenant and the user.
        plan: names the batch and its settings.
        total: how many inputs this run will account for.
        workers: how many processes compute at once.
    """

    def __init__(self, recorder: Recorder, plan: Plan, total: int, workers: int) -> None:
        self.id = batch_id(recorder.tenant_id, plan.batch)
        self.is_open = False
        """Begun, by anyone, and not completed."""
        self.is_mine = False
        """This run has recorded something of it."""
        self._recorder = recorder
        self._plan = plan
        self._total = total
        self._workers = workers
        self._version = 0
        self._members: set[UUID] = set()
        self._settled: set[UUID] = set()

    def refresh(self) -> None:
        """Read what was recorded of the batch since the last time."""
        stream = Stream(self._recorder.tenant_id, "batch", self.id)
        with self._recorder.engine.connect() as connection:
            for event in read_stream(connection, stream, after_version=self._version):
                self._read(event)

    def welcoming(self, candidates: Iterable[Candidate]) -> list[NewEvent]:
        """What a chunk of candidates makes of the batch; nothing, when it changes nothing.

        To be appended as it is: it expects the version at which the batch was last read.
        """
        newcomers: dict[UUID, None] = {}
        settled: dict[UUID, Event] = {}
        has_work = False
        for candidate in candidates:
            has_work |= candidate.standing in (Standing.TO_RUN, Standing.ABANDONED)
            if candidate.molecule_id is None:
                continue
            if candidate.molecule_id not in self._members:
                newcomers[candidate.molecule_id] = None
            if (event := self._settling(candidate)) is not None:
                settled[candidate.calculation_id] = event
        events: list[Event] = []
        if newcomers:
            events.append(BatchItemsAdded(molecule_ids=list(newcomers)))
        events += settled.values()
        if not self.is_mine and (events or has_work):
            events.insert(0, self._beginning())
        return [self._new(event, self._version) for event in events]

    def progressed(self, tally: Tally) -> NewEvent:
        """How far it has come."""
        return self._new(
            BatchProgressed(
                successful_count=tally.successful,
                failed_count=tally.unsuccessful,
            )
        )

    def completed(self, tally: Tally) -> NewEvent:
        """Every input is accounted for."""
        return self._new(
            BatchCompleted(
                total_count=tally.successful + tally.unsuccessful,
                successful_count=tally.successful,
                failed_count=tally.unsuccessful,
            )
        )

    def cancelled(self, tally: Tally, reason: str) -> NewEvent:
        """Somebody stopped the run."""
        return self._new(
            BatchCancelled(
                reason=reason,
                successful_count=tally.successful,
                failed_count=tally.unsuccessful,
            )
        )

    def failed(self, tally: Tally, error: str) -> NewEvent:
        """The run could not go on."""
        return self._new(
            BatchFailed(
                error_message=error,
                successful_count=tally.successful,
                failed_count=tally.unsuccessful,
            )
        )

    def _read(self, event: RecordedEvent) -> None:
        self._version = event.version
        match event.event_type:
            case BatchItemsAdded.event_type:
                self._members.update(map(UUID, event.data["molecule_ids"]))
            case BatchItemReused.event_type | BatchItemRefused.event_type:
                self._settled.add(UUID(event.data["calculation_id"]))
            case BatchStarted.event_type | BatchResumed.event_type:
                self.is_open = True
            case BatchCompleted.event_type:
                self.is_open = False

    def _settling(self, candidate: Candidate) -> Event | None:
        """How an item ends whose calculation ended in another batch; None for the others."""
        decision = NO_SECOND_RUN.get(candidate.standing)
        if (
            decision is None
            or candidate.molecule_id is None
            or candidate.batch_id == self.id
            or candidate.calculation_id in self._settled
        ):
            return None
        if decision is BatchItemReused:
            return BatchItemReused(
                molecule_id=candidate.molecule_id, calculation_id=candidate.calculation_id
            )
        return BatchItemRefused(
            molecule_id=candidate.molecule_id,
            calculation_id=candidate.calculation_id,
            reason=candidate.reason or "no result, and none to be had by another try",
        )

    def _beginning(self) -> Event:
        if self._version:
            return BatchResumed(total_count=self._total, workers=self._workers)
        return BatchStarted(
            name=self._plan.batch,
            parameters=self._plan.parameters(),
            total_count=self._total,
            workers=self._workers,
        )

    def _new(self, event: Event, expected_version: int | None = None) -> NewEvent:
        return self._recorder.new(self.id, event, expected_version=expected_version)
