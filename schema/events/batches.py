"""What happens to batches: many molecules run under one name with the same parameters."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from quantum_forge.schema.events.chemistry import Count, ValueSource
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.evolution import Default
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when

NAME_LENGTH = 500
"""Characters of an item's name that are kept: as many as an index entry always has room for."""


@event("batch")
class BatchCreated(Event, frozen=True, kw_only=True):
    """A batch was planned; nothing runs yet. source: see BatchStarted."""

    name: str
    parameters: dict[str, object]
    source: str | UnsetType = UNSET
    total_count: Count = 0
    metadata: dict[str, object] | UnsetType = UNSET


@event("batch")
class BatchStarted(Event, frozen=True, kw_only=True):
    """A runner began a batch. total_count: inputs that it will account for.

    source: the file whose batch it is, as `host:/path`; absent where the user named the batch,
    which any file can then join. workers: processes that compute at once.
    """

    name: str
    parameters: dict[str, object]
    source: str | UnsetType = UNSET
    total_count: Count
    workers: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


@event("batch")
class BatchResumed(Event, frozen=True, kw_only=True):
    """A runner went on with a batch that had stopped or grown."""

    total_count: Count
    workers: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class BatchItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A calculation that belongs to a batch, whoever computes it.

    molecule_id: null where the input could not be read as a molecule. name: what the batch's input
    calls the molecule; absent where it has no name. charge_source, multiplicity_source: whether an
    input of the batch states them, whatever the calculation was begun with; absent where unknown,
    or told before.
    """

    calculation_id: UUID
    molecule_id: UUID | None
    name: Annotated[str, Meta(max_length=NAME_LENGTH)] | UnsetType = UNSET
    charge_source: ValueSource | UnsetType = UNSET
    multiplicity_source: ValueSource | UnsetType = UNSET


class BatchItemsEvent(Event, frozen=True, kw_only=True):
    """Tells of items of a batch, at most 1,000 an event."""

    items: Annotated[list[BatchItem], Meta(max_length=1000)]


@event("batch", history=[[Default("items", [])]])
class BatchItemsAdded(BatchItemsEvent, frozen=True, kw_only=True):
    """Calculations joined a batch, at most 1,000 an event, each once in the life of the batch.

    molecule_ids: only in events of schema version 1, which recorded molecules without their
    calculations and names.
    """

    molecule_ids: list[UUID] | UnsetType = UNSET


@event("batch")
class BatchItemsNamed(BatchItemsEvent, frozen=True, kw_only=True):
    """Further inputs of a batch gave items that it has other names, or state what others assume.

    At most 1,000 items an event.
    """


@event("batch")
class BatchItemReused(Event, frozen=True, kw_only=True):
    """A molecule of the batch was already calculated with the same settings: no second run."""

    molecule_id: UUID
    calculation_id: UUID


@event("batch")
class BatchItemRefused(Event, frozen=True, kw_only=True):
    """An input of the batch has no result at the same settings, and another try would give none.

    molecule_id: null where the input could not be read as a molecule. reason: what its calculation,
    of another batch, ended with.
    """

    molecule_id: UUID | None
    calculation_id: UUID
    reason: str


@event("batch")
class BatchProgressed(Event, frozen=True, kw_only=True):
    """How far a running batch has come; appended at intervals, not for each calculation.

    All counts of a batch are of its items, whichever run or file added them. total_count: absent in
    old events.
    """

    total_count: Count | UnsetType = UNSET
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
    total_count: Count | UnsetType = UNSET
    successful_count: Count
    failed_count: Count


@event("batch")
class BatchCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped the batch; running the same command again goes on with it."""

    reason: str
    total_count: Count | UnsetType = UNSET
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
        BatchItemsNamed: when("pending", "processing"),
        BatchItemReused: when("pending", "processing"),
        BatchItemRefused: when("pending", "processing"),
        BatchProgressed: when("processing"),
        BatchCompleted: when("processing", then="completed"),
        BatchFailed: when("pending", "processing", then="failed"),
        BatchCancelled: when("pending", "processing", then="cancelled"),
    },
)
