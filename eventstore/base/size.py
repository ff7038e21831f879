"""Limits on the size of an event and of an append.

An event that PostgreSQL cannot hold (256 MB of jsonb) or write out (1 GB of text) would otherwise
fail in the middle of a transaction with an error that names no event. `append_events` has a
limit of its own, for what other programs send.
"""

from uuid import UUID

from quantum_forge.eventstore.base.errors import AppendTooLarge, EventTooLarge

LARGEST_EVENT = 16 * 2**20
"""Bytes of data and metadata as JSON without spaces. PostgreSQL takes 2 s for such a text, and 12 s
for 8 million numbers, with three programs waiting for each core; a drain gives it 30 s."""

LARGEST_TEXT = LARGEST_EVENT // 2 * 3
"""Bytes of data and metadata as PostgreSQL writes them, with spaces, which add at most half: the
limit of `is_storable`, and of events that were exported. They fit a line (`LONGEST_LINE`)."""

LARGEST_CALL_SIZE = 16 * 2**20
"""Bytes of data and metadata that are sent in one call; an append of more is several calls."""

LARGEST_APPEND = 256 * 2**20
"""Bytes of JSON of one append, which is held in memory, spooled and committed as a whole."""


def require_event_size(
    event_type: str, event_id: UUID, size: int, *, limit: int = LARGEST_EVENT
) -> None:
    """Raise `EventTooLarge` for an event with so many bytes of data and metadata."""
    if size > limit:
        raise EventTooLarge(event_type, event_id, size, limit)


def require_append_size(events: int, size: int) -> None:
    """Raise `AppendTooLarge` for so many events with so many bytes of JSON."""
    if size > LARGEST_APPEND:
        raise AppendTooLarge(events, size, LARGEST_APPEND)
