"""Organisations and their members."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import Index, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Changed, IndexedText
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, nothing, occurred_at
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by


def member_id(tenant_id: UUID, organization_id: UUID, user_id: UUID) -> UUID:
    """The id of a person's membership in an organisation."""
    return natural_id("organization_member", tenant_id, organization_id, user_id)


def _by_both(tenant_id: UUID, added: Any) -> UUID:
    return member_id(tenant_id, added.organization_id, added.user_id)


class MemberRole(StrEnum):
    """What a member may do in the organisation."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


@event("organization")
class OrganizationCreated(Event, frozen=True, kw_only=True):
    """People joined under one name."""

    name: IndexedText


@event("organization")
class OrganizationRenamed(Event, frozen=True, kw_only=True):
    """It has another name."""

    name: IndexedText
    changes: dict[str, Changed] | UnsetType = UNSET


@event("organization")
class OrganizationDeleted(Event, frozen=True, kw_only=True):
    """It is no more."""


@event("organization_member", identity=_by_both)
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

organizations = read_model(
    "organizations",
    "One row per organisation",
    [column("id", Uuid, "The organisation")],
    column("name", Text, "Name of the organisation", required=True),
    Index("organizations_name_idx", "tenant_id", "name"),
    searched("organizations", "name"),
)

organization_members = read_model(
    "organization_members",
    "One row per person who is or was in an organisation",
    [
        column("organization_id", Uuid, "The organisation"),
        column("user_id", Uuid, "The member"),
    ],
    column("role", Text, either(MemberRole), required=True),
    column("joined_at", TIMESTAMP, "Time at which the member last joined", required=True),
    column("left_at", TIMESTAMP, "Time at which the member left; null for a present member"),
    one_of("member_role_is_known", "role", MemberRole),
    Index("organization_members_user_idx", "tenant_id", "user_id"),
)

projection(
    organizations,
    events=[OrganizationCreated, OrganizationRenamed],
    ends=[OrganizationDeleted],
    key={"id": entity_id},
    opens=[OrganizationCreated],
)

projection(
    organization_members,
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

written_by(
    organizations,
    insert=OrganizationCreated,
    update=OrganizationRenamed,
    delete=OrganizationDeleted,
)

written_by(
    organization_members,
    insert=OrganizationMemberAdded,
    update=OrganizationMemberRoleChanged,
    delete=OrganizationMemberRemoved,
    identified_by=["organization_id", "user_id"],
)
