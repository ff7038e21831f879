"""What a column can take from one event: a payload field, part of a list element, the envelope."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from quantum_forge.schema.language.event import Event

EnvelopeName = Literal[
    "position",
    "event_id",
    "entity_type",
    "entity_id",
    "event_type",
    "data",
    "metadata",
    "user_id",
    "occurred_at",
    "recorded_at",
]
TimeUnit = Literal["hour", "day"]


@dataclass(frozen=True)
class Payload:
    """A field of the payload; `required`: the event type does not let it be absent."""

    name: str
    required: bool


@dataclass(frozen=True)
class Element:
    """An element of the list that the event spreads over rows, or one part of it.

    part: index in an array, name in an object, or None for the element itself.
    """

    part: int | str | None


@dataclass(frozen=True)
class ElementIndex:
    """The place of the element in its list, from 0."""


@dataclass(frozen=True)
class Envelope:
    """What every event has: who, when, where in the log."""

    name: EnvelopeName


@dataclass(frozen=True)
class FromMetadata:
    """A text from the metadata of the event: a host, a service; null where there is none."""

    name: str


@dataclass(frozen=True)
class ShortFacts:
    """The texts, numbers and booleans of the payload; of a text its first 200 characters.

    without: the fields that are lists, objects or secrets, by the event type.
    """

    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truncated:
    """A time cut to the beginning of its hour or day, in UTC."""

    unit: TimeUnit
    value: Payload | Envelope


@dataclass(frozen=True)
class Constant:
    """The same value for every event of a type: a status."""

    value: Any


Value = (
    Payload | Element | ElementIndex | Envelope | FromMetadata | ShortFacts | Truncated | Constant
)


@dataclass(frozen=True)
class Field:
    """A field as a declaration names it: `CalculationCompleted.energy`, on that class or below.

    unit: for a time of which only the hour or the day counts.
    """

    owner: type[Event]
    name: str
    unit: TimeUnit | None = None


@dataclass(frozen=True)
class Of:
    """A value with the event types that it is taken from; None: all of the projection's."""

    value: Value
    types: tuple[type[Event], ...] | None


entity_id = Of(Envelope("entity_id"), None)
"""The id of the entity that the event happened to."""
position = Of(Envelope("position"), None)
"""Where the event is in the log: as a key, one row per event."""
event_type = Of(Envelope("event_type"), None)
entity_type = Of(Envelope("entity_type"), None)
payload = Of(Envelope("data"), None)
"""The event's own facts as a whole."""
short_facts = Of(ShortFacts(), None)
"""What the event tells in a few words, without what is long and without secrets."""
element = Of(Element(None), None)
element_index = Of(ElementIndex(), None)


def element_part(name: str) -> Of:
    """A field of the elements that an event is spread over."""
    return Of(Element(name), None)


def entity_of(*types: type[Event]) -> Of:
    """The id of the entity that an event of these types happened to."""
    return Of(Envelope("entity_id"), types)


def occurred_at(*types: type[Event]) -> Of:
    """The time at which an event of these types happened."""
    return Of(Envelope("occurred_at"), types or None)


def user_id(*types: type[Event]) -> Of:
    """Who did it; null for the system itself."""
    return Of(Envelope("user_id"), types or None)


def from_metadata(name: str, *types: type[Event]) -> Of:
    """A text that the metadata of an event has under a name; null where it is no text."""
    return Of(FromMetadata(name), types or None)


def hour_of(take: object) -> Of | Field:
    """The hour, in UTC, in which a time lies: `hour_of(occurred_at())`."""
    return _truncated("hour", take)


def day_of(take: object) -> Of | Field:
    """The day, in UTC, in which a time lies."""
    return _truncated("day", take)


def always(value: object, *types: type[Event]) -> Of:
    """The same value for every event of these types."""
    return Of(Constant(value), types or None)


def nothing(*types: type[Event]) -> Of:
    """Null: an event of these types clears the column."""
    return Of(Constant(None), types)


def field_of(descriptor: object) -> Field:
    """The field that `EventType.name` denotes.

    A field that a base class declares counts for every event type below that class.

    Raises:
        TypeError: when it is not a field of an event type.
    """
    owner = getattr(descriptor, "__objclass__", None)
    name = getattr(descriptor, "__name__", None)
    if not (isinstance(owner, type) and issubclass(owner, Event) and isinstance(name, str)):
        raise TypeError(
            f"{descriptor!r} is not a field of an event type, as in MoleculeCreated.name"
        )
    return Field(owner, name)


def source_of(take: object) -> Of | Field:
    """What a declaration takes, be it a field or made by a function of this module.

    Raises:
        TypeError: when it is neither.
    """
    return take if isinstance(take, Of | Field) else field_of(take)


def _truncated(unit: TimeUnit, take: object) -> Of | Field:
    source = source_of(take)
    if isinstance(source, Field):
        return replace(source, unit=unit)
    if not isinstance(source.value, Envelope):
        raise TypeError(f"{take!r} is neither a field nor occurred_at()")
    return Of(Truncated(unit, source.value), source.types)
