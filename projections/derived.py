"""Columns that follow from others of their row: `this.total_seconds / this.calculation_count`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import add, mul, sub, truediv
from typing import Any, Final

from sqlalchemy import ColumnElement, DateTime, Double, cast, func, literal
from sqlalchemy.types import TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {"+": add, "-": sub, "*": mul, "/": truediv}


@dataclass(frozen=True)
class Derived:
    """A number that follows from a row, in double precision.

    Null where a column that it needs is null, or where it would be divided by zero. A time counts
    as seconds, so that the difference of two times is a duration.
    """

    def __add__(self, other: "Derived | float") -> "Derived":
        return _Computed("+", self, _operand(other))

    def __sub__(self, other: "Derived | float") -> "Derived":
        return _Computed("-", self, _operand(other))

    def __mul__(self, other: "Derived | float") -> "Derived":
        return _Computed("*", self, _operand(other))

    def __truediv__(self, other: "Derived | float") -> "Derived":
        return _Computed("/", self, _operand(other))

    def columns(self) -> Iterator[str]:
        """The names of the columns that it needs."""
        yield from ()

    def sql(self, row: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        """The number, given each column that it needs as an expression."""
        raise NotImplementedError

    def value(self, row: Mapping[str, Any]) -> float | None:
        """The number, given each column's value."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Column(Derived):
    name: str

    def columns(self) -> Iterator[str]:
        yield self.name

    def sql(self, row: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        column = row[self.name]
        # Times by their microseconds, exactly: the session's time zone has no say.
        number = func.extract("epoch", column) if _is_time(column.type) else column
        return cast(number, Double)

    def value(self, row: Mapping[str, Any]) -> float | None:
        value = row[self.name]
        if isinstance(value, datetime):
            return (value - _EPOCH) // _MICROSECOND / 1_000_000
        return None if value is None else float(value)


@dataclass(frozen=True)
class _Number(Derived):
    number: float

    def sql(self, row: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:  # noqa: ARG002
        return cast(literal(self.number, Double), Double)

    def value(self, row: Mapping[str, Any]) -> float | None:  # noqa: ARG002
        return self.number


@dataclass(frozen=True)
class _Computed(Derived):
    sign: str
    left: Derived
    right: Derived

    def columns(self) -> Iterator[str]:
        yield from self.left.columns()
        yield from self.right.columns()

    def sql(self, row: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        left, right = self.left.sql(row), self.right.sql(row)
        if self.sign == "/":
            right = func.nullif(right, cast(literal(0.0, Double), Double), type_=Double())
        return left.op(self.sign, return_type=Double())(right)

    def value(self, row: Mapping[str, Any]) -> float | None:
        left, right = self.left.value(row), self.right.value(row)
        if left is None or right is None or (self.sign == "/" and right == 0):
            return None
        result: float = _OPERATIONS[self.sign](left, right)
        return result


class _This:
    """The row itself: each attribute is the column of that name."""

    def __getattr__(self, name: str) -> Derived:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Column(name)


this: Final = _This()
"""The row that a derived column belongs to; `this.name` is its column of that name."""


def _operand(other: Derived | float) -> Derived:
    return other if isinstance(other, Derived) else _Number(float(other))


def _is_time(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, DateTime)
