"""Base of the recorders of one domain: each action that only names an event is one line.

    class Devices(Domain):
        go_offline = happens(DeviceWentOffline)

    devices = Devices(Recorder(engine, Author(tenant_id=tenant, user_id=user)))
    devices.go_offline(device_id, reason="calibration")

An action is recorded as `Recorder` records it, but never spooled: who decides reads the log.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Concatenate, Generic, ParamSpec, Self, overload
from uuid import UUID

from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.language.event import Event

Arguments = ParamSpec("Arguments")


class Domain:
    """Records what an author does; threads may share it. Needs the right to read the log.

    Args:
        recorder: on whose behalf; its spool is not used.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder.without_spool()

    @property
    def engine(self) -> Engine:
        """Of the database."""
        return self.recorder.engine

    @property
    def author(self) -> Author:
        """On whose behalf."""
        return self.recorder.author

    def record(self, *happened: tuple[UUID, Event]) -> list[Placed]:
        """Record what happened to these entities, by the rules, as one atomic append.

        Raises:
            RuleBroken: when one of them may not happen now.
            EventRefused: when a field does not fit.
        """
        placed = self.recorder.record_all(*(self.author.new(*each) for each in happened))
        assert placed is not None, "there is no spool"
        return placed

    def decide(self, decide: Callable[[Connection], Sequence[NewEvent]]) -> list[Placed]:
        """Record, by the rules, what follows from what can be read now: see `Recorder.decide`."""
        return self.recorder.decide(decide)

    def decide_from(
        self, streams: Collection[Stream], decide: Callable[[Connection], Sequence[NewEvent]]
    ) -> list[Placed]:
        """Record, by the rules, what follows from these streams: see `Recorder.decide_from`."""
        return self.recorder.decide_from(streams, decide)

    def stream(self, entity_type: str, entity_id: UUID) -> Stream:
        """The history of an entity of the author's tenant."""
        return self.recorder.stream(entity_type, entity_id)


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
