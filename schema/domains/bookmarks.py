"""Bookmarks: things that a user marked to find them again."""

from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import Index, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import column, read_model
from quantum_forge.schema.language.value import entity_id
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by


def _by_thing(tenant_id: UUID, added: Any) -> UUID:
    return natural_id("bookmark", tenant_id, added.user_id, added.target_type, added.target_id)


@event("bookmark", identity=_by_thing)
class BookmarkAdded(Event, frozen=True, kw_only=True):
    """A person marked something; target_type and target_id say what."""

    user_id: UUID
    target_type: str
    target_id: UUID
    label: str | None = None


@event("bookmark")
class BookmarkRelabelled(Event, frozen=True, kw_only=True):
    """The mark says something else. user_id: whose mark it is; all but admins change their own."""

    label: str | None
    user_id: UUID | UnsetType | None = UNSET


@event("bookmark")
class BookmarkRemoved(Event, frozen=True, kw_only=True):
    """The mark is gone. user_id: whose mark it is; all but admins remove their own."""

    user_id: UUID | UnsetType | None = UNSET


_OWNER = {"user_id": "user_id"}

lifecycle(
    "bookmark",
    {
        BookmarkAdded: when(NEW, "removed", then="present"),
        BookmarkRelabelled: when("present", carries=_OWNER),
        BookmarkRemoved: when("present", then="removed", carries=_OWNER),
    },
)

bookmarks = read_model(
    "bookmarks",
    "One row per bookmark of a user",
    [column("id", Uuid, "uuid5 of tenant, person and thing")],
    column("user_id", Uuid, "User who set the bookmark", required=True),
    column("entity_type", Text, "Type of the bookmarked entity", required=True),
    column("entity_id", Uuid, "Id of the bookmarked entity", required=True),
    column("label", Text, "Label given by the user"),
    Index("bookmarks_user_idx", "tenant_id", "user_id", "created_at"),
    searched("bookmarks", "label"),
)

projection(
    bookmarks,
    events=[BookmarkAdded, BookmarkRelabelled],
    ends=[BookmarkRemoved],
    key={"id": entity_id},
    opens=[BookmarkAdded],
    columns={
        "user_id": last(BookmarkAdded.user_id),
        "entity_type": last(BookmarkAdded.target_type),
        "entity_id": last(BookmarkAdded.target_id),
    },
)

written_by(
    bookmarks,
    insert=BookmarkAdded,
    update=BookmarkRelabelled,
    delete=BookmarkRemoved,
    identified_by=["user_id", "entity_type", "entity_id"],
)
