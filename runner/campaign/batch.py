"""Bookkeeping of a batch: members, beginning, progress, end."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

import msgspec
from msgspec import UNSET

from quantum_forge.eventstore.base.envelope import NewEvent, RecordedEvent
from quantum_forge.eventstore.base.errors import RuleBroken
from quantum_forge.eventstore.database.availability.outage import AWAY
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign.outcomes import storable
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.triage import CalculationState, Candidate
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.domains.batches import (
    NAME_LENGTH,
    BatchCancelled,
    BatchCompleted,
    BatchFailed,
    BatchItem,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchItemsEvent,
    BatchItemsNamed,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
    BatchStopRequested,
)
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRestored,
    CalculationRetryScheduled,
    ValueSource,
)
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.lifecycle import NEW

LOOKED_UP_TOGETHER = 1_000
LOOKED_UP_IN_PASSING = 10_000
"""Calculations of which it is looked up in one go how they ended: a fraction of a second."""

ENDS = {
    CalculationCompleted.event_type: True,
    CalculationFailed.event_type: False,
    CalculationLost.event_type: False,
    CalculationInvalidated.event_type: False,
    CalculationRestored.event_type: True,
    CalculationRetryScheduled.event_type: False,
}
"""Events after which a calculation has ended, and whether it then has a result."""

DECIDING = [
    name
    for name, rule in LIFECYCLES[CalculationCompleted.entity_type].rules.items()
    if rule.then is not None
]
"""Events that change the state of a calculation."""

RULES = LIFECYCLES[BatchStarted.entity_type].rules
"""Which events of a batch lead to which state."""

NO_SECOND_RUN = {
    CalculationState.COMPLETED: BatchItemReused,
    CalculationState.FAILED: BatchItemRefused,
    CalculationState.INVALIDATED: BatchItemRefused,
}


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Items of a batch: all of them, those that have a result, and those that ended without."""

    items: int
    successful: int
    failed: int

    def total_of(self, inputs: int) -> int:
        """The items that there will be at least, when a run has read so many inputs."""
        return max(self.items, inputs)


class Batch:
    """A batch as the log tells it, and the events that a run adds to it.

    Several runners may work at one batch, with the same file or others, and each reads what the
    others recorded before it appends. The items of a batch are the calculations that its inputs ask
    for, whichever batch computes them; its counts are of all of them.

    Args:
        recorder: appends on behalf of the tenant and the user.
        plan: names the batch and its settings.
        total: how many inputs this run will account for.
        workers: how many processes compute at once.
    """

    def __init__(self, recorder: Recorder, plan: Plan, total: int, workers: int) -> None:
        self.id = plan.batch_id(recorder.tenant_id)
        self.state = NEW
        """By its lifecycle, when it was last read."""
        self.is_mine = False
        """This run has recorded something of it."""
        self.stop_reason: str | None = None
        """Why somebody asked the runners of the batch to stop, since this run began to record."""
        self._recorder = recorder
        self._plan = plan
        self._total = total
        self._workers = workers
        self._version = 0
        self._project: UUID | None = None
        """That its molecules join, as far as it was read."""
        self._names: dict[UUID, set[str]] = {}
        """The names of each of its calculations."""
        self._assumed: dict[UUID, set[str]] = {}
        """The sources that say `assumed`, of its calculations that have any."""
        self._settled: set[UUID] = set()
        self._outcomes: dict[UUID, bool] = {}
        """Whether a calculation has a result, of those of which it is known how they ended."""
        self._lost: set[UUID] = set()
        """Those that were lost: interrupted, for example, and to be computed by the next run."""

    @property
    def is_open(self) -> bool:
        """Begun, by anyone, and not completed, when it was last read."""
        return self.state not in (NEW, "pending", "completed")

    def refresh(self) -> None:
        """Read what was recorded of the batch since the last time."""
        with self._recorder.reading() as log:
            for event in log.stream("batch", self.id, after_version=self._version):
                self._read(event)

    def welcoming(self, candidates: Iterable[Candidate]) -> list[NewEvent]:
        """What a chunk of candidates makes of the batch; nothing, when it changes nothing.

        To be appended as it is: it expects the version at which the batch was last read.
        """
        added: dict[UUID, BatchItem] = {}
        named: dict[tuple[UUID, str], BatchItem] = {}
        stated: dict[UUID, BatchItem] = {}
        settled: dict[UUID, Event] = {}
        has_work = False
        for candidate in candidates:
            its_id = candidate.calculation_id
            has_work |= candidate.state in (CalculationState.TO_RUN, CalculationState.ABANDONED)
            item = _item(candidate)
            if its_id not in self._names and its_id not in added:
                added[its_id] = item
            else:
                if item.name and not self._has_name(its_id, item.name, added.get(its_id)):
                    named[its_id, item.name] = _without_sources(item)
                if self._assumed.get(its_id, set()) & _sources(item, ValueSource.GIVEN):
                    stated[its_id] = msgspec.structs.replace(item, name=UNSET)
            if candidate.state in NO_SECOND_RUN:
                self.ended(its_id, has_result=candidate.state is CalculationState.COMPLETED)
            if (event := self._settling(candidate)) is not None:
                settled[its_id] = event
        events: list[Event] = []
        if added:
            events.append(BatchItemsAdded(items=list(added.values())))
        if named or stated:
            events.append(BatchItemsNamed(items=[*named.values(), *stated.values()]))
        events += settled.values()
        # Another runner may have ended it meanwhile.
        is_begun = self.is_mine and self.state == "processing"
        joins = self._plan.project_id not in (None, self._project)
        if joins or (not is_begun and (events or has_work)):
            events.insert(0, self._beginning())
        return [self._new(event, self._version) for event in events]

    def ended(self, calculation_id: UUID, *, has_result: bool, is_lost: bool = False) -> None:
        """Take note of how a calculation of this run ended."""
        self._outcomes[calculation_id] = has_result
        if is_lost:
            self._lost.add(calculation_id)
        else:
            self._lost.discard(calculation_id)

    def progressed(self) -> NewEvent | None:
        """How far it has come; None while there is more to look up than can be done in passing."""
        if not self._look_up(LOOKED_UP_IN_PASSING):
            return None
        counts = self._counts()
        return self._new(
            BatchProgressed(
                total_count=counts.total_of(self._total),
                successful_count=counts.successful,
                failed_count=counts.failed,
            )
        )

    def complete(self) -> None:
        """Record that every input is accounted for; what is lost by now has failed."""
        counts = self._counted(lost_failed=True)
        self._end(
            BatchCompleted(
                total_count=counts.items,
                successful_count=counts.successful,
                failed_count=counts.failed,
            )
        )

    def cancel(self, reason: str) -> None:
        """Record that somebody stopped the run."""
        counts = self._counted()
        self._end(
            BatchCancelled(
                reason=reason,
                total_count=counts.total_of(self._total),
                successful_count=counts.successful,
                failed_count=counts.failed,
            )
        )

    def fail(self, error: str) -> None:
        """Record that the run could not go on."""
        counts = self._counted()
        self._end(
            BatchFailed(
                error_message=error,
                total_count=counts.total_of(self._total),
                successful_count=counts.successful,
                failed_count=counts.failed,
            )
        )

    def _end(self, event: Event) -> None:
        """Record the end of a run; what another run has ended is resumed for it."""
        ended = self._new(event)
        try:
            self._recorder.record_all(ended)
        except RuleBroken:
            total = self._counts().total_of(self._total)
            resumed = BatchResumed(total_count=total, workers=self._workers)
            self._recorder.record_all(self._new(resumed), ended)

    def _counts(self, *, lost_failed: bool = False) -> "_Counts":
        successful = sum(self._outcomes.values())
        ended = len(self._outcomes) if lost_failed else len(self._outcomes.keys() - self._lost)
        return _Counts(
            items=len(self._names.keys() | self._outcomes.keys()),
            successful=successful,
            failed=ended - successful,
        )

    def _counted(self, *, lost_failed: bool = False) -> "_Counts":
        """The counts now; as far as this run knows, if the database does not answer."""
        with suppress(*AWAY):
            self.refresh()
            # What failed may have been repeated by another runner.
            mine = self._outcomes
            self._outcomes = {its_id: True for its_id, has_result in mine.items() if has_result}
            try:
                self._look_up()
            finally:
                self._outcomes = {**mine, **self._outcomes}
        return self._counts(lost_failed=lost_failed)

    def _look_up(self, at_most: int = sys.maxsize) -> bool:
        """Find out how items ended of which it is not known; false when there are more of them."""
        unknown = [its_id for its_id in self._names if its_id not in self._outcomes]
        with self._recorder.reading() as log:
            for start in range(0, min(len(unknown), at_most), LOOKED_UP_TOGETHER):
                some = unknown[start : min(start + LOOKED_UP_TOGETHER, at_most)]
                types = log.last_event_types("calculation", some, DECIDING)
                for its_id, event_type in types.items():
                    if event_type in ENDS:
                        is_lost = event_type == CalculationLost.event_type
                        self.ended(its_id, has_result=ENDS[event_type], is_lost=is_lost)
        return len(unknown) <= at_most

    def _has_name(self, calculation_id: UUID, name: str, added: BatchItem | None) -> bool:
        if added is not None:
            return added.name == name
        return name in self._names[calculation_id]

    def _read(self, event: RecordedEvent) -> None:
        self._version = event.version
        if (rule := RULES.get(event.event_type)) is not None and rule.then is not None:
            self.state = rule.then
        if (project := event.data.get("project_id")) is not None:
            self._project = UUID(project)
        match event.event_type:
            case BatchItemsAdded.event_type | BatchItemsNamed.event_type:
                told = event.event
                assert isinstance(told, BatchItemsEvent)
                for item in told.items:
                    names = self._names.setdefault(item.calculation_id, set())
                    if item.name:
                        names.add(item.name)
                    assumed = self._assumed.pop(item.calculation_id, set())
                    assumed -= _sources(item, ValueSource.GIVEN)
                    if assumed := assumed | _sources(item, ValueSource.ASSUMED):
                        self._assumed[item.calculation_id] = assumed
            case BatchStopRequested.event_type if self.is_mine:
                self.stop_reason = event.data["reason"]
            case BatchItemReused.event_type | BatchItemRefused.event_type:
                self._settled.add(UUID(event.data["calculation_id"]))

    def _settling(self, candidate: Candidate) -> Event | None:
        """How an item ends whose calculation ended in another batch; None for the others."""
        decision = NO_SECOND_RUN.get(candidate.state)
        if (
            decision is None
            or candidate.batch_id == self.id
            or candidate.calculation_id in self._settled
        ):
            return None
        if decision is BatchItemReused and candidate.molecule_id is not None:
            return BatchItemReused(
                molecule_id=candidate.molecule_id, calculation_id=candidate.calculation_id
            )
        return BatchItemRefused(
            molecule_id=candidate.molecule_id,
            calculation_id=candidate.calculation_id,
            reason=candidate.reason or "no result, and another attempt would not give one",
        )

    def _beginning(self) -> Event:
        project = UNSET if self._plan.project_id is None else self._plan.project_id
        if self._version:
            total = self._counts().total_of(self._total)
            return BatchResumed(total_count=total, workers=self._workers, project_id=project)
        return BatchStarted(
            name=self._plan.batch,
            parameters=self._plan.parameters(),
            source=UNSET if self._plan.source is None else self._plan.source,
            total_count=self._total,
            workers=self._workers,
            project_id=project,
        )

    def _new(self, event: Event, expected_version: int | None = None) -> NewEvent:
        return self._recorder.new(self.id, event, expected_version=expected_version)


def _item(candidate: Candidate) -> BatchItem:
    name, molecule = candidate.source.name, candidate.molecule
    return BatchItem(
        calculation_id=candidate.calculation_id,
        molecule_id=candidate.molecule_id,
        name=storable(name)[:NAME_LENGTH] if name else UNSET,
        charge_source=molecule.charge_source if molecule else UNSET,
        multiplicity_source=molecule.multiplicity_source if molecule else UNSET,
    )


def _without_sources(item: BatchItem) -> BatchItem:
    return msgspec.structs.replace(item, charge_source=UNSET, multiplicity_source=UNSET)


def _sources(item: BatchItem, source: ValueSource) -> set[str]:
    """Return which of the two sources of an item are this one."""
    both = {"charge": item.charge_source, "multiplicity": item.multiplicity_source}
    return {name for name, its in both.items() if its is source}
