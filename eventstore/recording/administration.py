"""Rule of accounts: a tenant that has an active admin keeps one.

Two admins who demote each other at the same time each see the other as the one who is left. So the
admins are counted within the transaction that appends, under a lock of the tenant's admins.
"""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection, Uuid, bindparam, text

from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.base.errors import LastAdmin
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.schema.domains.users import (
    Role,
    UserDeactivated,
    UserRegistered,
    UserRoleChanged,
)

_ADMINS = text("""
    SELECT head.entity_id FROM event_streams AS head
     WHERE head.tenant_id = :tenant_id AND head.entity_type = 'user'
       AND (SELECT event_type FROM event_logs
             WHERE entity_id = head.entity_id AND entity_type = head.entity_type
               AND tenant_id = head.tenant_id AND id >= head.first_position
               AND event_type || '' IN ('user_registered', 'user_deactivated', 'user_reactivated')
             ORDER BY version DESC LIMIT 1) <> 'user_deactivated'
       AND (SELECT data ->> 'role' FROM event_logs
             WHERE entity_id = head.entity_id AND entity_type = head.entity_type
               AND tenant_id = head.tenant_id AND id >= head.first_position
               AND event_type || '' IN ('user_registered', 'user_role_changed')
             ORDER BY version DESC LIMIT 1) = 'admin'
     LIMIT :most
""").bindparams(bindparam("tenant_id", type_=Uuid))


def has_admin(connection: Connection, tenant_id: UUID) -> bool:
    """Return whether the tenant has an active admin, by the log."""
    return bool(_admins(connection, tenant_id, most=1))


def may_remove_admin(event: NewEvent) -> bool:
    """Return whether an event may leave a tenant with one admin less."""
    match event.event:
        case UserDeactivated():
            return True
        case UserRoleChanged(role=role):
            return role != Role.ADMIN
    return False


def admin_locks(events: Iterable[NewEvent]) -> Iterator[Stream]:
    """The streams to hold exclusively while the admins are counted: one for each tenant."""
    for event in events:
        if may_remove_admin(event):
            yield Stream(event.tenant_id, UserRegistered.entity_type, event.tenant_id)


def require_admin_left(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Refuse events that would leave a tenant without an active admin; `admin_locks` are held.

    Raises:
        LastAdmin: names the user who is the last one.
    """
    for tenant_id in {event.tenant_id for event in events if may_remove_admin(event)}:
        admins = _admins(connection, tenant_id)
        for event in events:
            if event.tenant_id != tenant_id:
                continue
            match event.event:
                case UserRegistered(role=Role.ADMIN) | UserRoleChanged(role=Role.ADMIN):
                    admins.add(event.entity_id)
                case _ if may_remove_admin(event) and event.entity_id in admins:
                    admins.remove(event.entity_id)
                    if not admins:
                        found = latest_values(connection, event.stream, ["username"])
                        raise LastAdmin(found["username"] or str(event.entity_id))


def _admins(connection: Connection, tenant_id: UUID, *, most: int | None = None) -> set[UUID]:
    return set(connection.scalars(_ADMINS, {"tenant_id": tenant_id, "most": most}))
