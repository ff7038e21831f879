"""Actions that change what was recorded before: the event says what it was, and what it is now."""

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Self, overload
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from eventstore.envelope import Placed, Stream
from eventstore.recorders.domain import Domain
from eventstore.told import last_told
from schema.events import Event
from schema.events.changes import Changed
from schema.events.secrecy import secret_fields

Arguments = ParamSpec("Arguments")


def with_changes(connection: Connection, stream: Stream, event: Event) -> Event:
    """The event with its `changes`: old and new value of each field that it changes, no secrets."""
    untold = {"changes", *secret_fields(type(event))}
    told = {
        name: value
        for name, value in msgspec.to_builtins(event).items()
        if name not in untold and value is not msgspec.UNSET
    }
    before = last_told(connection, stream, told)
    changes = {
        name: Changed(before[name], now) for name, now in told.items() if before[name] != now
    }
    return msgspec.structs.replace(event, changes=changes)


class revises(Generic[Arguments]):  # noqa: N801  # used as if it were a keyword
    """An action on an entity, as `happens` is, whose event also says what it changes."""

    def __init__(self, event: Callable[Arguments, Event]) -> None:
        self._event = event
        self.__doc__ = event.__doc__

    @overload
    def __get__(self, domain: None, owner: type[Domain]) -> Self: ...
    @overload
    def __get__(
        self, domain: Domain, owner: type[Domain]
    ) -> Callable[Concatenate[UUID, Arguments], Placed]: ...

    def __get__(
        self, domain: Domain | None, owner: type[Domain]
    ) -> Self | Callable[Concatenate[UUID, Arguments], Placed]:
        if domain is None:
            return self

        def revise(id_: UUID, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Placed:
            event = self._event(*args, **kwargs)
            stream = domain.stream(event.entity_type, id_)

            def decide(connection: Connection) -> list[Any]:
                return [domain.author.new(id_, with_changes(connection, stream, event))]

            (placed,) = domain.decide_from([stream], decide)
            return placed

        revise.__doc__ = self.__doc__
        return revise
