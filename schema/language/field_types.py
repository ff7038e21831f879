"""Types of the fields of events, as msgspec reads the declarations."""

from collections.abc import Mapping
from functools import cache

import msgspec
from msgspec.inspect import Metadata, StructType, Type, UnionType


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
