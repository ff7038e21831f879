"""Every table, by domain, under one MetaData."""

from quantum_forge.schema.language.table import METADATA
from quantum_forge.schema.tables import (
    access,
    audit,
    batches,
    chemistry,
    discovery,
    hub,
    log,
    organizations,
    system,
    telemetry,
    users,
)
from quantum_forge.schema.tables.dead_letters import projection_dead_letters
from quantum_forge.schema.tables.log import (
    event_logs,
    event_streams,
    projection_checkpoints,
    projection_copies,
    published_head,
)

__all__ = [
    "METADATA",
    "access",
    "audit",
    "batches",
    "chemistry",
    "discovery",
    "event_logs",
    "event_streams",
    "hub",
    "log",
    "organizations",
    "projection_checkpoints",
    "projection_copies",
    "projection_dead_letters",
    "published_head",
    "system",
    "telemetry",
    "users",
]
