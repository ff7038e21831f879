"""Retractions of many results by one decision, and their reversal."""

from uuid import UUID

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, Timestamp
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when


@event("retraction")
class ResultsRetracted(Event, frozen=True, kw_only=True):
    """The decision to retract results; the same append invalidates every calculation covered.

    The criteria that are given hold together; calculation_count: how many were covered.
    calculation_id, molecule_id: of this calculation, or of this molecule, only.
    """

    reason: str
    calculation_count: Count
    program_version: str | None = None
    host: str | None = None
    method: str | None = None
    batch_id: UUID | None = None
    with_reused: bool = False
    since: Timestamp | None = None
    until: Timestamp | None = None
    calculation_id: UUID | None = None
    molecule_id: UUID | None = None


@event("retraction")
class RetractionReversed(Event, frozen=True, kw_only=True):
    """The reversal of a retraction; the same append restores the results that it invalidated.

    calculation_count: how many were restored. recalculated_count: how many were left, because they
    had been computed again.
    """

    reason: str
    calculation_count: Count
    recalculated_count: Count = 0


lifecycle(
    "retraction",
    {
        ResultsRetracted: when(NEW, then="retracted"),
        RetractionReversed: when("retracted", then="reversed"),
    },
)
