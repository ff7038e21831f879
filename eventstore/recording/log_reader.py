"""Questions that a runner asks of the log, whichever way it reaches it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, Select, or_, select

from quantum_forge.eventstore.base.envelope import RecordedEvent, Stream
from quantum_forge.eventstore.database.availability.clock import server_time
from quantum_forge.eventstore.log.read import (
    last_assigned,
    last_event_types,
    last_events,
    read_stream,
    read_streams,
)
from quantum_forge.eventstore.recording.latest_fields import latest_ids
from quantum_forge.eventstore.recording.repeated_retractions import Repeated, repeated_by
from quantum_forge.schema.domains.calculations import ErrorType, calculations


class LogReader(Protocol):
    """Answers questions about the streams of one tenant from what is committed; writes nothing.

    Read models may lag behind the log; none of the answers about streams does.
    """

    def last_assigned(self) -> int:
        """Return the highest position that any append has taken, committed or not."""

    def server_time(self) -> datetime:
        """Return the time by the server's clock, comparable with `recorded_at`."""

    def stream(
        self,
        entity_type: str,
        entity_id: UUID,
        *,
        after_version: int = 0,
        upto_version: int | None = None,
        backward: bool = False,
    ) -> Iterable[RecordedEvent]:
        """Return the events of one stream above a version, in order (or the newest first).

        upto_version: the last one; reading backward, the one to begin with.
        """

    def streams(
        self, entity_type: str, entity_ids: Sequence[UUID]
    ) -> dict[UUID, list[RecordedEvent]]:
        """Return the events of each of these streams, in order; of those that exist."""

    def last_events(
        self, entity_type: str, entity_ids: Sequence[UUID]
    ) -> dict[UUID, RecordedEvent]:
        """Return the newest event of each of these streams, of those that exist."""

    def last_event_types(
        self, entity_type: str, entity_ids: Sequence[UUID], among: Collection[str]
    ) -> dict[UUID, str]:
        """Return the type of the newest event of each of these streams, among these types."""

    def latest_ids(
        self, entity_type: str, entity_ids: Sequence[UUID], name: str
    ) -> dict[UUID, UUID | None]:
        """Return the id that each of these entities was last given in a field, since it began."""

    def retry_candidates(self) -> list[UUID]:
        """Return the calculations that may be worth another attempt, by the read model."""

    def repeated_retractions(
        self, *, method: str, program_version: str, host: str
    ) -> list[Repeated]:
        """Return the retractions whose criteria the results of a run would meet again."""


def select_retry_candidates(tenant_id: UUID) -> Select[Any]:
    """The ids of calculations that may be worth an attempt, by the read model, which may lag.

    What cannot be worth one is left out: completed, invalidated, or with an input error.
    """
    c = calculations.c
    return (
        select(c.id)
        .where(
            c.tenant_id == tenant_id,
            c.status.in_(["failed", "lost", "pending", "running"]),
            or_(c.attempt > 0, c.status == "pending"),
            or_(c.error_type.is_(None), c.error_type != ErrorType.INPUT_ERROR.value),
        )
        .order_by(c.completed_at, c.id)
    )


class DatabaseReader:
    """Reads over a connection to the database.

    Args:
        connection: of somebody who may read the log.
        tenant_id: whose streams they are.
    """

    def __init__(self, connection: Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def last_assigned(self) -> int:
        """See `LogReader`."""
        return last_assigned(self._connection)

    def server_time(self) -> datetime:
        """See `LogReader`."""
        return server_time(self._connection)

    def stream(
        self,
        entity_type: str,
        entity_id: UUID,
        *,
        after_version: int = 0,
        upto_version: int | None = None,
        backward: bool = False,
    ) -> Iterable[RecordedEvent]:
        """See `LogReader`; read as it is iterated over."""
        stream = Stream(self._tenant_id, entity_type, entity_id)
        return read_stream(
            self._connection,
            stream,
            after_version=after_version,
            upto_version=upto_version,
            backward=backward,
        )

    def streams(
        self, entity_type: str, entity_ids: Sequence[UUID]
    ) -> dict[UUID, list[RecordedEvent]]:
        """See `LogReader`."""
        return read_streams(self._connection, self._tenant_id, entity_type, entity_ids)

    def last_events(
        self, entity_type: str, entity_ids: Sequence[UUID]
    ) -> dict[UUID, RecordedEvent]:
        """See `LogReader`."""
        return last_events(self._connection, self._tenant_id, entity_type, entity_ids)

    def last_event_types(
        self, entity_type: str, entity_ids: Sequence[UUID], among: Collection[str]
    ) -> dict[UUID, str]:
        """See `LogReader`."""
        return last_event_types(self._connection, self._tenant_id, entity_type, entity_ids, among)

    def latest_ids(
        self, entity_type: str, entity_ids: Sequence[UUID], name: str
    ) -> dict[UUID, UUID | None]:
        """See `LogReader`."""
        streams = [Stream(self._tenant_id, entity_type, id_) for id_ in entity_ids]
        found = latest_ids(self._connection, streams, name)
        return {stream.entity_id: value for stream, value in found.items()}

    def retry_candidates(self) -> list[UUID]:
        """See `LogReader`; those that failed first come first."""
        return list(self._connection.scalars(select_retry_candidates(self._tenant_id)))

    def repeated_retractions(
        self, *, method: str, program_version: str, host: str
    ) -> list[Repeated]:
        """See `LogReader`."""
        return repeated_by(
            self._connection,
            self._tenant_id,
            method=method,
            program_version=program_version,
            host=host,
        )
