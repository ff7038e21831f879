"""What an event type consists of, in words: for people who record by hand, and the reference."""

import types
import typing
from datetime import datetime
from enum import Enum
from uuid import UUID

import msgspec

from quantum_forge.schema.language.event import Event, hints_of, required_fields

_SIMPLE = {str: "text", int: "integer", float: "number", bool: "yes or no", UUID: "id"}


class FieldDescription(msgspec.Struct, frozen=True):
    """A field of an event: what it holds, and whether it has to be there."""

    name: str
    holds: str
    required: bool


def fields_of(cls: type[Event]) -> list[FieldDescription]:
    """The fields of an event type, in the order of declaration."""
    required = required_fields(cls)
    return [
        FieldDescription(name, _holds(hints_of(cls)[name]), name in required)
        for name in cls.__struct_fields__
    ]


def summary_of(cls: type[Event]) -> str:
    """The first sentence of an event type's documentation."""
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")


def _holds(hint: object) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _holds(arguments[0]) + _within(arguments[1])
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in arguments if part not in (msgspec.UnsetType, type(None))]
        null = ["null"] if type(None) in arguments else []
        return " or ".join([*map(_holds, parts), *null])
    if origin is list:
        return f"list of {_holds(arguments[0])}"
    if hint is dict or origin is dict:
        return "object"
    if hint is datetime:
        return "time"
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(str(member.value) for member in hint)
    if isinstance(hint, type):
        return _SIMPLE.get(hint, hint.__name__)
    return "anything"


def _within(meta: object) -> str:
    if not isinstance(meta, msgspec.Meta):
        return ""
    bounds = [
        *((f"≥ {meta.ge:g}",) if meta.ge is not None else ()),
        *((f"> {meta.gt:g}",) if meta.gt is not None else ()),
        *((f"≤ {meta.le:g}",) if meta.le is not None else ()),
        *((f"like {meta.pattern}",) if meta.pattern is not None else ()),
        *((f"at least {meta.min_length} long",) if meta.min_length else ()),
        *((f"at most {meta.max_length} long",) if meta.max_length else ()),
    ]
    return f" ({', '.join(bounds)})" if bounds else ""
