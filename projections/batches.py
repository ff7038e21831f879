"""How batches and their items follow from the log."""

from projections.fold import constant, count, first, last
from projections.projection import Projection
from projections.value import element, entity_id, entity_of, nothing, occurred_at, user_id
from schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchCreated,
    BatchFailed,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
)
from schema.events.chemistry import (
    CalculationCompleted,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationStarted,
)
from schema.tables import batches as tables

batch_jobs = Projection(
    tables.batch_jobs,
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
            {
                BatchCreated: "pending",
                BatchStarted: "processing",
                BatchResumed: "processing",
                BatchCompleted: "completed",
                BatchFailed: "failed",
                BatchCancelled: "cancelled",
            }
        ),
        "started_at": first(occurred_at(BatchStarted)),
        "completed_at": last(
            nothing(BatchResumed), occurred_at(BatchCompleted, BatchFailed, BatchCancelled)
        ),
    },
)

batch_items = Projection(
    tables.batch_items,
    events=[
        BatchItemsAdded,
        BatchItemReused,
        BatchItemRefused,
        CalculationStarted,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
    ],
    key={
        "batch_id": (CalculationEvent.batch_id, entity_id),
        "molecule_id": (
            CalculationEvent.molecule_id,
            BatchItemReused.molecule_id,
            BatchItemRefused.molecule_id,
            element,
        ),
    },
    elements=BatchItemsAdded.molecule_ids,
    columns={
        "calculation_id": last(
            entity_of(CalculationEvent),
            BatchItemReused.calculation_id,
            BatchItemRefused.calculation_id,
        ),
        "status": constant(
            {
                BatchItemsAdded: "pending",
                BatchItemReused: "completed",
                BatchItemRefused: "failed",
                CalculationStarted: "processing",
                CalculationCompleted: "completed",
                CalculationFailed: "failed",
                CalculationLost: "failed",
                CalculationInvalidated: "failed",
            }
        ),
        "retry_count": count(CalculationFailed, CalculationLost),
        "error_message": last(
            nothing(CalculationStarted, BatchItemReused),
            CalculationFailed.error_message,
            CalculationLost.error_message,
            CalculationInvalidated.reason,
            BatchItemRefused.reason,
        ),
    },
)

PROJECTIONS = [batch_jobs, batch_items]
