"""What people mark to find it again."""

from typing import Any
from uuid import UUID

from quantum_forge.eventstore.base.ids import natural_id
from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.schema.events.bookmarks import BookmarkAdded, BookmarkRelabelled, BookmarkRemoved


def _by_thing(tenant_id: UUID, event: Any) -> UUID:
    return natural_id("bookmark", tenant_id, event.user_id, event.target_type, event.target_id)


class Bookmarks(Domain):
    """A person marks a thing once."""

    add = creates(BookmarkAdded, identity=_by_thing)
    relabel = happens(BookmarkRelabelled)
    remove = happens(BookmarkRemoved)
