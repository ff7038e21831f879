"""Appends on behalf of one tenant, one user and one process: what programs record with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from eventstore.append import append
from eventstore.envelope import ANY_VERSION, NewEvent, Placed
from schema.events import Event


class Recorder:
    """Makes events of one author and appends them, each call in a transaction of its own.

    Args:
        engine: of the database.
        tenant_id: who owns what is recorded.
        user_id: who does it; None for the system itself.
        metadata: what every event shall say of its origin: host, service, program versions.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tenant_id: UUID,
        user_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.engine = engine
        self.tenant_id = tenant_id
        self.user_id = user_id
        self.metadata = dict(metadata or {})

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

    def record(self, *events: NewEvent) -> list[Placed]:
        """Append events, all or none, and commit.

        Raises:
            EventRefused, VersionConflict, EventIdReused: as `append` does.
        """
        with self.engine.begin() as connection:
            return append(connection, events)
