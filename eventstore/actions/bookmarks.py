"""Actions on bookmarks."""

from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.schema.domains.bookmarks import (
    BookmarkAdded,
    BookmarkRelabelled,
    BookmarkRemoved,
)


class Bookmarks(Domain):
    """A person marks a thing once."""

    add = creates(BookmarkAdded)
    relabel = happens(BookmarkRelabelled)
    remove = happens(BookmarkRemoved)
