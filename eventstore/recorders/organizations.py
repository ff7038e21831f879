"""What happens to organisations and to their members."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from eventstore.envelope import NewEvent, Placed
from eventstore.ids import natural_id
from eventstore.recorders.domain import Domain, creates, happens
from eventstore.recorders.revisions import revises, with_changes
from schema.events.organizations import (
    MemberRole,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationMemberAdded,
    OrganizationMemberRemoved,
    OrganizationMemberRoleChanged,
    OrganizationRenamed,
)


def member_id(tenant_id: UUID, organization_id: UUID, user_id: UUID) -> UUID:
    """The id of a person's membership in an organisation."""
    return natural_id("organization_member", tenant_id, organization_id, user_id)


def _by_both(tenant_id: UUID, event: Any) -> UUID:
    return member_id(tenant_id, event.organization_id, event.user_id)


class Organizations(Domain):
    """Organisations of a tenant."""

    create = creates(OrganizationCreated)
    rename = revises(OrganizationRenamed)
    delete = happens(OrganizationDeleted)
    add_member = creates(OrganizationMemberAdded, identity=_by_both)

    def change_member_role(
        self, *, organization_id: UUID, user_id: UUID, role: MemberRole
    ) -> Placed:
        """Record that a member may do more, or less; RuleBroken when it is none."""
        event = OrganizationMemberRoleChanged(
            organization_id=organization_id, user_id=user_id, role=role
        )
        member = _by_both(self.author.tenant_id, event)
        stream = self.stream(event.entity_type, member)

        def decide(connection: Connection) -> list[NewEvent]:
            return [self.author.new(member, with_changes(connection, stream, event))]

        return self.decide_from([stream], decide)[0]

    def remove_member(
        self, *, organization_id: UUID, user_id: UUID, reason: str | None = None
    ) -> Placed:
        """Record that a member left; RuleBroken when it is none."""
        event = OrganizationMemberRemoved(
            organization_id=organization_id, user_id=user_id, reason=reason
        )
        return self.record((_by_both(self.author.tenant_id, event), event))[0]
