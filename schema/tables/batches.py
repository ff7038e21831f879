"""Read models of batches."""

from sqlalchemy import BigInteger, Double, Index, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import TIMESTAMP, check, column, derived, read_model

batch_jobs = read_model(
    "batch_jobs",
    "One row per batch",
    [column("id", Uuid, "uuid5 of tenant, name, parameters and source; once of tenant and name")],
    column("name", Text, "What people call it", required=True),
    column("user_id", Uuid, "Who started it"),
    column("status", Text, "pending, processing, completed, failed or cancelled", required=True),
    column("parameters", JSONB, "Method, charge, solvent, … of its calculations", required=True),
    column("source", Text, "The file whose batch it is, as host:/path; null if it was named"),
    column(
        "total_count",
        BigInteger,
        "Its items, of all its runs and files; while it runs, at least the inputs of the last run",
        required=True,
    ),
    column("successful_count", BigInteger, "Completed, as last reported by its runner"),
    column(
        "failed_count", BigInteger, "Failed, lost or invalidated, as last reported by its runner"
    ),
    column("started_at", TIMESTAMP, "When it first began"),
    column("completed_at", TIMESTAMP, "When it last ended, well or badly"),
    check(
        "batch_status_is_known",
        "status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')",
    ),
    Index("batch_jobs_name_idx", "tenant_id", "name"),
    Index("batch_jobs_status_idx", "tenant_id", "status"),
    metadata=True,
)

batch_items = read_model(
    "batch_items",
    "One row per calculation that belongs to a batch, whichever batch computed it",
    [
        column("batch_id", Uuid, "The batch"),
        column("calculation_id", Uuid, "The calculation"),
    ],
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    column("name", Text, "What the batch's input calls the molecule; of several names the last"),
    column(
        "status",
        Text,
        "pending, processing, completed or failed, as far as this batch knows; what holds now is in"
        " calculations; null for what was named and never added",
    ),
    column(
        "retry_count", BigInteger, "Attempts in this batch that failed or were lost", required=True
    ),
    column("error_message", Text, "What the latest failure said"),
    column(
        "charge_source",
        Text,
        "given where an input of the batch states the charge, else assumed",
        added=True,
    ),
    column(
        "multiplicity_source",
        Text,
        "given where an input of the batch states the multiplicity, else assumed",
        added=True,
    ),
    check("item_charge_source_is_known", "charge_source IN ('given', 'assumed')"),
    check("item_multiplicity_source_is_known", "multiplicity_source IN ('given', 'assumed')"),
    check("item_status_is_known", "status IN ('pending', 'processing', 'completed', 'failed')"),
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
)

_ELAPSED = "extract(epoch FROM execution_end_time - execution_start_time)"
_TIMED = "successful_jobs + failed_jobs + invalidated_jobs - untimed_jobs"

batch_job_performance = read_model(
    "batch_job_performance",
    "One row per batch: what its jobs, the attempts at its calculations, took and how they ended",
    [column("batch_id", Uuid, "The batch")],
    column("execution_start_time", TIMESTAMP, "When its first runner began"),
    column("execution_end_time", TIMESTAMP, "When its last runner ended; null while one works"),
    column("workers", Integer, "Worker processes of its last runner"),
    column("successful_jobs", BigInteger, "Attempts that completed", required=True),
    column("failed_jobs", BigInteger, "Attempts that failed or were lost", required=True),
    column(
        "invalidated_jobs", BigInteger, "Results that physics or a person refused", required=True
    ),
    column("timeout_jobs", BigInteger, "Failed attempts that took too long", required=True),
    column(
        "convergence_failure_jobs",
        BigInteger,
        "Failed attempts that did not converge",
        required=True,
    ),
    column("untimed_jobs", BigInteger, "Ended attempts of which no time is known", required=True),
    column("total_job_time", Numeric, "Wall time of all attempts in s", required=True),
    derived(
        "average_job_time",
        Double,
        f"total_job_time / nullif({_TIMED}, 0)",
        "Mean wall time of an attempt in s, of those whose time is known",
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
        "Share of its workers' time between start and end that attempts took: 1 is ideal",
    ),
    column("error_breakdown", JSONB, "Failed attempts by error type: {type: count}", required=True),
    Index("batch_job_performance_start_idx", "tenant_id", "execution_start_time"),
)
