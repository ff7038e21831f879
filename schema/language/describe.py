"""What an event type consists of, in words: for people who record by hand, and the reference."""

import msgspec
from msgspec import inspect

from quantum_forge.schema.language.event import Event, required_fields
from quantum_forge.schema.language.field_types import alternatives, bare, field_types, longest

_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "yes or no",
    inspect.UUIDType: "id",
    inspect.DictType: "object",
    inspect.DateTimeType: "time",
    inspect.NoneType: "null",
}


class FieldDescription(msgspec.Struct, frozen=True):
    """A field of an event: what it holds, and whether it has to be there."""

    name: str
    holds: str
    required: bool


def fields_of(cls: type[Event]) -> list[FieldDescription]:
    """The fields of an event type, in the order of declaration."""
    required = required_fields(cls)
    return [
        FieldDescription(name, _holds(type_), name in required)
        for name, type_ in field_types(cls).items()
    ]


def summary_of(cls: type[Event]) -> str:
    """The first sentence of an event type's documentation."""
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")


def _holds(type_: inspect.Type) -> str:
    parts = sorted(alternatives(type_), key=lambda part: isinstance(part, inspect.NoneType))
    return " or ".join(_one(bare(part), longest(part)) for part in parts)


def _one(type_: inspect.Type, limit: int | None) -> str:
    match type_:
        case inspect.EnumType(cls):
            return " or ".join(str(member.value) for member in cls)
        case inspect.ListType(item):
            words = f"list of {_holds(item)}"
        case inspect.StructType(cls) | inspect.CustomType(cls):
            words = cls.__name__
        case _:
            words = _SIMPLE.get(type(type_), "anything")
    return words + _within(type_, limit)


def _within(type_: inspect.Type, limit: int | None) -> str:
    """Return the bounds of a type; each kind of type has some of them."""
    signs = {
        "ge": "≥ {:g}",
        "gt": "> {:g}",
        "le": "≤ {:g}",
        "pattern": "like {}",
        "min_length": "at least {} long",
    }
    bounds = [
        words.format(bound)
        for name, words in signs.items()
        if (bound := getattr(type_, name, None)) is not None
    ]
    most = getattr(type_, "max_length", None) if limit is None else limit
    if most is not None:
        bounds.append(f"at most {most} long")
    return f" ({', '.join(bounds)})" if bounds else ""
