"""Envelope of an event: stream, author, times, place in the log."""

from datetime import datetime
from functools import cached_property
from typing import Any, NewType
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.codec import decode, decode_object
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.schema.language.event import Event

Position = NewType("Position", int)
"""Place of an event in the log; grows, has gaps."""

ANY_VERSION = None
MUST_EXIST = -1
MUST_NOT_EXIST = 0


class Stream(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """The history of one entity of one tenant."""

    tenant_id: UUID
    entity_type: str
    entity_id: UUID

    def __str__(self) -> str:
        return f"{self.entity_type} {self.entity_id}"


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An event to be appended.

    event_id: repeat it to retry; never reuse it. expected_version: of the stream before the call:
    a number, `MUST_NOT_EXIST`, `MUST_EXIST` or `ANY_VERSION`. occurred_at: by the client's clock;
    the database's clock when None. metadata: host, service, correlation_id, …
    """

    tenant_id: UUID
    entity_id: UUID
    event: Event
    user_id: UUID | None = None
    expected_version: int | None = ANY_VERSION
    occurred_at: datetime | None = None
    metadata: dict[str, Any] = {}
    event_id: UUID = msgspec.field(default_factory=uuid7)

    @cached_property
    def stream(self) -> Stream:
        """Where it goes."""
        return Stream(self.tenant_id, self.event.entity_type, self.entity_id)


class Placed(msgspec.Struct, frozen=True):
    """Where an event is in the log; `appended` is False when it was there already."""

    event_id: UUID
    position: Position
    version: int
    appended: bool


class RecordedEvent(msgspec.Struct, frozen=True, dict=True):
    """An event as the log holds it.

    raw_data, raw_metadata: as JSON, which costs nothing until `data`, `metadata` or `event` is
    asked for. In JSON of this Struct they are objects named `data` and `metadata`.
    """

    position: Position
    event_id: UUID
    tenant_id: UUID
    entity_type: str
    entity_id: UUID
    version: int
    event_type: str
    schema_version: int
    raw_data: msgspec.Raw = msgspec.field(name="data")
    raw_metadata: msgspec.Raw = msgspec.field(name="metadata")
    user_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime

    @cached_property
    def data(self) -> dict[str, Any]:
        """The payload as it was stored."""
        return decode_object(self.raw_data)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Host, service, correlation_id, … as they were stored."""
        return decode_object(self.raw_metadata)

    @property
    def stream(self) -> Stream:
        """Whose history it belongs to."""
        return Stream(self.tenant_id, self.entity_type, self.entity_id)

    @property
    def event(self) -> Event:
        """The payload as its type.

        Raises:
            EventRefused: when the type is unknown or the payload does not fit it.
        """
        return decode(self.event_type, bytes(self.raw_data), schema_version=self.schema_version)
