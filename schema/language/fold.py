"""How the events that share a key collapse into one value: the operations of a declaration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.value import Constant, Field, Of, source_of


class Operation(Enum):
    """What a fold does with the values that it meets, in order of position."""

    FIRST = "first"
    LAST = "last"
    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    TALLY = "tally"


@dataclass(frozen=True)
class Fold:
    """A column's fold as it is declared.

    takes: where its values come from. where: payload fields that must have these values for an
    event to count.
    """

    operation: Operation
    takes: tuple[Field | Of, ...]
    where: Mapping[str, Any] = field(default_factory=dict)


def last(*takes: object, where: Mapping[str, Any] | None = None) -> Fold:
    """The latest value. An absent field leaves it alone, a null clears it."""
    return _fold(Operation.LAST, takes, where)


def first(*takes: object, where: Mapping[str, Any] | None = None) -> Fold:
    """The earliest value that is there: neither an absent field nor a null is one."""
    return _fold(Operation.FIRST, takes, where)


def count(*types: type[Event], where: Mapping[str, Any] | None = None) -> Fold:
    """How many events of these types there were."""
    return Fold(Operation.COUNT, tuple(Of(Constant(1), (type_,)) for type_ in types), where or {})


def total(*takes: object, where: Mapping[str, Any] | None = None) -> Fold:
    """The sum of the values that are there, 0 without any; exact, in a column that is."""
    return _fold(Operation.SUM, takes, where)


def balance(*, plus: Sequence[type[Event]], minus: Sequence[type[Event]]) -> Fold:
    """How many events of the one kind there were, less those of the other: what there is now."""
    signed = [(cls, 1) for cls in plus] + [(cls, -1) for cls in minus]
    return Fold(Operation.SUM, tuple(Of(Constant(sign), (cls,)) for cls, sign in signed))


def smallest(*takes: object, where: Mapping[str, Any] | None = None) -> Fold:
    """The minimum of the values that are there."""
    return _fold(Operation.MIN, takes, where)


def largest(*takes: object, where: Mapping[str, Any] | None = None) -> Fold:
    """The maximum of the values that are there."""
    return _fold(Operation.MAX, takes, where)


def tally(*takes: object, where: Mapping[str, Any] | None = None) -> Fold:
    """How often each value came, as {value: count}."""
    return _fold(Operation.TALLY, takes, where)


def constant(values: Mapping[type[Event], Any], where: Mapping[str, Any] | None = None) -> Fold:
    """The value that belongs to the type of the latest of these events: a status."""
    takes = tuple(Of(Constant(value), (type_,)) for type_, value in values.items())
    return Fold(Operation.LAST, takes, where or {})


def _fold(operation: Operation, takes: tuple[object, ...], where: Mapping[str, Any] | None) -> Fold:
    return Fold(operation, tuple(map(source_of, takes)), where or {})
