"""How organisations, their members and people's bookmarks follow from the log."""

from quantum_forge.schema.events.bookmarks import BookmarkAdded, BookmarkRelabelled, BookmarkRemoved
from quantum_forge.schema.events.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationMemberAdded,
    OrganizationMemberRemoved,
    OrganizationMemberRoleChanged,
    OrganizationRenamed,
)
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import entity_id, nothing, occurred_at
from quantum_forge.schema.tables import organizations as tables

organizations = Projection(
    tables.organizations,
    events=[OrganizationCreated, OrganizationRenamed],
    ends=[OrganizationDeleted],
    key={"id": entity_id},
    opens=[OrganizationCreated],
)

organization_members = Projection(
    tables.organization_members,
    events=[OrganizationMemberAdded, OrganizationMemberRoleChanged, OrganizationMemberRemoved],
    key={
        "organization_id": (
            OrganizationMemberAdded.organization_id,
            OrganizationMemberRoleChanged.organization_id,
            OrganizationMemberRemoved.organization_id,
        ),
        "user_id": (
            OrganizationMemberAdded.user_id,
            OrganizationMemberRoleChanged.user_id,
            OrganizationMemberRemoved.user_id,
        ),
    },
    opens=[OrganizationMemberAdded],
    columns={
        "joined_at": last(occurred_at(OrganizationMemberAdded)),
        "left_at": last(nothing(OrganizationMemberAdded), occurred_at(OrganizationMemberRemoved)),
    },
)

bookmarks = Projection(
    tables.bookmarks,
    events=[BookmarkAdded, BookmarkRelabelled],
    ends=[BookmarkRemoved],
    key={"id": entity_id},
    opens=[BookmarkAdded],
    columns={
        "entity_type": last(BookmarkAdded.target_type),
        "entity_id": last(BookmarkAdded.target_id),
    },
)

PROJECTIONS = [organizations, organization_members, bookmarks]
