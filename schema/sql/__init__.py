"""The SQL functions, triggers and partitions: one file per object, in the order of creation."""

from importlib.resources import files

PRELUDE = ("roles", "acting_tenant", "current_tenant", "acts_for_every_tenant")
"""What must be there before the first table: its policies and grants name it."""

OBJECTS = (
    "append_lock_key",
    "last_assigned_position",
    "append_evidence",
    "append_locks",
    "hold_append_floor",
    "safe_head",
    "publish_head",
    "refuse_change",
    "revoke_default_rights",
    "create_event_partition",
    "event_partitions",
    "maintain_event_partitions",
    "refuse_reused_event_id",
    "refuse_incomplete_event",
    "refuse_long_name",
    "refuse_version",
    "refuse_tenant",
    "entity_type_of",
    "may_append",
    "refuse_event_type",
    "is_storable",
    "refuse_unstorable",
    "append_batch",
    "append_events",
    "grants",
    "merge_payloads",
    "upcast_payload",
    "merge_tallies",
    "short_facts",
    "activity_logs",
    "prepare_load",
    "load_events",
    "copies",
    "dead_letters",
    "login_bindings",
    "count_visible_events",
    "count_visible_events_by_type",
    "count_visible_rows",
    "rows_with_words",
    "system_health",
    "database_stats",
    "person_of_login",
    "function_rights",
)


def sql_of(name: str) -> str:
    """The text that creates the object `name`."""
    return (files(__package__) / f"{name}.sql").read_text(encoding="utf-8")
