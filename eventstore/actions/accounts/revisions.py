"""Actions that change what was recorded before: the event says what it was, and what it is now."""

from uuid import UUID

import msgspec
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.recording.domain import Arguments, Domain, happens
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.fields import Changed
from quantum_forge.schema.language.secrecy import secret_fields


def with_changes(connection: Connection, stream: Stream, event: Event) -> Event:
    """The event with its `changes`: old and new value of each field that it changes, no secrets."""
    left_out = {"changes", *secret_fields(type(event))}
    given = {
        name: value
        for name, value in msgspec.to_builtins(event).items()
        if name not in left_out and value is not msgspec.UNSET
    }
    before = latest_values(connection, stream, given)
    changes = {
        name: Changed(before[name], now) for name, now in given.items() if before[name] != now
    }
    return msgspec.structs.replace(event, changes=changes)


class revises(happens[Arguments]):  # noqa: N801  # used as if it were a keyword
    """An action on an entity, as `happens` is, whose event also says what it changes."""

    def record(self, domain: Domain, id_: UUID, event: Event) -> Placed:
        """Record the event of an entity, with its changes."""
        stream = domain.stream(event.entity_type, id_)

        def decide(connection: Connection) -> list[NewEvent]:
            return [domain.author.new(id_, with_changes(connection, stream, event))]

        (placed,) = domain.decide_from([stream], decide)
        return placed
