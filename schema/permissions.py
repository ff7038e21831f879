"""Permissions: the least role that a user needs to record an event, by the type of entity.

Each role includes those below it: a researcher may do what a viewer may, and an admin may do
everything. Users may change their own account, such as their password, with any role.
"""

from collections.abc import Mapping
from uuid import UUID

from quantum_forge.schema.domains.access import (
    ApiKeyIssued,
    ApiKeyRevoked,
    ApiKeyUsed,
    SessionClosed,
    SessionExpired,
    SessionExtended,
    SessionOpened,
    SessionStateSaved,
)
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.domains.bookmarks import (
    BookmarkAdded,
    BookmarkRelabelled,
    BookmarkRemoved,
)
from quantum_forge.schema.domains.organizations import MemberRole
from quantum_forge.schema.domains.telemetry import ApiRequestServed
from quantum_forge.schema.domains.users import (
    NameClaimed,
    NameReleased,
    Role,
    UserLoggedIn,
    UserLoggedOut,
    UserLoginFailed,
    UserPasswordChanged,
    UserPreferencesChanged,
    UserProfileUpdated,
    UserTwoFactorDisabled,
    UserTwoFactorEnabled,
    UserTwoFactorPrepared,
    UserUpdated,
)
from quantum_forge.schema.language.event import Event

POWER: Mapping[Role, int] = {Role.VIEWER: 1, Role.RESEARCHER: 2, Role.ADMIN: 3}
"""A role includes those of less power."""

ROLE_OF_MEMBER: Mapping[MemberRole, Role] = {
    MemberRole.OWNER: Role.ADMIN,
    MemberRole.ADMIN: Role.ADMIN,
    MemberRole.MEMBER: Role.RESEARCHER,
}
"""The role that a member of an organisation has in its tenant, beside the user's own."""

LEAST_ROLE: Mapping[str, Role] = {
    # Accounts, and what opens them
    "user": Role.ADMIN,
    "unique_name": Role.ADMIN,
    "api_key": Role.ADMIN,
    "database_login": Role.ADMIN,
    "organization": Role.ADMIN,
    "organization_member": Role.ADMIN,
    # Operation
    "retention": Role.ADMIN,
    "api_server": Role.RESEARCHER,
    "audited_action": Role.RESEARCHER,
    "metric_source": Role.RESEARCHER,
    "notification": Role.ADMIN,
    "notifier": Role.ADMIN,
    "performance_regression": Role.ADMIN,
    "service": Role.RESEARCHER,
    "spool": Role.RESEARCHER,
    # Traces of reading
    "access": Role.VIEWER,
    "export": Role.VIEWER,
    "session": Role.VIEWER,
    "bookmark": Role.VIEWER,
    # Chemistry
    "batch": Role.RESEARCHER,
    "calculation": Role.RESEARCHER,
    "molecule": Role.RESEARCHER,
    "retraction": Role.RESEARCHER,
    # Drug discovery
    "admet_prediction": Role.RESEARCHER,
    "docking_result": Role.RESEARCHER,
    "project": Role.RESEARCHER,
    "protein_structure": Role.RESEARCHER,
    # Quantum computers
    "app_version": Role.RESEARCHER,
    "device": Role.RESEARCHER,
    "job": Role.RESEARCHER,
    "platform": Role.RESEARCHER,
    "quantum_app": Role.RESEARCHER,
    # Marketplace
    "marketplace_listing": Role.RESEARCHER,
    "subscription": Role.RESEARCHER,
    "subscription_key": Role.RESEARCHER,
}
"""The least role that may record events of a type of entity; in own domains, a researcher."""

EXCEPTIONS: Mapping[str, Role | None] = {
    AccessDenied.event_type: None,
    ApiKeyRevoked.event_type: Role.VIEWER,
    ApiKeyUsed.event_type: Role.VIEWER,
    ApiRequestServed.event_type: Role.VIEWER,
    SessionClosed.event_type: None,
    SessionExpired.event_type: None,
    UserLoggedOut.event_type: None,
    UserLoginFailed.event_type: None,
}
"""Event types that need less than the others of their entity; None: no role."""

OWN = frozenset(
    cls.event_type
    for cls in (
        ApiKeyIssued,
        BookmarkAdded,
        BookmarkRelabelled,
        BookmarkRemoved,
        NameClaimed,
        NameReleased,
        SessionOpened,
        UserLoggedIn,
        UserLoggedOut,
        UserPasswordChanged,
        UserPreferencesChanged,
        UserProfileUpdated,
        UserTwoFactorDisabled,
        UserTwoFactorEnabled,
        UserTwoFactorPrepared,
        UserUpdated,
    )
)
"""Event types that every user may record about themselves, and only an admin about others."""

BY_ACTIONS = frozenset(
    cls.event_type
    for cls in (
        ApiKeyIssued,
        ApiKeyRevoked,
        ApiKeyUsed,
        NameClaimed,
        NameReleased,
        SessionClosed,
        SessionExpired,
        SessionExtended,
        SessionOpened,
        SessionStateSaved,
        UserLoginFailed,
        UserUpdated,
    )
)
"""Event types that only an admin may record, except by the action that checks whose they are."""


ACCOUNTS = frozenset(
    {
        "api_key",
        "database_login",
        "organization",
        "organization_member",
        "session",
        "unique_name",
        "user",
    }
)
"""Types of entities that let people in, or say what they may do: closed to keys with scopes."""


def least_role(
    event: Event, entity_id: UUID, user_id: UUID | None, *, by_action: bool = False
) -> Role | None:
    """Return the least role with which a user may record an event of an entity; None: any.

    Args:
        event: what happened.
        entity_id: to what.
        user_id: who records it.
        by_action: whether an action on accounts, sessions or keys records it, which has checked
            the password, token or key, or to whom the entity belongs.
    """
    if event.event_type in BY_ACTIONS and not by_action:
        return Role.ADMIN
    if event.event_type in OWN:
        whose = entity_id if event.entity_type == "user" else getattr(event, "user_id", None)
        themselves = EXCEPTIONS.get(event.event_type, Role.VIEWER)
        return themselves if whose == user_id else Role.ADMIN
    by_entity = LEAST_ROLE.get(event.entity_type, Role.RESEARCHER)
    return EXCEPTIONS.get(event.event_type, by_entity)
