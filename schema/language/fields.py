"""Types of fields that the events of several domains have."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from quantum_forge.schema.language.field_types import FORM, LONGEST

Timestamp = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0)]

LONGEST_INDEXED = 500
"""Characters of a text in an index: with 4 bytes for each, an entry of a B-tree (2,704 bytes) has
room for it beside a tenant, two ids and a time."""


def at_most(characters: int, *, min_length: int | None = None) -> Meta:
    """The mark of a text that is refused beyond so many characters when it is recorded.

    An older event whose text is longer is still read: `max_length` of msgspec would refuse it.
    """
    return Meta(min_length=min_length, extra={LONGEST: characters})


def in_the_form(pattern: str, words: str, *, max_length: int | None = None) -> Meta:
    """The mark of a text that must match a pattern; errors say it in words: "must be …"."""
    return Meta(pattern=pattern, max_length=max_length, extra={FORM: words})


Name = Annotated[str, at_most(LONGEST_INDEXED, min_length=1)]
"""What people call something."""

IndexedText = Annotated[str, at_most(LONGEST_INDEXED)]
"""Any other text by which rows are found: a method, a service, a path."""

NonEmptyText = Annotated[str, Meta(min_length=1)]
"""A text that no index has: it may be as long as an event."""


class Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field's value before and after."""

    old: Any
    new: Any
