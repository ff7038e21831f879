"""Actions on organisations and their members."""

from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.eventstore.actions.accounts.revisions import revises, with_changes
from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent, Placed, Stream
from quantum_forge.eventstore.log.read import Filter, fetch, matching
from quantum_forge.eventstore.recording.domain import Domain
from quantum_forge.eventstore.recording.entity_locks import hold
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.organizations import (
    MemberRole,
    OrganizationDeleted,
    OrganizationMemberAdded,
    OrganizationMemberRemoved,
    OrganizationMemberRoleChanged,
    OrganizationRenamed,
    member_id,
)


class Organizations(Domain):
    """Organisations of a tenant, and their members."""

    rename = revises(OrganizationRenamed)

    def delete(
        self, organization_id: UUID, /, *, expected_version: int | None = ANY_VERSION
    ) -> Placed:
        """Record that an organisation was deleted, and that each of its members left; all or none.

        Raises:
            RuleBroken: when there is no such organisation, or it was deleted before.
            VersionConflict: when its history is not at the expected version.
        """

        def decide(connection: Connection) -> list[NewEvent]:
            return self.deletion(connection, organization_id, expected_version=expected_version)

        return self.decide(decide)[0]

    def deletion(
        self,
        connection: Connection,
        organization_id: UUID,
        /,
        *,
        expected_version: int | None = ANY_VERSION,
    ) -> list[NewEvent]:
        """Return the events that delete an organisation, its own first; nobody joins from here."""
        hold(connection, exclusively=[self.stream("organization", organization_id)])
        deleted = self.author.new(
            organization_id, OrganizationDeleted(), expected_version=expected_version
        )
        author = self.author.because_of(deleted.event_id)
        return [
            deleted,
            *(
                author.new(
                    member.entity_id,
                    OrganizationMemberRemoved(
                        organization_id=organization_id,
                        user_id=user_id,
                        reason="the organisation was deleted",
                    ),
                )
                for member, user_id in self._members(connection, organization_id).items()
            ),
        ]

    def change_member_role(
        self, *, organization_id: UUID, user_id: UUID, role: MemberRole
    ) -> Placed:
        """Record that a member may do more, or less; RuleBroken when it is none."""
        event = OrganizationMemberRoleChanged(
            organization_id=organization_id, user_id=user_id, role=role
        )
        member = member_id(self.author.tenant_id, organization_id, user_id)
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
        return self.record((member_id(self.author.tenant_id, organization_id, user_id), event))[0]

    def _members(self, connection: Connection, organization_id: UUID) -> dict[Stream, UUID]:
        """The users who are members now, by the log, by their membership's stream."""
        added = Filter(tenant_id=self.author.tenant_id, types=[OrganizationMemberAdded.event_type])
        users = {
            event.stream: joined.user_id
            for event in fetch(connection, matching(added))
            if isinstance(joined := event.event, OrganizationMemberAdded)
            and joined.organization_id == organization_id
        }
        standings = read_standings(connection, users)
        return {member: id_ for member, id_ in users.items() if standings[member].state == "member"}
