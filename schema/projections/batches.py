"""How batches and their items follow from the log."""

from quantum_forge.schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchCreated,
    BatchFailed,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchItemsEvent,
    BatchItemsNamed,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
)
from quantum_forge.schema.events.chemistry import (
    CalculationCompleted,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationStarted,
)
from quantum_forge.schema.language.fold import (
    constant,
    count,
    first,
    largest,
    last,
    smallest,
    tally,
    total,
)
from quantum_forge.schema.language.lifecycle import status_after
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import (
    element_part,
    entity_id,
    entity_of,
    nothing,
    occurred_at,
    user_id,
)
from quantum_forge.schema.tables import batches as tables

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

batch_items = Projection(
    tables.batch_items,
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

batch_item_names = Projection(
    tables.batch_item_names,
    events=[BatchItemsAdded, BatchItemsNamed],
    key={
        "batch_id": entity_id,
        "calculation_id": element_part("calculation_id"),
        "name": element_part("name"),
    },
    elements=BatchItemsEvent.items,
)

_WALL_TIMES = (
    CalculationCompleted.wall_time_seconds,
    CalculationFailed.wall_time_seconds,
    CalculationLost.wall_time_seconds,
    CalculationInvalidated.wall_time_seconds,
)

batch_job_performance = Projection(
    tables.batch_job_performance,
    events=[
        BatchStarted,
        BatchResumed,
        BatchCompleted,
        BatchFailed,
        BatchCancelled,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
    ],
    key={"batch_id": (CalculationEvent.batch_id, entity_id)},
    columns={
        "execution_start_time": first(occurred_at(BatchStarted)),
        "execution_end_time": last(
            nothing(BatchStarted, BatchResumed),
            occurred_at(BatchCompleted, BatchFailed, BatchCancelled),
        ),
        "successful_jobs": count(CalculationCompleted),
        "failed_jobs": count(CalculationFailed, CalculationLost),
        "invalidated_jobs": count(CalculationInvalidated),
        "timeout_jobs": count(CalculationFailed, where={"error_type": "timeout"}),
        "convergence_failure_jobs": count(
            CalculationFailed, where={"error_type": "convergence_error"}
        ),
        "untimed_jobs": count(
            CalculationFailed,
            CalculationLost,
            CalculationInvalidated,
            where={"wall_time_seconds": None},
        ),
        "total_job_time": total(*_WALL_TIMES),
        "min_job_time": smallest(*_WALL_TIMES),
        "max_job_time": largest(*_WALL_TIMES),
        "total_memory_mb": total(CalculationCompleted.memory_peak_mb),
        "unmeasured_jobs": count(CalculationCompleted, where={"memory_peak_mb": None}),
        "total_cpu_time_seconds": total(CalculationCompleted.cpu_time_seconds),
        "error_breakdown": tally(CalculationFailed.error_type, CalculationLost.error_type),
    },
)

PROJECTIONS = [batch_jobs, batch_items, batch_item_names, batch_job_performance]
