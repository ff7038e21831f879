"""Strict encoding of payloads as JSON, and decoding, with the field named that does not fit."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.evolution import upcast
from quantum_forge.schema.language.field_types import form_of, limited_records, longest_texts

_METADATA = "metadata"
_NOT_JSON = (msgspec.MsgspecError, TypeError, UnicodeEncodeError, RecursionError)
_PATTERN = re.compile(r"Expected `str` matching regex .* - at `\$\.(\w+)`", re.DOTALL)
"""What msgspec says of a text that does not match the pattern of its field."""
_SURROGATE = re.compile("[\ud800-\udfff]")


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
        every = f"the types are {', '.join(sorted(EVENTS))}."
        raise EventRefused(
            event_type,
            f"unknown event type; {suggestion(event_type, EVENTS, otherwise=every)} If another "
            "module declares it, name that module in QFORGE_DOMAINS",
        ) from None


def require_entity_type(name: str) -> str:
    """Return the name of an entity type that an event type is declared for.

    Raises:
        EventRefused: when there is none of this name.
    """
    known = sorted({cls.entity_type for cls in EVENTS.values()})
    if name not in known:
        every = f"the types are {', '.join(known)}"
        hint = suggestion(name, known, otherwise=every)
        raise EventRefused(name, f"unknown entity type; {hint}")
    return name


def encode(event: Event) -> bytes:
    """The JSON of an event, proven to read back as an equal event.

    Raises:
        EventRefused: when a field has the wrong type, is NaN or infinite, is longer than its type
            allows, or cannot be stored; it names the field.
    """
    cls = type(event)
    if EVENTS.get(getattr(cls, "event_type", "")) is not cls:
        raise EventRefused(cls.__name__, "not a registered event type; declare it with @event")
    if (too_long := _too_long(event)) is not None:
        raise EventRefused(cls.event_type, too_long)
    try:
        data = msgspec.json.encode(event)
        # A Struct does not check its fields when it is made, and NaN is written as null.
        read = _decoder(cls).decode(data)
        same = read == event or read == _with_lists(event)
    except _NOT_JSON as error:
        reason = _in_words(cls, str(error))
        raise EventRefused(cls.event_type, _explained(event, reason)) from error
    if not same:
        raise EventRefused(
            cls.event_type, _explained(event, "a field changes when it is written and read back")
        )
    _refuse_nul(cls.event_type, event, data)
    return data


def _with_lists(event: Event) -> Event:
    """An event whose objects hold lists in place of tuples: in JSON both are arrays."""
    changed = {
        name: _listed(value)
        if isinstance(value, dict)
        else [_listed(item) if isinstance(item, dict) else item for item in value]
        for name in event.__struct_fields__
        if isinstance(value := getattr(event, name), dict | list)
    }
    return msgspec.structs.replace(event, **changed)


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return value


def encode_metadata(event_type: str, metadata: dict[str, Any]) -> bytes:
    """The JSON of what surrounds an event of this type.

    Raises:
        EventRefused: when it is not an object, or has a part that cannot be stored, which it names.
    """
    try:
        data = msgspec.json.encode(metadata)
    except _NOT_JSON as error:
        raise EventRefused(event_type, _explained(metadata, str(error), _METADATA)) from error
    if not data.startswith(b"{"):
        raise EventRefused(event_type, f"metadata is not an object but {type(metadata).__name__}")
    if b"null" in data and (reason := _explained(metadata, "", _METADATA)):
        raise EventRefused(event_type, reason)
    _refuse_nul(event_type, metadata, data, _METADATA)
    return data


def decode(
    event_type: str, data: bytes | dict[str, Any], *, schema_version: int | None = None
) -> Event:
    """The event that a stored or given JSON object is.

    Args:
        event_type: its name.
        data: its payload.
        schema_version: with which it was stored; an older one is brought up to date. Today's,
            unless given.

    Raises:
        EventRefused: when the type is unknown, the object does not fit it (it names the field), or
            a newer program wrote it.
    """
    cls = EVENTS.get(event_type) or event_class(event_type)
    try:
        if schema_version is not None and schema_version != cls.schema_version:
            data = _up_to_date(cls, schema_version, data)
        if isinstance(data, bytes):
            return _decoder(cls).decode(data)
        return msgspec.convert(data, cls)
    except msgspec.DecodeError as error:
        found = malformed(error, data) if isinstance(data, bytes) else None
        raise EventRefused(event_type, found or _in_words(cls, str(error))) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventRefused(event_type, _in_words(cls, str(error))) from error


def decode_object(document: bytes | msgspec.Raw) -> dict[str, Any]:
    """A stored JSON object as it is, whatever its type, with numbers too large for Python's own."""
    try:
        return _any_object.decode(document)
    except msgspec.MsgspecError:
        parsed: dict[str, Any] = parse_json(bytes(document))
        return parsed


_any_object: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def malformed(error: Exception, document: bytes) -> str | None:
    """Say where a document stops being JSON; None for JSON that only does not fit its type."""
    if isinstance(error, msgspec.ValidationError):
        return None
    try:
        parse_json(document)
    except json.JSONDecodeError as found:
        where = f"line {found.lineno}, column {found.colno}"
        return f"not JSON: {found.msg[:1].lower()}{found.msg[1:]}: {where}"
    except (ValueError, RecursionError):
        pass
    return f"not JSON: {error}"


def parse_json(document: bytes) -> Any:
    """Any JSON, with the integers that Python's int refuses for their length as decimals."""
    try:
        return json.loads(document)
    except ValueError:
        return json.loads(document, parse_int=_integer)


def _integer(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


def _up_to_date(
    cls: type[Event], schema_version: int, data: bytes | dict[str, Any]
) -> dict[str, Any]:
    if not 0 < schema_version < cls.schema_version:
        raise EventRefused(
            cls.event_type,
            f"schema version {schema_version} is unknown to this program (it knows 1 to"
            f" {cls.schema_version}); a newer quantum-forge wrote it, so install that",
        )
    fields = msgspec.json.decode(data, type=dict[str, Any]) if isinstance(data, bytes) else data
    return upcast(cls.history, schema_version, fields)


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


def _explained(value: object, reason: str, path: str = "$") -> str:
    """`reason`, unless a NaN, an infinity or half a character explains it better."""
    # A value may be nested more deeply than Python calls.
    with suppress(RecursionError):
        for place, leaf in _leaves(value, path):
            if isinstance(leaf, float) and not math.isfinite(leaf):
                return f"{leaf} is not a number that can be stored - at `{place}`"
            if isinstance(leaf, str) and _SURROGATE.search(leaf):
                return f"half a character (a lone surrogate) cannot be stored - at `{place}`"
    return reason


def _in_words(cls: type[Event], reason: str) -> str:
    """The form that a text must have, instead of the pattern that it does not match."""
    found = _PATTERN.fullmatch(reason)
    form = None if found is None else form_of(cls, found[1])
    return reason if found is None or form is None else f"`{found[1]}` must be {form}"


def _too_long(record: msgspec.Struct, path: str = "") -> str | None:
    """Say which text of a record is longer than its type allows; None if none is."""
    for name, limit in longest_texts(type(record)).items():
        value = getattr(record, name)
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and len(text) > limit:
                return (
                    f"`{path}{name}` has {len(text):,} characters, and the limit is {limit:,}: "
                    "shorten it"
                )
    for name in limited_records(type(record)):
        value = getattr(record, name)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, msgspec.Struct):
                reason = _too_long(item, f"{path}{name}[{index}].")
                if reason is not None:
                    return reason
    return None


def _refuse_nul(event_type: str, value: object, data: bytes, path: str = "$") -> None:
    if b"\\u0000" not in data:
        return
    for place, leaf in _leaves(value, path):
        if isinstance(leaf, str) and "\0" in leaf:
            raise EventRefused(event_type, f"a NUL character cannot be stored - at `{place}`")
