"""A projection: the declaration of how one table follows from the log, checked when it is made."""

import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Float,
    Integer,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from projections.fold import Fold, Operation
from projections.value import (
    Constant,
    Element,
    ElementIndex,
    Envelope,
    Field,
    Of,
    Payload,
    Value,
    field_of,
)
from schema.events import Event

ENVELOPE_COLUMNS = ("tenant_id", "created_at", "updated_at", "last_position")
"""Columns that every read model has and the engine fills."""

_FITS: Mapping[str, tuple[type[Any], ...]] = {
    "IntType": (Integer, BigInteger, Double, Numeric),
    "FloatType": (Double, Numeric),
    "StrType": (Text,),
    "EnumType": (Text,),
    "UUIDType": (Uuid,),
    "BoolType": (Boolean,),
    "DateTimeType": (DateTime,),
    "ListType": (JSONB,),
    "DictType": (JSONB,),
    "AnyType": (JSONB,),
}


_TALLIED = frozenset({"StrType", "EnumType", "IntType", "BoolType", "UUIDType"})
"""What has one text only, whoever writes it: not 1e-7, and not a time."""


class WrongDeclaration(TypeError):
    """A projection contradicts the events or the table that it names."""


@dataclass(frozen=True)
class ColumnFold:
    """A column's fold, resolved: for each event type by name, the value that it takes."""

    column: Column[Any]
    operation: Operation
    values: Mapping[str, Value]
    where: Mapping[str, Any]


class Projection:
    """How one table follows from the log.

    Args:
        table: the read model; the projection has its name.
        events: the event types that it reads.
        key: for each key column after tenant_id, where it comes from: one source for all events, or
            several of which each event type takes the one that it has. An event whose key is null
            concerns no row.
        opens: the event types that can begin a row; others are ignored while there is none.
            All that do not end it, unless given.
        ends: the event types that end a row; what follows starts anew.
        elements: a list field; an event that has it touches one row per element.
        replaces: an event with `elements` ends the rows that earlier ones of its key made.
        columns: the folds of the columns. A column that is not named takes the last value of the
            field of its name, from every event type (or element) that has one.

    Raises:
        WrongDeclaration: naming the column and the line of the declaration.
    """

    def __init__(
        self,
        table: Table,
        *,
        events: Sequence[type[Event]],
        key: Mapping[str, object],
        opens: Sequence[type[Event]] = (),
        ends: Sequence[type[Event]] = (),
        elements: object = None,
        replaces: bool = False,
        columns: Mapping[str, Fold] | None = None,
    ) -> None:
        self.table = table
        self.name = str(table.name)  # a plain str, which msgspec can encode
        self.events = {cls.event_type: cls for cls in (*events, *ends)}
        self.ends = frozenset(cls.event_type for cls in ends)
        self.opens = frozenset(cls.event_type for cls in opens) or (
            frozenset(self.events) - self.ends
        )
        self.elements = field_of(elements) if elements is not None else None
        self.replaces = replaces
        if not self.opens <= frozenset(self.events):
            raise self._wrong("opens names an event type that is not among its events")
        self.key = self._resolved_key(key)
        self.folds = self._resolved_folds(columns or {})
        if replaces:
            self._check_replacing()

    def spreads(self, event_type: str) -> bool:
        """Whether an event of this type touches one row per element of a list."""
        field = self.elements
        return field is not None and issubclass(self.events[event_type], field.owner)

    def _resolved_key(self, key: Mapping[str, object]) -> dict[str, dict[str, Value]]:
        columns = [column.name for column in self.table.primary_key.columns]
        if columns != ["tenant_id", *key]:
            raise self._wrong(f"its key must be tenant_id and {', '.join(key)}, as in the table")
        resolved: dict[str, dict[str, Value]] = {}
        for name, source in key.items():
            sources = source if isinstance(source, tuple) else (source,)
            values: dict[str, Value] = {}
            for take in sources:
                for event_type, value in self._values(name, take).items():
                    values.setdefault(event_type, value)
            of_elements = self.replaces and any(map(_is_element, values.values()))
            for event_type in self.events:
                if event_type not in values and not (of_elements and event_type in self.ends):
                    raise self._wrong(f"key column {name} has no source in {event_type}")
            resolved[name] = values
        return resolved

    def _resolved_folds(self, declared: Mapping[str, Fold]) -> tuple[ColumnFold, ...]:
        for name in declared:
            if name not in self.table.c or name in self.key or name in ENVELOPE_COLUMNS:
                raise self._wrong(f"{name} is not a column that a fold can fill")
        return tuple(
            self._resolved_fold(column, declared.get(column.name))
            for column in self.table.columns
            if column.name not in (*self.key, *ENVELOPE_COLUMNS) and column.computed is None
        )

    def _resolved_fold(self, column: Column[Any], fold: Fold | None) -> ColumnFold:
        if fold is None:
            values = self._same_name(column.name)
            if not values:
                raise self._wrong(f"no event has a field {column.name}; say what fills the column")
            fold = Fold(Operation.LAST, ())
        else:
            values = {}
            for take in fold.takes:
                found = self._values(column.name, take)
                if isinstance(take, Of) and take.types is None:
                    # "Every event" is every event that leaves a row to put the value in.
                    found = {name: v for name, v in found.items() if name not in self.ends}
                values |= found
            if not values:
                raise self._wrong(
                    f"column {column.name} takes nothing from this projection's events"
                )
        for event_type, value in values.items():
            if event_type in self.ends:
                raise self._wrong(
                    f"column {column.name} takes a value from {event_type}, which ends"
                )
            self._check_type(column, fold.operation, event_type, value)
        for name in fold.where:
            for event_type in values:
                if name not in self.events[event_type].__struct_fields__:
                    raise self._wrong(f"column {column.name}: {event_type} has no field {name}")
        return ColumnFold(column, fold.operation, values, fold.where)

    def _same_name(self, name: str) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for event_type, cls in self.events.items():
            if event_type in self.ends:
                continue
            if self.spreads(event_type) and (part := self._part(event_type, name)) is not None:
                values[event_type] = part
            elif name in cls.__struct_fields__:
                values[event_type] = self._payload(event_type, name)
        return values

    def _values(self, column: str, take: object) -> dict[str, Value]:
        if not isinstance(take, Of | Field):
            take = field_of(take)
        if isinstance(take, Field):
            found: dict[str, Value] = {
                event_type: self._payload(event_type, take.name)
                for event_type, cls in self.events.items()
                if issubclass(cls, take.owner)
            }
            if not found:
                raise self._wrong(
                    f"column {column} takes {take.owner.__name__}.{take.name}, but it is not among"
                    " its events"
                )
            return found
        if take.types is None:
            chosen = [t for t in self.events if self.spreads(t) or not _is_element(take.value)]
        else:
            chosen = [t for t, cls in self.events.items() if issubclass(cls, take.types)]
            for cls in take.types:
                if not any(issubclass(self.events[t], cls) for t in chosen):
                    raise self._wrong(f"column {column} takes {cls.__name__}, not among its events")
        return dict.fromkeys(chosen, take.value)

    def _payload(self, event_type: str, name: str) -> Payload:
        for field in msgspec.structs.fields(self.events[event_type]):
            if field.name == name:
                return Payload(name, field.required)
        raise self._wrong(f"{event_type} has no field {name}")

    def _part(self, event_type: str, name: str) -> Element | None:
        cls = self._element_class(event_type)
        if cls is None or name not in cls.__struct_fields__:
            return None
        return Element(
            cls.__struct_fields__.index(name) if cls.__struct_config__.array_like else name
        )

    def _element_class(self, event_type: str) -> type[msgspec.Struct] | None:
        assert self.elements is not None
        hint = typing.get_type_hints(self.events[event_type])[self.elements.name]
        (item,) = typing.get_args(hint) if typing.get_origin(hint) is list else (None,)
        return item if isinstance(item, type) and issubclass(item, msgspec.Struct) else None

    def _check_type(
        self, column: Column[Any], operation: Operation, event_type: str, value: Value
    ) -> None:
        if operation is Operation.COUNT:
            fits, kinds = isinstance(column.type, Integer), {"a count"}
        elif operation is Operation.TALLY and not isinstance(column.type, JSONB):
            fits, kinds = False, {"a tally"}
        elif operation is Operation.SUM and not _is_exact(column):
            fits, kinds = False, {"a sum (its rounding would depend on the batches)"}
        elif operation in (Operation.MIN, Operation.MAX) and not _is_ordered(column):
            fits, kinds = False, {"an order (or one that depends on the collation)"}
        else:
            kinds = self._kinds(event_type, value) - {"NoneType", "UnsetType"}
            if operation is Operation.FIRST and self._may_be_null(event_type, value):
                raise self._wrong(f"column {column.name} takes the first of what may be null")
            if operation is Operation.TALLY:
                fits = kinds <= _TALLIED
            else:
                fits = all(isinstance(column.type, _FITS.get(kind, (JSONB,))) for kind in kinds)
        if not fits:
            raise self._wrong(
                f"column {column.name} is {column.type}, which does not hold"
                f" {' or '.join(sorted(kinds))} from {event_type}"
            )

    def _may_be_null(self, event_type: str, value: Value) -> bool:
        return "NoneType" in self._kinds(event_type, value)

    def _kinds(self, event_type: str, value: Value) -> set[str]:
        match value:
            case Payload(name):
                hints = typing.get_type_hints(self.events[event_type], include_extras=True)
                return set(_kinds_of(hints[name]))
            case Element(None):
                assert self.elements is not None
                hints = typing.get_type_hints(self.events[event_type])
                (item,) = typing.get_args(hints[self.elements.name]) or (object,)
                return set(_kinds_of(item))
            case Element(part):
                cls = self._element_class(event_type)
                assert cls is not None
                name = cls.__struct_fields__[part] if isinstance(part, int) else str(part)
                return set(_kinds_of(typing.get_type_hints(cls, include_extras=True)[name]))
            case ElementIndex() | Envelope("position"):
                return {"IntType"}
            case Envelope("entity_id"):
                return {"UUIDType"}
            case Envelope("user_id"):
                return {"UUIDType", "NoneType"}
            case Envelope():
                return {"DateTimeType"}
            case Constant(constant):
                return set(_kinds_of(type(constant)))

    def _check_replacing(self) -> None:
        if not any(isinstance(v, ElementIndex) for vs in self.key.values() for v in vs.values()):
            raise self._wrong("replaces needs the element's index in the key")
        for event_type in set(self.events) - self.ends:
            if not self.spreads(event_type):
                raise self._wrong(f"replaces, but {event_type} has no {self.elements}")
        for fold in self.folds:
            if fold.operation is not Operation.LAST or fold.where:
                raise self._wrong(
                    f"replaces, so column {fold.column.name} can only be a last value"
                )

    def _wrong(self, reason: str) -> WrongDeclaration:
        frame: types.FrameType | None = sys._getframe()
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}: " if frame is not None else ""
        return WrongDeclaration(f"{where}projection {self.name}: {reason}")


def _is_exact(column: Column[Any]) -> bool:
    return isinstance(column.type, Integer | Numeric) and not isinstance(column.type, Float)


def _is_ordered(column: Column[Any]) -> bool:
    """Whether every PostgreSQL and Python agree on which value is less."""
    return isinstance(column.type, Integer | Numeric | Float | DateTime)


def lists_of(cls: type[Event]) -> list[str]:
    """The fields of an event type that are lists, and so may be long."""
    hints = typing.get_type_hints(cls)
    return [name for name in cls.__struct_fields__ if typing.get_origin(hints[name]) is list]


def _is_element(value: Value) -> bool:
    return isinstance(value, Element | ElementIndex)


def _kinds_of(hint: object) -> Iterator[str]:
    """The kinds of JSON value that a type annotation lets through, as msgspec names them."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        yield "EnumType"
        return
    kind = msgspec.inspect.type_info(hint)
    for part in kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,):
        if isinstance(part, msgspec.inspect.Metadata):
            part = part.type
        yield type(part).__name__
