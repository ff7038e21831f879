"""Performance of a batch: its times, failures and memory, summed over its calculations."""

from sqlalchemy import BigInteger, Double, Index, Integer, Numeric, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchFailed,
    BatchResumed,
    BatchStarted,
)
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
)
from quantum_forge.schema.language.fold import count, first, largest, last, smallest, tally, total
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, column, derived, read_model
from quantum_forge.schema.language.value import entity_id, nothing, occurred_at

_ELAPSED = "extract(epoch FROM execution_end_time - execution_start_time)"

_TIMED = "successful_jobs + failed_jobs + invalidated_jobs - untimed_jobs"

batch_job_performance = read_model(
    "batch_job_performance",
    "One row per batch: cost and outcomes of its jobs, which are the attempts at its calculations",
    [column("batch_id", Uuid, "The batch")],
    column("execution_start_time", TIMESTAMP, "Start of its first runner"),
    column("execution_end_time", TIMESTAMP, "End of its last runner; null while one is running"),
    column("workers", Integer, "Worker processes of its last runner"),
    column("successful_jobs", BigInteger, "Attempts that completed", required=True),
    column("failed_jobs", BigInteger, "Number of attempts that failed or were lost", required=True),
    column(
        "invalidated_jobs",
        BigInteger,
        "Results that were invalidated by a physical check or a person, also if restored later",
        required=True,
    ),
    column(
        "timeout_jobs", BigInteger, "Failed attempts that exceeded their time limit", required=True
    ),
    column(
        "convergence_failure_jobs",
        BigInteger,
        "Failed attempts that did not converge",
        required=True,
    ),
    column("untimed_jobs", BigInteger, "Ended attempts whose wall time is unknown", required=True),
    column("total_job_time", Numeric, "Wall time of all attempts in s", required=True),
    derived(
        "average_job_time",
        Double,
        f"total_job_time / nullif({_TIMED}, 0)",
        "Mean wall time in s of the attempts whose time is known",
    ),
    column("min_job_time", Double, "Wall time of the shortest attempt in s"),
    column("max_job_time", Double, "Wall time of the longest attempt in s"),
    column("total_memory_mb", Numeric, "Sum of the attempts' peak memory in MB", required=True),
    column(
        "unmeasured_jobs", BigInteger, "Completed attempts of unknown peak memory", required=True
    ),
    derived(
        "average_memory_mb",
        Double,
        "total_memory_mb / nullif(successful_jobs - unmeasured_jobs, 0)",
        "Mean peak memory of a completed attempt in MB",
    ),
    column(
        "total_cpu_time_seconds",
        Numeric,
        "Processor time of completed attempts in s",
        required=True,
    ),
    derived(
        "total_cpu_time_hours",
        Double,
        "total_cpu_time_seconds / 3600",
        "Processor time of completed attempts in h",
    ),
    derived(
        "parallelization_efficiency",
        Double,
        f"total_job_time / nullif({_ELAPSED} * workers, 0)",
        "Share of the workers' time between start and end that was spent on attempts: 1 is ideal",
    ),
    column("error_breakdown", JSONB, "Failed attempts by error type: {type: count}", required=True),
    Index("batch_job_performance_start_idx", "tenant_id", "execution_start_time"),
)

_WALL_TIMES = (
    CalculationCompleted.wall_time_seconds,
    CalculationFailed.wall_time_seconds,
    CalculationLost.wall_time_seconds,
    CalculationInvalidated.wall_time_seconds,
)

projection(
    batch_job_performance,
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
