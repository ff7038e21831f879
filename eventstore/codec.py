"""How a payload becomes JSON and back: strictly, naming the field that does not fit."""

import math
from collections.abc import Iterator
from functools import cache

import msgspec

from eventstore.errors import EventRefused
from schema.events import EVENTS, Event


@cache
def _decoder(cls: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(cls)


def event_class(event_type: str) -> type[Event]:
    """The payload class of an event type.

    Raises:
        EventRefused: when there is no such type.
    """
    try:
        return EVENTS[event_type]
    except KeyError:
        raise EventRefused(
            event_type, f"unknown event type; known are {', '.join(sorted(EVENTS))}"
        ) from None


def encode(event: Event) -> bytes:
    """The JSON of an event, proven to read back as an equal event.

    Raises:
        EventRefused: when a field has the wrong type, is NaN or infinite, or cannot be stored; it
            names the field.
    """
    cls = type(event)
    if EVENTS.get(getattr(cls, "event_type", "")) is not cls:
        raise EventRefused(cls.__name__, "not a registered event type; declare it with @event")
    try:
        data = msgspec.json.encode(event)
        # A Struct does not check its fields when it is made, and NaN is written as null.
        same = _decoder(cls).decode(data) == event
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError, RecursionError) as error:
        raise EventRefused(cls.event_type, _with_non_finite(event, str(error))) from error
    if not same:
        raise EventRefused(
            cls.event_type, _with_non_finite(event, "a field does not read back as it was written")
        )
    if b"\\u0000" in data:
        for path, value in _leaves(event):
            if isinstance(value, str) and "\0" in value:
                raise EventRefused(
                    cls.event_type, f"a NUL character cannot be stored - at `{path}`"
                )
    return data


def decode(event_type: str, data: bytes | dict[str, object]) -> Event:
    """The event that a stored or given JSON object is.

    Raises:
        EventRefused: when the type is unknown or the object does not fit it; it names the field.
    """
    cls = event_class(event_type)
    try:
        if isinstance(data, bytes):
            return _decoder(cls).decode(data)
        return msgspec.convert(data, cls)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventRefused(event_type, str(error)) from error


def _leaves(value: object, path: str = "$") -> Iterator[tuple[str, object]]:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _leaves(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"{path} (a key)", key
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _with_non_finite(event: Event, reason: str) -> str:
    """`reason`, unless a NaN or infinity explains it better."""
    for path, value in _leaves(event):
        if isinstance(value, float) and not math.isfinite(value):
            return f"{value} is not a number that can be stored - at `{path}`"
    return reason
