"""The tables of the log and of the machinery, which no projection fills."""

from quantum_forge.schema.language.table import METADATA
from quantum_forge.schema.tables.dead_letters import projection_dead_letters
from quantum_forge.schema.tables.log import (
    event_logs,
    event_streams,
    projection_checkpoints,
    projection_copies,
    published_head,
)
from quantum_forge.schema.tables.login_bindings import login_bindings

__all__ = [
    "METADATA",
    "event_logs",
    "event_streams",
    "login_bindings",
    "projection_checkpoints",
    "projection_copies",
    "projection_dead_letters",
    "published_head",
]
