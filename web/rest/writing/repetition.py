"""Requests that a client sends again because it does not know whether they were answered.

The ids of their events follow from the client's key. The first event's metadata say what was asked
and which rows it was about, so that the repetition is answered and appends nothing.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventIdReused
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.rest.exchange import WriteRequest

_NAME = "request"


class KnownRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a recorded request was. keys: of its rows; inserts: whether one of them was new."""

    sha256: str
    keys: list[dict[str, Any]]
    inserts: bool


class Repetition:
    """A request with a key, by which it is known again.

    Args:
        recorder: on whose behalf.
        key: that the client sent.
        asked: everything that another request with this key would not ask for; no secrets.
    """

    def __init__(self, recorder: Recorder, key: str, asked: bytes) -> None:
        self._recorder = recorder
        self._key = key
        self._sha256 = hashlib.sha256(asked).hexdigest()
        self._entities = 0

    @classmethod
    def of(cls, recorder: Recorder, request: WriteRequest) -> Self | None:
        """Return that of a request for rows of a table; None: it has no key."""
        if request.idempotency_key is None:
            return None
        pairs = sorted(map(list, request.pairs))
        asked = msgspec.json.encode([request.method, request.table, pairs])
        return cls(recorder, request.idempotency_key, asked + b"\n" + request.body)

    def new_id(self) -> UUID:
        """Return the id of the next new entity."""
        self._entities += 1
        return self._id("entity", self._entities)

    def found(self, connection: Connection) -> tuple[KnownRequest, int] | None:
        """Return what was recorded of the request, and its first position; None: nothing yet.

        Raises:
            EventIdReused: when the key was that of another request.
        """
        c = event_logs.c
        query = select(c.metadata, c.id).where(
            c.event_id == self._id("event", 0), c.tenant_id == self._recorder.tenant_id
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        known = msgspec.convert(row[0].get(_NAME), KnownRequest)
        if known.sha256 != self._sha256:
            raise EventIdReused(f"the Idempotency-Key {self._key!r} was that of another request")
        return known, row[1]

    def complete(self, connection: Connection, keys: list[dict[str, Any]]) -> None:
        """Fill in the keys of rows that are known by the position of their event."""
        for place, key in enumerate(keys):
            for name, value in key.items():
                if value is None:
                    query = select(event_logs.c.id).where(
                        event_logs.c.event_id == self._id("event", place),
                        event_logs.c.tenant_id == self._recorder.tenant_id,
                    )
                    key[name] = connection.execute(query).scalar_one()

    def marked(
        self, events: Sequence[NewEvent], keys: list[dict[str, Any]], *, inserts: bool
    ) -> list[NewEvent]:
        """Return the events with the ids and the metadata by which they are found again."""
        ids = {str(event.event_id): self._id("event", i) for i, event in enumerate(events)}
        known = KnownRequest(sha256=self._sha256, keys=keys, inserts=inserts)
        marked = []
        for place, event in enumerate(events):
            metadata = dict(event.metadata)
            if (cause := ids.get(str(metadata.get("causation_id")))) is not None:
                metadata["causation_id"] = str(cause)
            if place == 0:
                metadata[_NAME] = msgspec.to_builtins(known)
            marked.append(
                msgspec.structs.replace(event, event_id=ids[str(event.event_id)], metadata=metadata)
            )
        return marked

    def _id(self, kind: str, place: int) -> UUID:
        author = self._recorder.author
        return natural_id(f"request {kind}", author.tenant_id, author.user_id, self._key, place)
