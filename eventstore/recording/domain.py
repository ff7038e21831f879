"""What a recorder of a domain is made of: each action one line, typed as its event is.

    class Devices(Domain):
        register = creates(DeviceRegistered)
        go_offline = happens(DeviceWentOffline)

    devices = Devices(engine, Author(tenant_id=tenant, user_id=user))
    device_id = devices.register(platform_id=platform, name="Heron", qubits=156)
    devices.go_offline(device_id, reason="calibration")

Every action checks the lifecycle of its entity (schema/language/lifecycle.py) against the stream
that it writes, and appends with the version that it read: see eventstore/recording/rules.py for
what it raises.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Concatenate, Generic, ParamSpec, Self, overload
from uuid import UUID

from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.decisions import append_decided
from quantum_forge.eventstore.recording.rules import append_checked
from quantum_forge.schema.language.event import Event, identity_of

Arguments = ParamSpec("Arguments")


class Domain:
    """Records what an author does; threads may share it. Needs the right to read the log.

    Args:
        engine: of the database.
        author: on whose behalf.
    """

    def __init__(self, engine: Engine, author: Author) -> None:
        self.engine = engine
        self.author = author

    def record(self, *happened: tuple[UUID, Event]) -> list[Placed]:
        """Record what happened to these entities, by the rules, as one atomic append.

        Raises:
            RuleBroken: when one of them may not happen now.
            EventRefused: when a field does not fit.
        """
        return self.decide(lambda _: [self.author.new(id_, event) for id_, event in happened])

    def decide(self, decide: Callable[[Connection], Sequence[NewEvent]]) -> list[Placed]:
        """Record, by the rules, what follows from what can be read now: see `append_checked`."""
        return append_checked(self.engine, decide)

    def decide_from(
        self, streams: Collection[Stream], decide: Callable[[Connection], Sequence[NewEvent]]
    ) -> list[Placed]:
        """Record, by the rules, what follows from these streams, to which nobody adds meanwhile.

        See `append_decided`: at most one event goes to each of them.
        """
        return append_decided(self.engine, streams, decide)

    def stream(self, entity_type: str, entity_id: UUID) -> Stream:
        """The history of an entity of the author's tenant."""
        return Stream(self.author.tenant_id, entity_type, entity_id)


class creates(Generic[Arguments]):  # noqa: N801  # used as if it were a keyword
    """An action that begins an entity, named by the event's fields; returns the entity's id."""

    def __init__(self, event: Callable[Arguments, Event]) -> None:
        self._event = event
        self.__doc__ = event.__doc__

    @overload
    def __get__(self, domain: None, owner: type[Domain]) -> Self: ...
    @overload
    def __get__(self, domain: Domain, owner: type[Domain]) -> Callable[Arguments, UUID]: ...

    def __get__(
        self, domain: Domain | None, owner: type[Domain]
    ) -> Self | Callable[Arguments, UUID]:
        if domain is None:
            return self

        def create(*args: Arguments.args, **kwargs: Arguments.kwargs) -> UUID:
            event = self._event(*args, **kwargs)
            identity = identity_of(type(event))
            its_id = identity(domain.author.tenant_id, event) if identity else uuid7()
            domain.record((its_id, event))
            return its_id

        create.__doc__ = self.__doc__
        return create


class happens(Generic[Arguments]):  # noqa: N801  # used as if it were a keyword
    """An action on an entity: its id, then the event's fields by name."""

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

        def happen(id_: UUID, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Placed:
            return self(domain, id_, *args, **kwargs)

        happen.__doc__ = self.__doc__
        return happen

    def __call__(
        self, domain: Domain, id_: UUID, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Placed:
        """Record it in a domain, as a function that is taken from a class is called."""
        return self.record(domain, id_, self._event(*args, **kwargs))

    def record(self, domain: Domain, id_: UUID, event: Event) -> Placed:
        """Record the event of an entity."""
        (placed,) = domain.record((id_, event))
        return placed
