"""Types of the fields of events, as msgspec reads the declarations."""

from collections.abc import Mapping, Sequence
from functools import cache

import msgspec
from msgspec.inspect import ListType, Metadata, StrType, StructType, Type, UnionType

LONGEST = "longest"
"""Key of the number of characters in the `extra` of a type's `Meta`: see `fields.at_most`."""

FORM = "form"
"""Key of the form that a text must have, in words, in the `extra`: see `fields.in_the_form`."""


@cache
def field_types(cls: type[msgspec.Struct]) -> Mapping[str, Type]:
    """Return the type of each field, in the order of declaration; that of UNSET is left out."""
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, StructType)
    return {field.name: field.type for field in info.fields}


def alternatives(type_: Type) -> tuple[Type, ...]:
    """Return the members of a union, or the type alone."""
    return type_.types if isinstance(type_, UnionType) else (type_,)


def bare(type_: Type) -> Type:
    """Return a type without what `Meta(extra=…)` attaches to it."""
    return type_.type if isinstance(type_, Metadata) else type_


@cache
def longest_texts(cls: type[msgspec.Struct]) -> Mapping[str, int]:
    """Return how many characters each text, or each text of a list, may have that is limited."""
    limits = {name: _longest_inside(type_) for name, type_ in field_types(cls).items()}
    return {name: limit for name, limit in limits.items() if limit is not None}


@cache
def limited_records(cls: type[msgspec.Struct]) -> Sequence[str]:
    """Return the fields that are lists of records with limited texts."""
    return [
        name
        for name, type_ in field_types(cls).items()
        for part in alternatives(type_)
        if isinstance(part, ListType)
        and isinstance(part.item_type, StructType)
        and longest_texts(part.item_type.cls)
    ]


def longest(type_: Type) -> int | None:
    """Return the number of characters that a text of this type may have; None for any number."""
    limits = [limit for part in alternatives(type_) if (limit := _declared(part)) is not None]
    return max(limits, default=None)


@cache
def form_of(cls: type[msgspec.Struct], name: str) -> str | None:
    """Return in words the form that a text field must have; None where no words are declared."""
    for part in alternatives(field_types(cls)[name]):
        if isinstance(part, Metadata) and part.extra and FORM in part.extra:
            return str(part.extra[FORM])
    return None


def _longest_inside(type_: Type) -> int | None:
    lists = [part for part in alternatives(type_) if isinstance(part, ListType)]
    return longest(lists[0].item_type) if lists else longest(type_)


def _declared(type_: Type) -> int | None:
    if isinstance(type_, Metadata) and type_.extra and LONGEST in type_.extra:
        return int(type_.extra[LONGEST])
    text = bare(type_)
    return text.max_length if isinstance(text, StrType) else None
