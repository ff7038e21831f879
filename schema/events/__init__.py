"""Every event type of the system, by domain."""

from schema.events import (
    access,
    audit,
    batches,
    bookmarks,
    chemistry,
    organizations,
    telemetry,
    users,
)
from schema.events.base import EVENTS, Event, event
from schema.events.lifecycle import LIFECYCLES, Lifecycle

__all__ = [
    "EVENTS",
    "LIFECYCLES",
    "Event",
    "Lifecycle",
    "access",
    "audit",
    "batches",
    "bookmarks",
    "chemistry",
    "event",
    "organizations",
    "telemetry",
    "users",
]
