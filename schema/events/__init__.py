"""Every event type of the system, by domain."""

from schema.events import batches, chemistry
from schema.events.base import EVENTS, Event, event

__all__ = ["EVENTS", "Event", "batches", "chemistry", "event"]
