"""Events that people are told of: of which kind each is, whom it concerns, and a line about it."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, tuple_

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.schema.domains.batches import BatchCompleted, BatchFailed
from quantum_forge.schema.domains.calculations import (
    CalculationFailed,
    CalculationGivenUp,
    CalculationInvalidated,
    CalculationLost,
)
from quantum_forge.schema.domains.jobs import JobFailed
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.notifications import NotificationKind
from quantum_forge.schema.domains.telemetry import PerformanceRegressionFound
from quantum_forge.schema.tables import event_logs

LONGEST_LINE = 300
"""Characters of a line about one event."""

KINDS = {
    BatchCompleted.event_type: NotificationKind.COMPLETION,
    BatchFailed.event_type: NotificationKind.FAILURE,
    CalculationFailed.event_type: NotificationKind.FAILURE,
    CalculationLost.event_type: NotificationKind.FAILURE,
    CalculationInvalidated.event_type: NotificationKind.FAILURE,
    CalculationGivenUp.event_type: NotificationKind.GIVEN_UP,
    JobFailed.event_type: NotificationKind.FAILURE,
    PerformanceRegressionFound.event_type: NotificationKind.REGRESSION,
}
"""Of what kind each event is that people are told of. No event of a notification is among them."""


class Subject(msgspec.Struct, frozen=True):
    """A batch, a job or a calculation: who began it, and its name if it has one."""

    user_id: UUID | None
    name: str | None


def kind_of(event: RecordedEvent) -> NotificationKind | None:
    """Return what an event is to be told as; None: nobody is told.

    A result that was retracted is no failure: who retracted it knows.
    """
    if event.event_type == CalculationInvalidated.event_type and event.data.get("was_completed"):
        return None
    return KINDS.get(event.event_type)


class Subjects:
    """What events are about, as the log tells of its beginning; remembered, as that never changes.

    Args:
        tenant_id: whose.
    """

    MOST = 10_000

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        self._known: dict[tuple[str, UUID], Subject] = {}

    def look_up(self, connection: Connection, events: Iterable[RecordedEvent]) -> None:
        """Read what is not known yet of the subjects of events: one query by an index."""
        if len(self._known) > self.MOST:
            self._known.clear()
        wanted = {_subject_of(event) for event in events} - self._known.keys()
        if not wanted:
            return
        c = event_logs.c
        query = select(c.entity_type, c.entity_id, c.user_id, c.data["name"].astext).where(
            c.tenant_id == self._tenant_id,
            tuple_(c.entity_type, c.entity_id).in_(sorted(wanted)),
            c.version == 1,
        )
        for entity_type, entity_id, user_id, name in connection.execute(query):
            self._known[entity_type, entity_id] = Subject(user_id, name)

    def of(self, event: RecordedEvent) -> Subject:
        """Return the subject of an event that was looked up; what is not known is left out."""
        found = self._known.get(_subject_of(event), Subject(None, None))
        return found if found.user_id else Subject(event.user_id, found.name)


def _subject_of(event: RecordedEvent) -> tuple[str, UUID]:
    """The batch of a calculation, or what the event happened to."""
    batch_id = event.data.get("batch_id")
    return ("batch", UUID(batch_id)) if batch_id else (event.entity_type, event.entity_id)


def batch_of(event: RecordedEvent, subject: Subject) -> str | None:
    """Return the name of the batch that an event is about."""
    return subject.name if _subject_of(event)[0] == "batch" else None


def error_of(event: RecordedEvent) -> str | None:
    """Return by what failures are counted."""
    match event.event_type:
        case CalculationFailed.event_type | CalculationLost.event_type:
            return str(event.data["error_type"])
        case CalculationInvalidated.event_type:
            return "refused by a physical check"
        case BatchFailed.event_type:
            return "batch"
        case JobFailed.event_type:
            return "job"
    return None


def molecule_names(connection: Connection, events: Sequence[RecordedEvent]) -> dict[UUID, str]:
    """Return the names of the molecules of events, as far as the read model has them by now."""
    ids = {UUID(id_) for event in events if (id_ := event.data.get("molecule_id"))}
    if not ids:
        return {}
    c = molecules.c
    query = select(c.id, c.name).where(
        c.tenant_id == events[0].tenant_id, c.id.in_(ids), c.name.is_not(None)
    )
    return {row.id: row.name for row in connection.execute(query)}


def line_of(event: RecordedEvent, subject: Subject, names: dict[UUID, str]) -> str:
    """Return one line about an event."""
    data = event.data
    of = f"{subject.name}: " if subject.name else ""
    molecule = names.get(UUID(data["molecule_id"])) if data.get("molecule_id") else None
    calculation = f"{molecule} ({event.entity_id})" if molecule else str(event.entity_id)
    match event.event_type:
        case BatchCompleted.event_type:
            total, successful = data["total_count"], data["successful_count"]
            failed = f", {data['failed_count']} failed" if data["failed_count"] else ""
            text = f"{of}{successful} of {total} have a result{failed}"
        case BatchFailed.event_type:
            text = f"{of}the batch cannot go on: {data['error_message']}"
        case CalculationFailed.event_type | CalculationLost.event_type:
            text = f"{calculation}: {data['error_type']}: {data['error_message']}"
        case CalculationInvalidated.event_type:
            text = f"{calculation}: refused by a physical check: {data['reason']}"
        case CalculationGivenUp.event_type:
            text = f"{calculation}: {data['reason']}"
        case JobFailed.event_type:
            text = f"job {event.entity_id}: {data.get('error_message') or 'failed'}"
        case PerformanceRegressionFound.event_type:
            text = (
                f"{data['kind']}: {data['average']:.3g} s instead of "
                f"{data['average_before']:.3g} s on {data['day']} "
                f"({', '.join(data['versions'])}; before: {', '.join(data['versions_before'])})"
            )
        case _:
            text = event.event_type
    return one_line(text)


def one_line(text: str) -> str:
    """Return a text as one line without control characters, cut to `LONGEST_LINE` characters."""
    line = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
