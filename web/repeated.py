"""Actions that a client sends again with its Idempotency-Key: the same reply, and no new event."""

from collections.abc import Callable
from typing import Any

import msgspec

from quantum_forge.eventstore.actions.by_name import Recorded
from quantum_forge.eventstore.base.envelope import Placed, RecordedEvent
from quantum_forge.eventstore.base.errors import (
    EventIdReused,
    NameTaken,
    RuleBroken,
    VersionConflict,
)
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.log.read import EVERYTHING, fetch, matching
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.rest.writing.repetition import Repetition

_SECRET = "password"


class Repeated:
    """One request for an action, which may have been sent before.

    Args:
        recorder: on whose behalf.
        key: that the client sent.
        name: of the action.
        asked: the body as JSON; a password in it is not part of what is compared.
    """

    def __init__(self, recorder: Recorder, key: str, name: str, asked: Any) -> None:
        self._recorder = recorder
        if isinstance(asked, dict):
            asked = {field: value for field, value in asked.items() if field != _SECRET}
        compared = msgspec.json.encode(["rpc", name, asked], order="sorted")
        self._repetition = Repetition(recorder, key, compared)

    def answer(
        self, run: Callable[[Recorder], object], reply: Callable[[RecordedEvent], object]
    ) -> object:
        """Run the action, unless it has been; return its reply.

        Args:
            run: the action, which records by the given recorder, in one append.
            reply: makes the reply from the first event that was recorded.

        Raises:
            EventIdReused: when the key was that of another request.
        """
        if (known := self._first()) is not None:
            return reply(known)
        marking = self._recorder.marking(
            lambda events: self._repetition.marked(events, [], inserts=False),
            self._repetition.new_id,
        )
        try:
            made = run(marking)
        except (EventIdReused, NameTaken, RuleBroken, VersionConflict):
            # The same request may have been faster.
            if (known := self._first()) is None:
                raise
            return reply(known)
        if made is None and (known := self._first()) is not None:
            return reply(known)  # it was faster, and nothing was left to do
        return made

    def _first(self) -> RecordedEvent | None:
        """The first event of the request, if it was recorded before."""
        with self._recorder.engine.connect() as connection, connection.begin():
            act_for(connection, self._recorder.tenant_id)
            found = self._repetition.found(connection)
            if found is None:
                return None
            query = matching(EVERYTHING).where(event_logs.c.id == found[1])
            (first,) = fetch(connection, query)
            return first


def as_placed(event: RecordedEvent) -> object:
    """Where it is."""
    return Placed(event.event_id, event.position, event.version, appended=False)


def as_recorded(event: RecordedEvent) -> object:
    """What `record_by_name` returns."""
    return Recorded(
        event_type=event.event_type,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        event_id=event.event_id,
        position=event.position,
        version=event.version,
    )


def as_user(event: RecordedEvent) -> object:
    """Who was registered."""
    return {"user_id": event.entity_id}


def as_retraction(event: RecordedEvent) -> object:
    """The decision; what other batches had reused was told the first time only."""
    return {
        "retraction_id": event.entity_id,
        "calculation_count": event.data["calculation_count"],
        "position": event.position,
    }
