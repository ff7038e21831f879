"""Which fields of events hold what became of a secret, so that no summary repeats them."""

from msgspec.inspect import Metadata, Type

from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.field_types import alternatives, field_types

SECRET = {"secret": True}
"""Marks a type, as in `Annotated[str, Meta(pattern=…, extra=SECRET)]`: a hash, a ciphertext."""


def secret_fields(cls: type[Event]) -> list[str]:
    """The fields of an event type that hold a hash or a ciphertext."""
    return [
        name
        for name, type_ in field_types(cls).items()
        if any(map(_is_secret, alternatives(type_)))
    ]


def _is_secret(type_: Type) -> bool:
    return isinstance(type_, Metadata) and type_.extra == SECRET
