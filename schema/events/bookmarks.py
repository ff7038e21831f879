"""What people mark to find it again."""

from uuid import UUID

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when


@event("bookmark")
class BookmarkAdded(Event, frozen=True, kw_only=True):
    """A person marked something; target_type and target_id say what."""

    user_id: UUID
    target_type: str
    target_id: UUID
    label: str | None = None


@event("bookmark")
class BookmarkRelabelled(Event, frozen=True, kw_only=True):
    """The mark says something else."""

    label: str | None


@event("bookmark")
class BookmarkRemoved(Event, frozen=True, kw_only=True):
    """The mark is gone."""


lifecycle(
    "bookmark",
    {
        BookmarkAdded: when(NEW, "removed", then="present"),
        BookmarkRelabelled: when("present"),
        BookmarkRemoved: when("present", then="removed"),
    },
)
