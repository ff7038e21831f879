"""Outputs: the values of a row of the reply under their keys, and the JSON that they make."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Text, cast, func, literal
from sqlalchemy.dialects.postgresql import JSON, JSONB

from quantum_forge.web.rest.request.query import Aggregate, Column
from quantum_forge.web.rest.statements.conditions import cast_type

_PAIRS = 50
"""Keys that json_build_object can take with their values: a function has 100 arguments."""


class Output(Struct, frozen=True, kw_only=True):
    """A value of the rows of the reply, under its key.

    value: None for a count of rows. aggregate: to be applied to the rows of a group, then cast.
    """

    key: str
    value: ColumnElement[Any] | None
    aggregate: Aggregate | None = None
    aggregate_cast: str | None = None

    @property
    def expression(self) -> ColumnElement[Any]:
        """The value as it is selected."""
        if self.aggregate is None:
            assert self.value is not None
            return self.value
        if self.value is None:
            found: ColumnElement[Any] = func.count()
        else:
            found = getattr(func, self.aggregate)(self.value)
        return found if self.aggregate_cast is None else cast(found, cast_type(self.aggregate_cast))


def own_key(item: Column) -> str:
    """The key of a value without an alias: its aggregate, the last key of its JSON, its name."""
    if item.aggregate is not None:
        return str(item.aggregate)
    assert item.field is not None
    keys = [step.key for step in item.field.steps if isinstance(step.key, str)]
    return keys[-1] if keys else item.field.name


def groups_of(outputs: Sequence[Output]) -> list[ColumnElement[Any]] | None:
    """What rows are grouped by; None: they are not."""
    if not any(output.aggregate for output in outputs):
        return None
    return [
        cast(output.value, JSONB()) if type(output.value.type) is JSON else output.value
        for output in outputs
        if output.aggregate is None and output.value is not None
    ]


def document_of(outputs: Sequence[Output]) -> ColumnElement[Any]:
    """The JSON object of a row."""
    grouped = groups_of(outputs) is not None
    parts = []
    for start in range(0, max(1, len(outputs)), _PAIRS):
        arguments: list[ColumnElement[Any]] = []
        for output in outputs[start : start + _PAIRS]:
            value = output.expression
            if grouped and output.aggregate is None and type(value.type) is JSON:
                value = cast(value, JSONB())
            arguments += [literal(output.key, Text()), value]
        parts.append(func.json_build_object(*arguments, type_=JSON()))
    document: ColumnElement[Any] = parts[0]
    for part in parts[1:]:
        # Two objects as one text: `{a}` without its end, a comma, `{b}` without its beginning.
        head = func.left(cast(document, Text()), -1)
        tail = func.substr(cast(part, Text()), 2)
        document = cast(func.concat(head, ",", tail), JSON())
    return document
