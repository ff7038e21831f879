"""Read models of who did what."""

from sqlalchemy import BigInteger, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import check, column, read_model

_DETAILS = "The event's short facts: no lists, no objects, no secrets, texts cut to 200 characters"

user_audit_log = read_model(
    "user_audit_log",
    "One row per audited action",
    [column("id", BigInteger, "Position of its event in the log")],
    column("user_id", Uuid, "Who did it, or tried; null for the system itself"),
    column("action", Text, "login, data_export, molecule_delete, …", required=True),
    column("entity_type", Text, "What it was done to, as far as known"),
    column("entity_id", Uuid, "Which one"),
    column("changes", JSONB, "By field, its value before and after: {field: {old, new}}"),
    column("details", JSONB, _DETAILS, required=True),
    column("ip_address", Text, "Where the request came from"),
    column("user_agent", Text, "With what"),
    column("status", Text, "success or denied", required=True),
    column("reason", Text, "Why it was done, or denied"),
    check("audit_status_is_known", "status IN ('success', 'denied')"),
    Index("user_audit_log_user_idx", "tenant_id", "user_id", "created_at"),
    Index("user_audit_log_entity_idx", "tenant_id", "entity_id", "created_at"),
    Index("user_audit_log_action_idx", "tenant_id", "action", "created_at"),
    Index("user_audit_log_created_idx", "tenant_id", "created_at"),
    Index(
        "user_audit_log_denied_idx",
        "tenant_id",
        "created_at",
        postgresql_where="status = 'denied'",
    ),
)

activity_logs = read_model(
    "activity_logs",
    "One row per event that a user caused",
    [column("id", BigInteger, "Position of the event in the log, where its payload is")],
    column("user_id", Uuid, "Who did it", required=True),
    column("action", Text, "The event's type", required=True),
    column("entity_type", Text, "What it happened to", required=True),
    column("entity_id", Uuid, "Which one", required=True),
    column("details", JSONB, _DETAILS, required=True),
    Index("activity_logs_user_idx", "tenant_id", "user_id", "created_at"),
    Index("activity_logs_entity_idx", "tenant_id", "entity_id", "created_at"),
)
