"""Every event type of the system, by domain."""

from schema.events import batches, chemistry
from schema.events.base import EVENTS, Event, event
from schema.events.lifecycle import LIFECYCLES, Lifecycle

__all__ = ["EVENTS", "LIFECYCLES", "Event", "Lifecycle", "batches", "chemistry", "event"]
