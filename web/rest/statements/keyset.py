"""Keyset pages: the rows behind a row, found by what they are sorted by instead of by counting.

A page that begins at a place costs its own rows, however far it is from the first one, and misses
none and repeats none when others are added meanwhile.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSON

from quantum_forge.web.rest.errors import RestError


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """A term of an order.

    nulls_first: None, where PostgreSQL has them. required: whether there are none.
    """

    value: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None
    required: bool = False

    @property
    def clause(self) -> ColumnElement[Any]:
        """The term as it is sorted by."""
        term = self.value.desc() if self.descending else self.value.asc()
        if self.nulls_first is None:
            return term
        return term.nulls_first() if self.nulls_first else term.nulls_last()

    def behind(self, written: str | None) -> ColumnElement[bool]:
        """Whether a row is sorted behind one that has this value."""
        nulls_first = self.descending if self.nulls_first is None else self.nulls_first
        if written is None:
            return self.value.is_not(null()) if nulls_first else false()
        value = cast(literal(written, Text()), self.value.type)
        beyond = self.value < value if self.descending else self.value > value
        return beyond if nulls_first or self.required else or_(beyond, self.value.is_(null()))

    def same(self, written: str | None) -> ColumnElement[bool]:
        """Whether a row has this value."""
        if written is None:
            return self.value.is_(null())
        found: ColumnElement[bool] = self.value == cast(literal(written, Text()), self.value.type)
        return found


def place_of(order: Sequence[Sorted]) -> ColumnElement[str]:
    """Return where a row is: what it is sorted by, as a text."""
    values = (cast(term.value, Text()) for term in order)
    return cast(func.json_build_array(*values, type_=JSON()), Text())


def token_of(place: str) -> str:
    """Return a place as it is written in an address."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def behind(order: Sequence[Sorted], token: str) -> ColumnElement[bool]:
    """Return the condition that a row comes behind a place.

    Raises:
        RestError: PGRST100, for what is no place in this order.
    """
    values = _values(token)
    if values is None or len(values) != len(order):
        raise RestError(
            400,
            "PGRST100",
            f'"failed to parse after ({token})" (line 1, column 1)',
            details="it is no place in this order",
            hint="Follow the address in the Link header of a page, or begin with after= alone.",
        )
    if all(term.required and not term.descending for term in order):
        # As one comparison of rows, which an index serves from its place on.
        places = (
            cast(literal(value, Text()), term.value.type)
            for term, value in zip(order, values, strict=True)
        )
        found: ColumnElement[bool] = tuple_(*(term.value for term in order)) > tuple_(*places)
        return found
    return or_(*_steps(order, values))


def _steps(order: Sequence[Sorted], values: Sequence[str | None]) -> Iterator[ColumnElement[bool]]:
    """For each term: the same values as far as it, and behind from there."""
    for place, term in enumerate(order):
        earlier = zip(order[:place], values, strict=False)
        same = (each.same(value) for each, value in earlier)
        yield and_(*same, term.behind(values[place]))


def _values(token: str) -> list[str | None] | None:
    try:
        place = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return msgspec.json.decode(place, type=list[str | None])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
