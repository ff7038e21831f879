"""How an event type evolves: declared steps that bring an old payload to today's fields.

Events are never rewritten. A payload of an older schema version is brought up to date when it is
read: by `upcast` in Python, by the SQL function upcast_payload in folds, from the same declaration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

_EXACT = Context(prec=1000)

JsonStep = dict[str, list[Any]]


@dataclass(frozen=True)
class Rename:
    """A field has another name now."""

    old: str
    new: str

    def apply(self, data: dict[str, Any]) -> dict[str, Any]:
        """The payload after the step."""
        if self.old not in data:
            return data
        rest = {name: value for name, value in data.items() if name != self.old}
        return {**rest, self.new: data[self.old]}

    def json(self) -> JsonStep:
        """The step as upcast_payload takes it."""
        return {"rename": [self.old, self.new]}


@dataclass(frozen=True)
class Default:
    """A field is there now; where it is absent it had this JSON value."""

    name: str
    value: Any

    def apply(self, data: dict[str, Any]) -> dict[str, Any]:
        """The payload after the step."""
        return {self.name: self.value, **data}

    def json(self) -> JsonStep:
        """The step as upcast_payload takes it."""
        return {"default": [self.name, self.value]}


@dataclass(frozen=True)
class Convert:
    """A number has another unit now: new = old × factor + offset, in exact decimals.

    factor and offset are decimal literals, as "27.211386245988". Absent and null stay as they are.
    """

    name: str
    factor: str
    offset: str = "0"

    def apply(self, data: dict[str, Any]) -> dict[str, Any]:
        """The payload after the step."""
        value = data.get(self.name)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return data
        exact = _EXACT.add(
            _EXACT.multiply(Decimal(str(value)), Decimal(self.factor)), Decimal(self.offset)
        )
        if isinstance(value, Decimal):
            return {**data, self.name: exact}
        return {**data, self.name: int(exact) if exact == exact.to_integral() else float(exact)}

    def json(self) -> JsonStep:
        """The step as upcast_payload takes it."""
        return {"convert": [self.name, self.factor, self.offset]}


@dataclass(frozen=True)
class Drop:
    """A field is not there any more."""

    name: str

    def apply(self, data: dict[str, Any]) -> dict[str, Any]:
        """The payload after the step."""
        return {name: value for name, value in data.items() if name != self.name}

    def json(self) -> JsonStep:
        """The step as upcast_payload takes it."""
        return {"drop": [self.name]}


Step = Rename | Default | Convert | Drop
History = Sequence[Sequence[Step]]
"""For each schema version before today's, the steps that lead to the next one."""


def upcast(history: History, schema_version: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """A payload of an older schema version as one of today's."""
    result = dict(data)
    for steps in history[schema_version - 1 :]:
        for step in steps:
            result = step.apply(result)
    return result


def steps_from(history: History, schema_version: int) -> list[JsonStep]:
    """The steps from a schema version to today's, as upcast_payload takes them."""
    return [step.json() for steps in history[schema_version - 1 :] for step in steps]
