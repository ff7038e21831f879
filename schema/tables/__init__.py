"""Every table, by domain, under one MetaData."""

from schema.tables import batches, chemistry, log
from schema.tables.base import METADATA
from schema.tables.log import (
    event_logs,
    event_streams,
    projection_checkpoints,
    projection_copies,
)

__all__ = [
    "METADATA",
    "batches",
    "chemistry",
    "event_logs",
    "event_streams",
    "log",
    "projection_checkpoints",
    "projection_copies",
]
