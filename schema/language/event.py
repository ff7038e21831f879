"""What an event type is: a frozen record with a name, bound to a type of entity."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import ClassVar, TypeVar

import msgspec

from quantum_forge.schema.language.evolution import History
from quantum_forge.schema.language.identity import Identity


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every event's payload.

    A field typed `… | UnsetType` may be absent: it then leaves the columns that it feeds alone.
    A field typed `… | None` may be null: it then clears them.
    """

    event_type: ClassVar[str]
    entity_type: ClassVar[str]
    schema_version: ClassVar[int] = 1
    history: ClassVar[History] = ()


EventClass = TypeVar("EventClass", bound=type[Event])

_registry: dict[str, type[Event]] = {}
_identities: dict[str, Identity] = {}

EVENTS: Mapping[str, type[Event]] = MappingProxyType(_registry)
"""Every event type by its name, in the order of declaration."""


def event(
    entity_type: str, history: History = (), *, identity: Identity | None = None
) -> Callable[[EventClass], EventClass]:
    """Register a payload class as an event that happens to entities of `entity_type`.

    Its name is the class name in snake case: `CalculationCompleted` is `calculation_completed`.

    Args:
        entity_type: what it happens to.
        history: how payloads of each older schema version become those of the next; the type's
            schema version is one more than there are.
        identity: derives the natural id of the entity that the event begins; without it, such an
            entity gets a new id.

    Raises:
        TypeError: when the name is taken.
    """

    def register(cls: EventClass) -> EventClass:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        if name in _registry:
            raise TypeError(f"event type {name!r} is declared twice")
        cls.event_type = name
        cls.entity_type = entity_type
        cls.history = history
        cls.schema_version = len(history) + 1
        _registry[name] = cls
        if identity is not None:
            _identities[name] = identity
        return cls

    return register


def identity_of(cls: type[Event]) -> Identity | None:
    """The function that derives the natural id of what an event begins; None without one."""
    return _identities.get(cls.event_type)


@cache
def required_fields(cls: type[msgspec.Struct]) -> frozenset[str]:
    """The names of the fields that a record must be given."""
    # Every column of every projection asks at the start of each program, so the answer is kept.
    return frozenset(field.name for field in msgspec.structs.fields(cls) if field.required)
