"""Batches: many molecules run under one name with the same parameters."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import BigInteger, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRestored,
    CalculationStarted,
    ValueSource,
)
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.evolution import Default
from quantum_forge.schema.language.fields import LONGEST_INDEXED, Count, IndexedText
from quantum_forge.schema.language.fold import constant, count, first, last
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, status_after, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, column, either, one_of, read_model
from quantum_forge.schema.language.value import (
    element_part,
    entity_id,
    entity_of,
    nothing,
    occurred_at,
    user_id,
)
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by

NAME_LENGTH = LONGEST_INDEXED
"""Characters of an item's name that are kept."""

CHANGE_NO_RESULT = frozenset({"batch", "timeout_seconds"})
"""Parameters that a batch records and that change none of its results."""


def batch_id(
    tenant_id: UUID,
    name: str,
    parameters: Mapping[str, object] | None = None,
    source: str | None = None,
) -> UUID:
    """Id of the batch with this name, these parameters and this source.

    Args:
        tenant_id: who owns it.
        name: what people call it.
        parameters: the settings of its calculations. Those that change no result, and those that
            are None, do not count, so that a new optional setting leaves the ids of old batches.
            None: the id that a batch of this name had when the name alone identified it.
        source: the file whose batch it is; None for a batch that the user named, which several
            files can join.
    """
    if parameters is None:
        return natural_id("batch", tenant_id, name)
    settings = {
        key: value
        for key, value in parameters.items()
        if value is not None and key not in CHANGE_NO_RESULT
    }
    identity = msgspec.json.encode([name, settings, source], order="deterministic").decode()
    return natural_id("batch with parameters", tenant_id, identity)


def _by_settings(tenant_id: UUID, begun: Any) -> UUID:
    source = None if begun.source is UNSET else begun.source
    return batch_id(tenant_id, begun.name, begun.parameters, source)


@event("batch", identity=_by_settings)
class BatchCreated(Event, frozen=True, kw_only=True):
    """A batch was planned; nothing runs yet. source: see BatchStarted."""

    name: IndexedText
    parameters: dict[str, object]
    source: str | UnsetType = UNSET
    total_count: Count = 0
    metadata: dict[str, object] | UnsetType = UNSET


@event("batch", identity=_by_settings)
class BatchStarted(Event, frozen=True, kw_only=True):
    """A runner began a batch. total_count: inputs that it will account for.

    source: the file whose batch it is, as `host:/path`; absent where the user named the batch,
    which any file can then join. workers: processes that compute at once. project_id: project that
    its molecules join, as far as they are in none.
    """

    name: IndexedText
    parameters: dict[str, object]
    source: str | UnsetType = UNSET
    total_count: Count
    workers: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    project_id: UUID | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


@event("batch")
class BatchResumed(Event, frozen=True, kw_only=True):
    """A runner went on with a batch that had stopped or grown. project_id: see BatchStarted."""

    total_count: Count
    workers: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    project_id: UUID | UnsetType = UNSET


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
class BatchStopRequested(Event, frozen=True, kw_only=True):
    """Somebody wants the runners of a batch to stop; each that lives does, and cancels it."""

    reason: str


@event("batch")
class BatchCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped the batch; running the same command again goes on with it."""

    reason: str
    total_count: Count | UnsetType = UNSET
    successful_count: Count
    failed_count: Count


_BEGUN = ("pending", "processing", "completed", "failed", "cancelled")

LIFECYCLE = lifecycle(
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
        BatchStopRequested: when("processing"),
        BatchCompleted: when("processing", then="completed"),
        BatchFailed: when("pending", "processing", then="failed"),
        BatchCancelled: when("pending", "processing", then="cancelled"),
    },
)

batch_jobs = read_model(
    "batch_jobs",
    "One row per batch",
    [column("id", Uuid, "uuid5 of tenant, name, parameters and source; once of tenant and name")],
    column("name", Text, "Name of the batch", required=True),
    column("user_id", Uuid, "User who started it"),
    column("status", Text, either(LIFECYCLE.states), required=True),
    column(
        "parameters",
        JSONB,
        "Settings of its calculations: method, charge, solvent, …",
        required=True,
    ),
    column("source", Text, "Input file as host:/path; null if the batch was named"),
    column(
        "total_count",
        BigInteger,
        "Number of its items, of all runs and files; during a run, at least the number of inputs "
        "of that run",
        required=True,
    ),
    column("successful_count", BigInteger, "Completed, as last reported by its runner"),
    column(
        "failed_count", BigInteger, "Failed, lost or invalidated, as last reported by its runner"
    ),
    column("started_at", TIMESTAMP, "Start of the first run"),
    column("completed_at", TIMESTAMP, "End of the last run, successful or not"),
    column("project_id", Uuid, "Project that its molecules joined, if any", added=True),
    one_of("batch_status_is_known", "status", LIFECYCLE.states),
    Index("batch_jobs_name_idx", "tenant_id", "name"),
    Index("batch_jobs_status_idx", "tenant_id", "status"),
    Index("batch_jobs_created_idx", "tenant_id", "created_at"),
    Index("batch_jobs_user_idx", "tenant_id", "user_id", "created_at"),
    Index(
        "batch_jobs_project_idx",
        "tenant_id",
        "project_id",
        postgresql_where=text("project_id IS NOT NULL"),
    ),
    searched("batch_jobs", "name"),
    metadata=True,
)

_ITEM_STATUS: dict[type[Event], str] = {
    BatchItemsAdded: "pending",
    CalculationStarted: "processing",
    BatchItemReused: "completed",
    CalculationCompleted: "completed",
    BatchItemRefused: "failed",
    CalculationFailed: "failed",
    CalculationLost: "failed",
    CalculationInvalidated: "failed",
    CalculationRestored: "completed",
}
"""Status of an item after each event, as far as its batch knows."""

batch_items = read_model(
    "batch_items",
    "One row per calculation that belongs to a batch, whichever batch computed it",
    [
        column("batch_id", Uuid, "The batch"),
        column("calculation_id", Uuid, "The calculation"),
    ],
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    column(
        "name",
        Text,
        "Name of the molecule in the input of the batch; the last one of several names",
    ),
    column(
        "status",
        Text,
        f"{either(_ITEM_STATUS.values())}, as recorded by this batch; the present status is in "
        "calculations; null for an item that was named and never added",
    ),
    column(
        "retry_count", BigInteger, "Attempts in this batch that failed or were lost", required=True
    ),
    column("error_message", Text, "Message of the latest failure"),
    column(
        "charge_source",
        Text,
        f"{ValueSource.GIVEN} where an input of the batch states the charge, else"
        f" {ValueSource.ASSUMED}",
        added=True,
    ),
    column(
        "multiplicity_source",
        Text,
        f"{ValueSource.GIVEN} where an input of the batch states the multiplicity, else"
        f" {ValueSource.ASSUMED}",
        added=True,
    ),
    one_of("item_charge_source_is_known", "charge_source", ValueSource),
    one_of("item_multiplicity_source_is_known", "multiplicity_source", ValueSource),
    one_of("item_status_is_known", "status", _ITEM_STATUS.values()),
    Index("batch_items_status_idx", "tenant_id", "batch_id", "status"),
    Index("batch_items_calculation_idx", "tenant_id", "calculation_id"),
)

batch_item_names = read_model(
    "batch_item_names",
    "One row per name that a batch's inputs give to a calculation's molecule",
    [
        column("batch_id", Uuid, "The batch"),
        column("calculation_id", Uuid, "The calculation"),
        column("name", Text, "The name"),
    ],
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    Index("batch_item_names_name_idx", "tenant_id", "name"),
    searched("batch_item_names", "name"),
)

projection(
    batch_jobs,
    events=[
        BatchCreated,
        BatchStarted,
        BatchResumed,
        BatchProgressed,
        BatchCompleted,
        BatchFailed,
        BatchCancelled,
    ],
    key={"id": entity_id},
    opens=[BatchCreated, BatchStarted],
    columns={
        "user_id": last(user_id(BatchCreated, BatchStarted)),
        "status": constant(
            status_after(
                BatchCreated,
                BatchStarted,
                BatchResumed,
                BatchCompleted,
                BatchFailed,
                BatchCancelled,
            )
        ),
        "started_at": first(occurred_at(BatchStarted)),
        "completed_at": last(
            nothing(BatchResumed), occurred_at(BatchCompleted, BatchFailed, BatchCancelled)
        ),
    },
)

projection(
    batch_items,
    events=[
        BatchItemsAdded,
        BatchItemsNamed,
        BatchItemReused,
        BatchItemRefused,
        CalculationStarted,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
        CalculationRestored,
    ],
    key={
        "batch_id": (CalculationEvent.batch_id, entity_id),
        "calculation_id": (
            entity_of(CalculationEvent),
            BatchItemReused.calculation_id,
            BatchItemRefused.calculation_id,
            element_part("calculation_id"),
        ),
    },
    elements=BatchItemsEvent.items,
    columns={
        "status": constant(_ITEM_STATUS),
        "retry_count": count(CalculationFailed, CalculationLost),
        "error_message": last(
            nothing(CalculationStarted, CalculationRestored, BatchItemReused),
            CalculationFailed.error_message,
            CalculationLost.error_message,
            CalculationInvalidated.reason,
            BatchItemRefused.reason,
        ),
    },
)

projection(
    batch_item_names,
    events=[BatchItemsAdded, BatchItemsNamed],
    key={
        "batch_id": entity_id,
        "calculation_id": element_part("calculation_id"),
        "name": element_part("name"),
    },
    elements=BatchItemsEvent.items,
)

written_by(batch_jobs, insert=BatchCreated, identified_by=["name", "parameters", "source"])
