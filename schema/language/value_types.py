"""Which kinds of value the fields of events let through, and which columns hold them."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Float,
    Integer,
    Numeric,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import BIT, JSONB

from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.field_types import alternatives, bare, field_types, longest
from quantum_forge.schema.language.fields import LONGEST_INDEXED
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.value import (
    Constant,
    Element,
    ElementIndex,
    Envelope,
    EnvelopeName,
    Field,
    FromMetadata,
    Payload,
    ShortFacts,
    Truncated,
    Value,
)

MISSING = frozenset({"NoneType", "UnsetType"})
"""What leaves no value behind: null, and a field that is absent."""

_FITS: Mapping[str, tuple[type[Any], ...]] = {
    "IntType": (Integer, BigInteger, Double, Numeric),
    "FloatType": (Double, Numeric),
    "StrType": (Text, BIT),
    "EnumType": (Text,),
    "UUIDType": (Uuid,),
    "BoolType": (Boolean,),
    "DateTimeType": (DateTime,),
    "ListType": (JSONB,),
    "DictType": (JSONB,),
    "AnyType": (JSONB,),
}

_TALLIED = frozenset({"StrType", "EnumType", "IntType", "BoolType", "UUIDType"})
"""What has one text only, whoever writes it: not 1e-7, and not a time."""

_SHORT = frozenset(
    {"StrType", "EnumType", "IntType", "FloatType", "BoolType", "UUIDType", "DateTimeType"}
)

_ENVELOPE: Mapping[EnvelopeName, frozenset[str]] = {
    "position": frozenset({"IntType"}),
    "event_id": frozenset({"UUIDType"}),
    "entity_type": frozenset({"StrType"}),
    "entity_id": frozenset({"UUIDType"}),
    "event_type": frozenset({"StrType"}),
    "data": frozenset({"DictType"}),
    "metadata": frozenset({"DictType"}),
    "user_id": frozenset({"UUIDType", "NoneType"}),
    "occurred_at": frozenset({"DateTimeType"}),
    "recorded_at": frozenset({"DateTimeType"}),
}


def kinds_of(cls: type[Event], value: Value, elements: Field | None) -> frozenset[str]:
    """The kinds of value that an event of a type gives, by the names that msgspec has for types.

    Args:
        cls: the event type.
        value: what is taken from the event.
        elements: the list whose elements it is spread over, if it is.
    """
    match value:
        case Payload() | Element():
            return _kinds(_type_of(cls, value, elements))
        case ElementIndex():
            return frozenset({"IntType"})
        case Envelope(name):
            return _ENVELOPE[name]
        case FromMetadata():
            return frozenset({"StrType", "NoneType"})
        case ShortFacts():
            return frozenset({"DictType"})
        case Truncated(_, inner):
            return kinds_of(cls, inner, elements)
        case Constant(constant):
            return _kinds(inspect.type_info(type(constant)))


def element_class(cls: type[Event], elements: Field | None) -> type[msgspec.Struct] | None:
    """The record that each element of the list is; None when it is a plain value."""
    item = _item(cls, elements)
    return item.cls if isinstance(item, inspect.StructType) else None


def misfit(column: Column[Any], operation: Operation, kinds: Collection[str]) -> str | None:
    """What of these kinds a column cannot hold after this operation, in words; None if all fits."""
    there = set(kinds) - MISSING
    match operation:
        case Operation.COUNT:
            return None if isinstance(column.type, Integer) else "a count"
        case Operation.TALLY if not isinstance(column.type, JSONB):
            return "a tally"
        case Operation.TALLY:
            return None if there <= _TALLIED else _listed(there)
        case Operation.SUM if not _is_exact(column):
            return "a sum (its rounding would depend on the batches)"
        case Operation.MIN | Operation.MAX if not _is_ordered(column):
            return "an order (or one that depends on the collation)"
    fits = all(isinstance(column.type, _FITS.get(kind, (JSONB,))) for kind in there)
    return None if fits else _listed(there)


def lets_through(cls: type[Event], name: str, value: object) -> bool:
    """Whether a field of an event type can have a JSON value."""
    fields = {field.name: field.type for field in msgspec.structs.fields(cls)}
    try:
        # The absent has no JSON value, so msgspec looks at the other types of the union.
        msgspec.convert(value, fields[name])
    except msgspec.ValidationError:
        return False
    return True


def is_too_long_to_sort(cls: type[Event], value: Value, elements: Field | None) -> bool:
    """Whether an event of a type can give a text that has no room in a B-tree."""
    if isinstance(value, FromMetadata):
        return True
    if not isinstance(value, Payload | Element):
        return False
    type_ = _type_of(cls, value, elements)
    if not any(isinstance(bare(part), inspect.StrType) for part in alternatives(type_)):
        return False
    limit = longest(type_)
    return limit is None or limit > LONGEST_INDEXED


def lists_of(cls: type[Event]) -> list[str]:
    """The fields of an event type that are lists, and so may be long."""
    return [name for name, type_ in field_types(cls).items() if isinstance(type_, inspect.ListType)]


def long_fields(cls: type[Event]) -> list[str]:
    """The fields of an event type that are lists or objects."""
    return [
        name for name in cls.__struct_fields__ if not _kinds_of_field(cls, name) - MISSING <= _SHORT
    ]


def _type_of(cls: type[Event], value: Payload | Element, elements: Field | None) -> inspect.Type:
    """The type of the field, or of the part of each element, that a value is taken from."""
    match value:
        case Payload(name):
            return field_types(cls)[name]
        case Element(None):
            return _item(cls, elements)
        case Element(part):
            struct = element_class(cls, elements)
            assert struct is not None
            name = struct.__struct_fields__[part] if isinstance(part, int) else str(part)
            return field_types(struct)[name]


def _item(cls: type[Event], elements: Field | None) -> inspect.Type:
    assert elements is not None
    type_ = field_types(cls)[elements.name]
    return type_.item_type if isinstance(type_, inspect.ListType) else inspect.AnyType()


@cache
def _kinds_of_field(cls: type[msgspec.Struct], name: str) -> frozenset[str]:
    return _kinds(field_types(cls)[name])


def _kinds(type_: inspect.Type) -> frozenset[str]:
    return frozenset(type(bare(part)).__name__ for part in alternatives(type_))


def _is_exact(column: Column[Any]) -> bool:
    return isinstance(column.type, Integer | Numeric) and not isinstance(column.type, Float)


def _is_ordered(column: Column[Any]) -> bool:
    """Whether every PostgreSQL and Python agree on which value is less."""
    return isinstance(column.type, Integer | Numeric | Float | DateTime)


def _listed(kinds: Collection[str]) -> str:
    return " or ".join(sorted(kinds))
