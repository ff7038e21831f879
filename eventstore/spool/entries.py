"""Appends in the spool: their events, as far as handling them needs to know."""

from datetime import datetime
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import Stream


class Spooled(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event in the spool, as far as handling it needs to know.

    rules: the lifecycle of its entity is to be checked before it is appended.
    """

    event_id: UUID
    tenant_id: UUID
    entity_type: str
    entity_id: UUID
    event_type: str
    occurred_at: datetime | None = None
    expected_version: int | None = None
    rules: bool = False

    @property
    def stream(self) -> Stream:
        """Where it goes."""
        return Stream(self.tenant_id, self.entity_type, self.entity_id)


_spooled = msgspec.json.Decoder(list[Spooled])


def events_of(wire: bytes) -> list[Spooled]:
    """The events of one append.

    Raises:
        ValueError: when it is no append, which no recorder writes.
    """
    try:
        events = _spooled.decode(wire)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not events:
        raise ValueError("an append without events")
    return events


def described(wire: bytes) -> str:
    """An append in words: `calculation_completed of calculation 0199…`."""
    events = events_of(wire)
    first = f"{events[0].event_type} of {events[0].stream}"
    return first if len(events) == 1 else f"{first} (and {len(events) - 1} more of one append)"
