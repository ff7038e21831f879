"""How the trails of who did what follow from the log."""

from collections.abc import Mapping

from quantum_forge.schema.events import EVENT_TYPES, Event
from quantum_forge.schema.events.access import ApiKeyIssued, ApiKeyRevoked
from quantum_forge.schema.events.audit import AccessDenied, ActionAudited, DataExported
from quantum_forge.schema.events.chemistry import MoleculeDeleted, ResultsRetracted
from quantum_forge.schema.events.discovery import ProjectDeleted
from quantum_forge.schema.events.hub import (
    QuantumAppDeleted,
    SubscriptionKeyIssued,
    SubscriptionKeyRevoked,
)
from quantum_forge.schema.events.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationMemberAdded,
    OrganizationMemberRemoved,
    OrganizationMemberRoleChanged,
    OrganizationRenamed,
)
from quantum_forge.schema.events.users import (
    UserDeactivated,
    UserLoggedIn,
    UserLoggedOut,
    UserLoginFailed,
    UserPasswordChanged,
    UserReactivated,
    UserRegistered,
    UserRoleChanged,
    UserTierChanged,
    UserTwoFactorDisabled,
    UserTwoFactorEnabled,
    UserUpdated,
)
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import (
    always,
    entity_id,
    entity_type,
    event_type,
    from_metadata,
    position,
    short_facts,
    user_id,
)
from quantum_forge.schema.tables import audit as tables

ACTIONS: Mapping[type[Event], str] = {
    UserRegistered: "user_register",
    UserUpdated: "user_update",
    UserPasswordChanged: "password_change",
    UserRoleChanged: "role_change",
    UserTierChanged: "tier_change",
    UserDeactivated: "user_deactivate",
    UserReactivated: "user_reactivate",
    UserTwoFactorEnabled: "two_factor_enable",
    UserTwoFactorDisabled: "two_factor_disable",
    UserLoggedIn: "login",
    UserLoginFailed: "login",
    UserLoggedOut: "logout",
    ApiKeyIssued: "api_key_issue",
    ApiKeyRevoked: "api_key_revoke",
    OrganizationCreated: "organization_create",
    OrganizationRenamed: "organization_rename",
    OrganizationDeleted: "organization_delete",
    OrganizationMemberAdded: "member_add",
    OrganizationMemberRoleChanged: "member_role_change",
    OrganizationMemberRemoved: "member_remove",
    DataExported: "data_export",
    MoleculeDeleted: "molecule_delete",
    ResultsRetracted: "results_retract",
    ProjectDeleted: "project_delete",
    QuantumAppDeleted: "quantum_app_delete",
    SubscriptionKeyIssued: "subscription_key_issue",
    SubscriptionKeyRevoked: "subscription_key_revoke",
}
"""The audited events whose type says what was done."""

_DENIED = (UserLoginFailed, AccessDenied)
_DONE = tuple(cls for cls in ACTIONS if cls not in _DENIED)

user_audit_log = Projection(
    tables.user_audit_log,
    events=[*ACTIONS, AccessDenied, ActionAudited],
    key={"id": position},
    columns={
        "user_id": last(user_id()),
        "action": last(
            *(always(action, cls) for cls, action in ACTIONS.items()),
            AccessDenied.action,
            ActionAudited.action,
        ),
        "entity_type": last(entity_type, AccessDenied.target_type, ActionAudited.target_type),
        "entity_id": last(entity_id, AccessDenied.target_id, ActionAudited.target_id),
        "details": last(short_facts),
        "ip_address": last(from_metadata("ip_address")),
        "user_agent": last(from_metadata("user_agent")),
        "status": last(always("success", *_DONE), always("denied", *_DENIED), ActionAudited.status),
    },
    retained=True,
)

activity_logs = Projection(
    tables.activity_logs,
    events=EVENT_TYPES,
    only_with=user_id(),
    key={"id": position},
    columns={
        "user_id": last(user_id()),
        "action": last(event_type),
        "entity_type": last(entity_type),
        "entity_id": last(entity_id),
        "details": last(short_facts),
    },
    retained=True,
)

PROJECTIONS = [user_audit_log, activity_logs]
