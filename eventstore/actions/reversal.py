"""Reversal of a retraction: one decision, and every result that it invalidated is valid again.

Decision and restorations are one atomic append, as those of a retraction are. What was computed
again after the retraction has another result, and is left as it is.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, select

from quantum_forge.eventstore.actions.retraction import DECIDING, same_stream
from quantum_forge.eventstore.base.envelope import NewEvent, Position, RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.abbreviations import find_entity, id_digits
from quantum_forge.eventstore.log.read import read_stream, read_streams
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Permissions
from quantum_forge.eventstore.recording.rules import append_checked
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationInvalidated,
    CalculationRestored,
)
from quantum_forge.schema.domains.retractions import ResultsRetracted, RetractionReversed
from quantum_forge.schema.tables import event_logs

READ_TOGETHER = 500
"""Calculations whose events are in memory at once."""


class UnknownRetraction(QuantumForgeError):
    """The tenant has no retraction with this id."""

    exit_status = 2

    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__(
            f"no retraction {reference!r}; `qforge events list --type results_retracted` lists them"
        )


class AlreadyReversed(QuantumForgeError):
    """A retraction can be reversed once."""

    def __init__(self, retraction_id: UUID, reversed_at: datetime) -> None:
        self.retraction_id = retraction_id
        self.reversed_at = reversed_at
        super().__init__(
            f"retraction {retraction_id} was reversed at {reversed_at.isoformat()}; to retract its "
            "results again, use `qforge retract` with a criterion"
        )


class Restorable(msgspec.Struct, frozen=True, kw_only=True):
    """What the reversal of a retraction restores.

    reason, decided_at: of the retraction. calculation_ids: of the results that are restored.
    recalculated_count: results that are left, because they have been computed again since.
    """

    retraction_id: UUID
    reason: str
    decided_at: datetime
    calculation_ids: list[UUID]
    recalculated_count: int


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """A reversal as it was recorded; position: of its event. The others: see `Restorable`."""

    retraction_id: UUID
    calculation_count: int
    recalculated_count: int
    position: Position


def find_retraction(connection: Connection, tenant_id: UUID, reference: str) -> UUID:
    """The retraction with this id, or whose id alone begins so.

    Raises:
        UnknownRetraction: when the reference is not an id, nor the beginning of one.
        UnknownId, AmbiguousId: when no retraction has such an id, or several do.
    """
    digits = id_digits(reference.lower())
    if digits is None:
        raise UnknownRetraction(reference)
    return find_entity(connection, tenant_id, digits, ResultsRetracted.entity_type)


def restorable(connection: Connection, tenant_id: UUID, retraction_id: UUID) -> Restorable:
    """What a reversal would restore now; nothing is written.

    Raises:
        UnknownRetraction, AlreadyReversed
    """
    decided = decision = None
    for event in read_stream(
        connection, Stream(tenant_id, ResultsRetracted.entity_type, retraction_id)
    ):
        if isinstance(event.event, RetractionReversed):
            raise AlreadyReversed(retraction_id, event.occurred_at)
        decided, decision = event, event.event
    if decided is None or not isinstance(decision, ResultsRetracted):
        raise UnknownRetraction(str(retraction_id))
    invalidated = event_logs.alias("invalidated")
    later = event_logs.alias("later")
    overtaken: ColumnElement[bool] = (
        select(later.c.id)
        .where(
            same_stream(later, invalidated),
            later.c.version > invalidated.c.version,
            later.c.event_type.concat("").in_(DECIDING),
        )
        .exists()
    )
    found = connection.execute(
        select(invalidated.c.entity_id, overtaken.label("recalculated"))
        .where(
            invalidated.c.tenant_id == tenant_id,
            invalidated.c.event_type == CalculationInvalidated.event_type,
            invalidated.c.data["retraction_id"].astext == str(retraction_id),
        )
        .order_by(invalidated.c.id)
    ).all()
    ids = [row.entity_id for row in found if not row.recalculated]
    return Restorable(
        retraction_id=retraction_id,
        reason=decision.reason,
        decided_at=decided.occurred_at,
        calculation_ids=ids,
        recalculated_count=len(found) - len(ids),
    )


def reverse(engine: Engine, author: Author, retraction_id: UUID, reason: str) -> Reversal | None:
    """Restore every result that a retraction invalidated, all or none; commits.

    Each calculation gets its own event, which repeats what the invalidation removed from the
    tables, and has the decision as its cause. What has been computed again is left.

    Returns:
        The reversal; None when nothing is left to restore, and nothing was recorded.

    Raises:
        UnknownRetraction, AlreadyReversed
        VersionConflict: when a calculation changed each of the times that it was tried.
    """
    found: Restorable | None = None

    def decide(connection: Connection) -> list[NewEvent]:
        nonlocal found
        found = restorable(connection, author.tenant_id, retraction_id)
        if not found.calculation_ids:
            return []
        decision = author.new(
            retraction_id,
            RetractionReversed(
                reason=reason,
                calculation_count=len(found.calculation_ids),
                recalculated_count=found.recalculated_count,
            ),
        )
        consequence = author.because_of(decision.event_id)
        events = [decision]
        for start in range(0, len(found.calculation_ids), READ_TOGETHER):
            some = found.calculation_ids[start : start + READ_TOGETHER]
            streams = read_streams(
                connection, author.tenant_id, CalculationRestored.entity_type, some
            )
            for its_id in some:
                restored = _restored(streams[its_id], retraction_id, reason)
                events.append(consequence.new(its_id, restored))
        return events

    placed = append_checked(engine, Permissions(engine).permitted(decide))
    if not placed or found is None:
        return None
    return Reversal(
        retraction_id=retraction_id,
        calculation_count=len(found.calculation_ids),
        recalculated_count=found.recalculated_count,
        position=placed[0].position,
    )


def _restored(
    events: Sequence[RecordedEvent], retraction_id: UUID, reason: str
) -> CalculationRestored:
    """The event that makes the last result of a calculation valid again."""
    completed = next(
        each for each in reversed(events) if isinstance(each.event, CalculationCompleted)
    )
    result = completed.event
    assert isinstance(result, CalculationCompleted)
    return CalculationRestored(
        molecule_id=result.molecule_id,
        batch_id=result.batch_id,
        atoms=result.atoms,
        reason=reason,
        retraction_id=retraction_id,
        completed_at=completed.occurred_at,
        wall_time_seconds=result.wall_time_seconds,
    )
