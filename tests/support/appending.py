"""Small events, for tests of the log that do not care what happened."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.envelope import NewEvent, Placed
from quantum_forge.eventstore.log.append import append
from quantum_forge.schema.domains.batches import BatchResumed

TENANT = UUID(int=1, version=4)
OTHER_TENANT = UUID(int=2, version=4)


def small_event(
    entity_id: UUID | None = None,
    number: int = 0,
    *,
    tenant_id: UUID = TENANT,
    expected_version: int | None = None,
    event_id: UUID | None = None,
    user_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> NewEvent:
    """An event of a batch, of a new one if none is named."""
    extra: dict[str, Any] = {} if event_id is None else {"event_id": event_id}
    return NewEvent(
        tenant_id=tenant_id,
        entity_id=entity_id or uuid4(),
        event=BatchResumed(total_count=number),
        user_id=user_id,
        expected_version=expected_version,
        occurred_at=occurred_at,
        **extra,
    )


def append_and_commit(engine: Engine, *events: NewEvent) -> list[Placed]:
    """Append events in a transaction of their own."""
    with engine.begin() as connection:
        return append(connection, events)


def positions_in_log(connection: Connection) -> list[int]:
    """The position of every event that the log shows now, without any help of the reader's."""
    return list(connection.scalars(text("SELECT id FROM event_logs ORDER BY id")))


def versions_of(connection: Connection, entity_id: UUID) -> list[int]:
    """The versions of a stream's events in order of position."""
    query = text("SELECT version FROM event_logs WHERE entity_id = :entity_id ORDER BY id")
    return list(connection.scalars(query, {"entity_id": entity_id}))


def heads_disagreeing_with_the_log(connection: Connection) -> list[Any]:
    """Streams whose head is not their last version, or whose versions are not dense from 1."""
    query = text("""
        SELECT tenant_id, entity_type, entity_id, h.version AS head, l.last, l.first, l.n
          FROM event_streams AS h
          FULL JOIN (SELECT tenant_id, entity_type, entity_id, max(version) AS last,
                            min(version) AS first, count(DISTINCT version) AS n, count(*) AS events
                       FROM event_logs GROUP BY tenant_id, entity_type, entity_id) AS l
         USING (tenant_id, entity_type, entity_id)
         WHERE (h.version, 1, h.version, h.version)
               IS DISTINCT FROM (l.last, l.first, l.n::int, l.events::int)
    """)
    return list(connection.execute(query))
