"""Which fields of events hold what became of a secret, so that no summary repeats them."""

import types
import typing
from typing import Annotated

from msgspec import Meta

from quantum_forge.schema.language.event import Event, hints_of

SECRET = {"secret": True}
"""Marks a type, as in `Annotated[str, Meta(pattern=…, extra=SECRET)]`: a hash, a ciphertext."""


def secret_fields(cls: type[Event]) -> list[str]:
    """The fields of an event type that hold a hash or a ciphertext."""
    hints = hints_of(cls)
    return [name for name in cls.__struct_fields__ if _is_secret(hints[name])]


def _is_secret(hint: object) -> bool:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Annotated:
        return any(isinstance(part, Meta) and part.extra == SECRET for part in arguments[1:])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(map(_is_secret, arguments))
    return False
