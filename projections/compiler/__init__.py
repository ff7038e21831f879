"""Compiler of projections: the rows that a range of the log gives, as one Core SELECT."""

from quantum_forge.projections.compiler.log import AFTER, UPTO, events_behind, key_sources
from quantum_forge.projections.compiler.statements import (
    delete_ended,
    delete_trimmed,
    insert_all,
    rows,
    upsert,
)

__all__ = [
    "AFTER",
    "UPTO",
    "delete_ended",
    "delete_trimmed",
    "events_behind",
    "insert_all",
    "key_sources",
    "rows",
    "upsert",
]
