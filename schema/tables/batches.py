"""Read models of batches."""

from sqlalchemy import BigInteger, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from schema.tables.base import TIMESTAMP, check, column, read_model

batch_jobs = read_model(
    "batch_jobs",
    "One row per batch",
    [column("id", Uuid, "uuid5 of tenant and name")],
    column("name", Text, "What people call it", required=True),
    column("user_id", Uuid, "Who started it"),
    column("status", Text, "pending, processing, completed, failed or cancelled", required=True),
    column("parameters", JSONB, "Method, charge, solvent, … of its calculations", required=True),
    column("total_count", BigInteger, "Inputs that it accounts for", required=True),
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
    "One row per molecule in a batch",
    [
        column("batch_id", Uuid, "The batch"),
        column("molecule_id", Uuid, "The molecule"),
    ],
    column("calculation_id", Uuid, "Its latest calculation in this batch"),
    column("status", Text, "pending, processing, completed or failed", required=True),
    column(
        "retry_count", BigInteger, "Attempts in this batch that failed or were lost", required=True
    ),
    column("error_message", Text, "What the latest failure said"),
    check("item_status_is_known", "status IN ('pending', 'processing', 'completed', 'failed')"),
    Index("batch_items_status_idx", "tenant_id", "batch_id", "status"),
    Index("batch_items_calculation_idx", "tenant_id", "calculation_id"),
)
