"""What happens to batches: many molecules run under one name with the same parameters."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schema.events.base import Event, event
from schema.events.chemistry import Count
from schema.events.lifecycle import NEW, lifecycle, when


@event("batch")
class BatchCreated(Event, frozen=True, kw_only=True):
    """A batch was planned; nothing runs yet."""

    name: str
    parameters: dict[str, object]
    total_count: Count = 0
    metadata: dict[str, object] | UnsetType = UNSET


@event("batch")
class BatchStarted(Event, frozen=True, kw_only=True):
    """A runner began a batch. total_count: inputs that it will account for.

    workers: processes that compute at once.
    """

    name: str
    parameters: dict[str, object]
    total_count: Count
    workers: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


@event("batch")
class BatchResumed(Event, frozen=True, kw_only=True):
    """A runner went on with a batch that had stopped or grown."""

    total_count: Count
    workers: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


@event("batch")
class BatchItemsAdded(Event, frozen=True, kw_only=True):
    """Molecules joined a batch, at most 1,000 an event, each once in the life of the batch."""

    molecule_ids: Annotated[list[UUID], Meta(min_length=1, max_length=1000)]


@event("batch")
class BatchItemReused(Event, frozen=True, kw_only=True):
    """A molecule of the batch was already calculated with the same settings: no second run."""

    molecule_id: UUID
    calculation_id: UUID


@event("batch")
class BatchItemRefused(Event, frozen=True, kw_only=True):
    """A molecule of the batch has no result at the same settings, and another try would give none.

    reason: what its calculation, of another batch, ended with.
    """

    molecule_id: UUID
    calculation_id: UUID
    reason: str


@event("batch")
class BatchProgressed(Event, frozen=True, kw_only=True):
    """How far a running batch has come; appended at intervals, not for each calculation."""

    successful_count: Count
    failed_count: Count


@event("batch")
class BatchCompleted(Event, frozen=True, kw_only=True):
    """Every input of the batch is accounted for; some may have failed."""

    total_count: Count
    successful_count: Count
    failed_count: Count


@event("batch")
class BatchFailed(Event, frozen=True, kw_only=True):
    """The batch as a whole could not go on."""

    error_message: str
    successful_count: Count
    failed_count: Count


@event("batch")
class BatchCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped the batch; running the same command again goes on with it."""

    reason: str
    successful_count: Count
    failed_count: Count


_BEGUN = ("pending", "processing", "completed", "failed", "cancelled")

lifecycle(
    "batch",
    {
        BatchCreated: when(NEW, then="pending"),
        BatchStarted: when(NEW, "pending", then="processing"),
        BatchResumed: when(*_BEGUN, then="processing"),
        BatchItemsAdded: when("pending", "processing"),
        BatchItemReused: when("pending", "processing"),
        BatchItemRefused: when("pending", "processing"),
        BatchProgressed: when("processing"),
        BatchCompleted: when("processing", then="completed"),
        BatchFailed: when("pending", "processing", then="failed"),
        BatchCancelled: when("pending", "processing", then="cancelled"),
    },
)
