"""What auditors ask for beside the changes themselves: who took data out, who was kept out."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from quantum_forge.schema.events.chemistry import Count
from quantum_forge.schema.language.changes import Changed
from quantum_forge.schema.language.event import Event, event


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
    content_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    destination: str | None = None
    parameters: dict[str, object] | None = None


@event("access")
class AccessDenied(Event, frozen=True, kw_only=True):
    """Somebody asked for what they may not have; action: what they wanted to do."""

    action: str
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
