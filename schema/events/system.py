"""What the machinery tells of itself."""

from typing import Annotated

from msgspec import Meta

from quantum_forge.schema.events.chemistry import Count, Timestamp
from quantum_forge.schema.language.event import Event, event


@event("spool")
class SpoolReported(Event, frozen=True, kw_only=True):
    """How much waits on a machine for the database; the spool is known by its host.

    events: appended nowhere yet. bytes: in its files. rejected: appends that the database refused.
    oldest_at: when the first of the events happened.
    """

    host: Annotated[str, Meta(min_length=1)]
    events: Count
    bytes: Count
    rejected: Count = 0
    oldest_at: Timestamp | None = None
