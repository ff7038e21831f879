"""Conditions on columns as text, parsed by the column's type."""

import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Float,
    FromClause,
    Integer,
    Numeric,
    Text,
    Uuid,
    literal,
)
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.schema.language.table import either, words_of

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def value_of(column: ColumnElement[Any], written: str) -> Any:
    """The value that a text stands for in a column.

    Raises:
        ValueError: when the column cannot hold it, saying what it holds.
    """
    read, kind = _reader(column)
    try:
        value = read(written)
    except (ValueError, KeyError, ArithmeticError, msgspec.DecodeError):
        raise ValueError(f"{written!r} is not {kind}") from None
    return _known(column, value) if isinstance(value, str) else value


def _known(column: ColumnElement[Any], word: str) -> str:
    """A text, refused where the column holds one of a list of words and this is none of them."""
    words = words_of(column)
    if words is not None and word not in words:
        hint = suggestion(word, words, otherwise=f"it is {either(words)}")
        raise ValueError(f"{word!r} is never its value; {hint}")
    return word


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


def condition_of(table: FromClause, written: str) -> ColumnElement[bool]:
    """What a text such as `molecular_weight<300` or `name=aspirin` asks of rows.

    `COLUMN=` with nothing behind it asks for null.

    Raises:
        ValueError: when it is none, saying how to write one.
    """
    parts = re.fullmatch(r"\s*(\w+)\s*(<=|>=|<|>|=)\s*(.*?)\s*", written, re.DOTALL)
    names = [column.name for column in table.c]
    every = f"the columns are {', '.join(names)}"
    if parts is None:
        raise ValueError(f"{written!r}: write COLUMN<VALUE (or <=, =, >=, >); {every}")
    if parts[1] not in table.c:
        hint = suggestion(parts[1], names, otherwise=every)
        raise ValueError(f"{written!r}: no column {parts[1]!r}; {hint}")
    column = table.c[parts[1]]
    if not parts[3]:
        if parts[2] != "=":
            raise ValueError(f"{written!r}: a value is missing")
        return column.is_(None)
    try:
        value = value_of(column, parts[3])
    except ValueError as error:
        raise ValueError(f"{column.name}: {error}") from error
    compared: ColumnElement[bool] = _COMPARISONS[parts[2]](column, literal(value, column.type))
    return compared


def _reader(column: ColumnElement[Any]) -> tuple[Callable[[str], Any], str]:
    match column.type:
        case Uuid():
            return UUID, "a complete id"
        case Boolean():
            return lambda text: _BOOLEANS[text.lower()], "yes or no"
        case BigInteger():
            return lambda text: _integer(text, 63), "a whole number"
        case Integer():
            return lambda text: _integer(text, 31), "a whole number"
        case Float():
            return float, "a number"
        case Numeric():
            return column.type.python_type, "a number"
        case DateTime():
            return _time, "a time such as 2026-11-20T14:30"
        case JSONB():
            return msgspec.json.decode, "JSON"
        case Text():
            return _storable, "a text that PostgreSQL can hold"
    raise AssertionError(column.type)


def _integer(text: str, bits: int) -> int:
    value = int(text)
    if not -(2**bits) <= value < 2**bits:
        raise ValueError(text)
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.astimezone()


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError(text)
    return text
