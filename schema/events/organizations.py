"""What happens to organisations and their members."""

from enum import StrEnum
from uuid import UUID

from msgspec import UNSET, UnsetType

from quantum_forge.schema.language.changes import Changed
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when


class MemberRole(StrEnum):
    """What a member may do in the organisation."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


@event("organization")
class OrganizationCreated(Event, frozen=True, kw_only=True):
    """People joined under one name."""

    name: str


@event("organization")
class OrganizationRenamed(Event, frozen=True, kw_only=True):
    """It has another name."""

    name: str
    changes: dict[str, Changed] | UnsetType = UNSET


@event("organization")
class OrganizationDeleted(Event, frozen=True, kw_only=True):
    """It is no more."""


@event("organization_member")
class OrganizationMemberAdded(Event, frozen=True, kw_only=True):
    """A person joined. The entity is the uuid5 of tenant, organisation and person."""

    organization_id: UUID
    user_id: UUID
    role: MemberRole = MemberRole.MEMBER


@event("organization_member")
class OrganizationMemberRoleChanged(Event, frozen=True, kw_only=True):
    """A member may do more, or less."""

    organization_id: UUID
    user_id: UUID
    role: MemberRole
    changes: dict[str, Changed] | UnsetType = UNSET


@event("organization_member")
class OrganizationMemberRemoved(Event, frozen=True, kw_only=True):
    """A member left, or was asked to."""

    organization_id: UUID
    user_id: UUID
    reason: str | None = None


lifecycle(
    "organization",
    {
        OrganizationCreated: when(NEW, then="present"),
        OrganizationRenamed: when("present"),
        OrganizationDeleted: when("present", then="deleted"),
    },
)

lifecycle(
    "organization_member",
    {
        OrganizationMemberAdded: when(
            NEW, "left", then="member", needs={"organization_id": ("organization", "present")}
        ),
        OrganizationMemberRoleChanged: when("member"),
        OrganizationMemberRemoved: when("member", then="left"),
    },
)
