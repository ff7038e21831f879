"""Every event type of the system, by domain."""

from quantum_forge.schema.events import (
    access,
    audit,
    batches,
    bookmarks,
    chemistry,
    discovery,
    hub,
    organizations,
    retention,
    system,
    telemetry,
    users,
)
from quantum_forge.schema.language.event import EVENTS, Event, event
from quantum_forge.schema.language.lifecycle import LIFECYCLES, Lifecycle

EVENT_TYPES = tuple(EVENTS.values())
"""The event types of the system itself; `EVENTS` may grow by those of a test."""

__all__ = [
    "EVENTS",
    "EVENT_TYPES",
    "LIFECYCLES",
    "Event",
    "Lifecycle",
    "access",
    "audit",
    "batches",
    "bookmarks",
    "chemistry",
    "discovery",
    "event",
    "hub",
    "organizations",
    "retention",
    "system",
    "telemetry",
    "users",
]
