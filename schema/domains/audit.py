"""The audit trail: who did what, who took data out, who was denied.

It folds events of every other domain, so it is imported last.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import BigInteger, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.access import ApiKeyIssued, ApiKeyRevoked
from quantum_forge.schema.domains.apps import QuantumAppDeleted
from quantum_forge.schema.domains.discovery import ProjectDeleted
from quantum_forge.schema.domains.logins import LoginLinked, LoginUnlinked
from quantum_forge.schema.domains.marketplace import SubscriptionKeyIssued, SubscriptionKeyRevoked
from quantum_forge.schema.domains.molecules import MoleculeDeleted
from quantum_forge.schema.domains.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationMemberAdded,
    OrganizationMemberRemoved,
    OrganizationMemberRoleChanged,
    OrganizationRenamed,
)
from quantum_forge.schema.domains.retractions import ResultsRetracted, RetractionReversed
from quantum_forge.schema.domains.users import (
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
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Changed, Count, IndexedText, in_the_form
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import column, either, one_of, read_model
from quantum_forge.schema.language.value import (
    always,
    entity_id,
    entity_type,
    from_metadata,
    position,
    short_facts,
    user_id,
)
from quantum_forge.schema.language.writing import written_by


class AuditStatus(StrEnum):
    """How an action ended."""

    SUCCESS = "success"
    DENIED = "denied"


@event("export")
class DataExported(Event, frozen=True, kw_only=True):
    """Data left the system.

    what: the dataset, table or query. format: parquet, csv, …. position: of the log, at which it
    was read. content_sha256: of what was written. destination: where it went, as far as known.
    parameters: conditions, units and whatever else it takes to tell what was exported.
    """

    what: str
    format: str
    row_count: Count
    position: Count | None = None
    content_sha256: (
        Annotated[str, in_the_form(r"^[0-9a-f]{64}$", "64 hexadecimal digits")] | None
    ) = None
    destination: str | None = None
    parameters: dict[str, object] | None = None


@event("access")
class AccessDenied(Event, frozen=True, kw_only=True):
    """Somebody asked for what they may not have; action: what they wanted to do."""

    action: IndexedText
    reason: str
    target_type: str | None = None
    target_id: UUID | None = None


@event("audited_action")
class ActionAudited(Event, frozen=True, kw_only=True):
    """An action of which no other event tells, reported by another service for the audit trail."""

    action: Annotated[str, Meta(min_length=1, max_length=200)]
    target_type: str | None = None
    target_id: UUID | None = None
    changes: dict[str, Changed] | UnsetType = UNSET
    status: AuditStatus = AuditStatus.SUCCESS
    reason: str | None = None


_DETAILS = "The event's short facts: no lists, no objects, no secrets, texts cut to 200 characters"

user_audit_log = read_model(
    "user_audit_log",
    "One row per audited action",
    [column("id", BigInteger, "Position of its event in the log")],
    column("user_id", Uuid, "User who acted or tried to act; null for the system itself"),
    column("action", Text, "login, data_export, molecule_delete, …", required=True),
    column("entity_type", Text, "Type of the entity acted on, if known"),
    column("entity_id", Uuid, "Id of the entity acted on, if known"),
    column("changes", JSONB, "Value of each changed field before and after: {field: {old, new}}"),
    column("details", JSONB, _DETAILS, required=True),
    column("ip_address", Text, "Address from which the request came"),
    column("user_agent", Text, "Program that sent the request"),
    column("status", Text, either(AuditStatus), required=True),
    column("reason", Text, "Reason for the action, or for its denial"),
    one_of("audit_status_is_known", "status", AuditStatus),
    Index("user_audit_log_user_idx", "tenant_id", "user_id", "created_at"),
    Index("user_audit_log_entity_idx", "tenant_id", "entity_id", "created_at"),
    Index("user_audit_log_action_idx", "tenant_id", "action", "created_at"),
    Index("user_audit_log_created_idx", "tenant_id", "created_at"),
    Index(
        "user_audit_log_denied_idx",
        "tenant_id",
        "created_at",
        postgresql_where="status = 'denied'",
    ),
)

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
    LoginLinked: "database_login_link",
    LoginUnlinked: "database_login_unlink",
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
    RetractionReversed: "retraction_reverse",
    ProjectDeleted: "project_delete",
    QuantumAppDeleted: "quantum_app_delete",
    SubscriptionKeyIssued: "subscription_key_issue",
    SubscriptionKeyRevoked: "subscription_key_revoke",
}
"""The audited events whose type says what was done."""

_DENIED = (UserLoginFailed, AccessDenied)

_DONE = tuple(cls for cls in ACTIONS if cls not in _DENIED)

projection(
    user_audit_log,
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
        "status": last(
            always(AuditStatus.SUCCESS.value, *_DONE),
            always(AuditStatus.DENIED.value, *_DENIED),
            ActionAudited.status,
        ),
    },
    retained=True,
)

written_by(user_audit_log, insert=ActionAudited)
