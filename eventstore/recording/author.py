"""On whose behalf something is recorded, and what every event says of its origin."""

from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent
from quantum_forge.eventstore.base.tracing import traceparent
from quantum_forge.schema.language.event import Event


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who records.

    tenant_id: who owns it. user_id: who does it; None for the system itself.
    ip_address, user_agent: where a request came from. correlation_id: of all that one request
    caused. causation_id: of the event that caused this. more: what else the metadata shall hold.
    is_limited: whether it acts by a key with scopes, which changes no accounts, keys or sessions.
    """

    tenant_id: UUID
    user_id: UUID | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    more: dict[str, Any] = {}
    is_limited: bool = False

    def because_of(self, event_id: UUID) -> Self:
        """The same author, of what an event causes."""
        return msgspec.structs.replace(self, causation_id=event_id)

    @property
    def metadata(self) -> dict[str, Any]:
        """What every event says of its origin; what is not known is left out."""
        origin = {
            "ip_address": self.ip_address,
            "user_agent": self.user_agent,
            "correlation_id": self.correlation_id and str(self.correlation_id),
            "causation_id": self.causation_id and str(self.causation_id),
            "traceparent": traceparent(),
        }
        return {**self.more, **{name: value for name, value in origin.items() if value is not None}}

    def new(
        self, entity_id: UUID, event: Event, *, expected_version: int | None = ANY_VERSION
    ) -> NewEvent:
        """Make an event of this author, now."""
        return NewEvent(
            tenant_id=self.tenant_id,
            entity_id=entity_id,
            event=event,
            user_id=self.user_id,
            expected_version=expected_version,
            occurred_at=datetime.now(UTC),
            metadata=self.metadata,
        )
