"""A projection: the declaration of how one table follows from the log, checked when it is made."""

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, ParamSpec

from sqlalchemy import Column, Select, Table
from sqlalchemy.dialects import postgresql

from quantum_forge.schema.language.event import Event, required_fields
from quantum_forge.schema.language.fields import LONGEST_INDEXED
from quantum_forge.schema.language.fold import Fold, Operation
from quantum_forge.schema.language.secrecy import secret_fields
from quantum_forge.schema.language.table import sorted_columns
from quantum_forge.schema.language.value import (
    Element,
    ElementIndex,
    Envelope,
    Field,
    Of,
    Payload,
    ShortFacts,
    Truncated,
    Value,
    field_of,
    source_of,
)
from quantum_forge.schema.language.value_types import (
    MISSING,
    element_class,
    is_too_long_to_sort,
    kinds_of,
    lets_through,
    long_fields,
    misfit,
)

ENVELOPE_COLUMNS = ("tenant_id", "created_at", "updated_at", "last_position")
"""Columns that every read model has and the engine fills."""

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_NEVER_NULL = frozenset({Operation.COUNT, Operation.SUM, Operation.TALLY})
"""Folds of nothing that are a value: 0, or no counts."""

RETENTION_APPLIED = "retention_applied"
"""The event type that trims a table; its domain is above this language."""


class WrongDeclaration(TypeError):
    """A projection contradicts the events or the table that it names."""


@dataclass(frozen=True)
class ColumnFold:
    """A column's fold, resolved.

    values: for each event type by name, the value that it takes. kinds: what that value can be.
    """

    column: Column[Any]
    operation: Operation
    values: Mapping[str, Value]
    where: Mapping[str, Any]
    kinds: Mapping[str, frozenset[str]]


class Projection:
    """How one table follows from the log. To register it as well, declare it by `projection`.

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
        retained: each event is a row of its own, and the table holds none from before the latest
            cutoff that `retention_applied` gives its tenant.
        only_with: what an event must have; where it is null or absent, the event is none of this
            projection's business, unless it ends the row.
        columns: the folds of the columns. A column that is not named takes the last value of the
            field of its name, from every event type (or element) that has one. What the table
            derives from other columns has none.

    Raises:
        WrongDeclaration: naming the column and the line of the declaration.
    """

    left_out: Select[tuple[int]] | None = None
    """The positions of events that statements pass over, as if they were not in the log."""

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
        retained: bool = False,
        only_with: object = None,
        columns: Mapping[str, Fold] | None = None,
    ) -> None:
        self.declared_at = _line_of_the_declaration()
        self.table = table
        self._sorted = sorted_columns(table)
        self.name = str(table.name)  # a plain str, which msgspec can encode
        self.events = {cls.event_type: cls for cls in (*events, *ends)}
        self.ends = frozenset(cls.event_type for cls in ends)
        self.opens = frozenset(cls.event_type for cls in opens) or (
            frozenset(self.events) - self.ends
        )
        self.elements = field_of(elements) if elements is not None else None
        self.replaces = replaces
        self.retained = retained
        if not self.opens <= frozenset(self.events):
            raise self._wrong("opens names an event type that is not among its events")
        self.key = self._resolved_key(key)
        self.only_with = self._resolved_condition(only_with)
        self.folds = self._resolved_folds(columns or {})
        if not self.is_of_single_events:
            self._check_no_short_facts()
        if replaces:
            self._check_replacing()
        if retained:
            self._check_retained()

    @property
    def reads(self) -> list[str]:
        """Every event type that can change the table."""
        trimming = [RETENTION_APPLIED] if self.retained else []
        return list(dict.fromkeys([*self.events, *trimming]))

    @property
    def is_of_single_events(self) -> bool:
        """Whether each row is what one event says: nothing else can ever change it."""
        by_position = any(
            all(value == Envelope("position") for value in values.values())
            for values in self.key.values()
        )
        return (
            by_position
            and not self.ends
            and self.elements is None
            and self.opens == frozenset(self.events)
            and all(fold.operation is Operation.LAST and not fold.where for fold in self.folds)
        )

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
                for event_type, value in self._values(f"key column {name}", take).items():
                    values.setdefault(event_type, value)
            of_elements = self.replaces and any(map(_is_element, values.values()))
            for event_type in self.events:
                if event_type not in values and not (of_elements and event_type in self.ends):
                    raise self._wrong(f"key column {name} has no source in {event_type}")
            for event_type, value in values.items():
                self._fitting_kinds(self.table.c[name], Operation.LAST, event_type, value)
            resolved[name] = values
        return resolved

    def _resolved_condition(self, take: object) -> dict[str, Value]:
        values = {} if take is None else self._values("only_with", take)
        return {name: value for name, value in values.items() if name not in self.ends}

    def _resolved_folds(self, declared: Mapping[str, Fold]) -> tuple[ColumnFold, ...]:
        for name in declared:
            column = self.table.c.get(name)
            if column is None or name in self.key or name in ENVELOPE_COLUMNS:
                raise self._wrong(f"{name} is not a column that a fold can fill")
            if column.computed is not None:
                raise self._wrong(f"{name} is computed by the database, so no fold can fill it")
        return tuple(
            self._resolved_fold(column, declared.get(column.name))
            for column in self.table.columns
            if column.name not in (*self.key, *ENVELOPE_COLUMNS) and column.computed is None
        )

    def _resolved_fold(self, column: Column[Any], fold: Fold | None) -> ColumnFold:
        if fold is None:
            values = self._same_name(column.name)
            if not values:
                raise self._wrong(
                    f"no event has a field {column.name}; declare what fills the column"
                )
            fold = Fold(Operation.LAST, ())
        else:
            values = {}
            for take in fold.takes:
                found = self._values(f"column {column.name}", take)
                if isinstance(take, Of) and take.types is None:
                    # "Every event" is every event that leaves a row to put the value in.
                    found = {name: v for name, v in found.items() if name not in self.ends}
                values |= found
            if not values:
                raise self._wrong(
                    f"column {column.name} takes nothing from this projection's events"
                )
        kinds = {}
        for event_type, value in values.items():
            if event_type in self.ends:
                raise self._wrong(
                    f"column {column.name} takes a value from {event_type}, which ends"
                )
            kinds[event_type] = self._fitting_kinds(column, fold.operation, event_type, value)
            if self.only_with.get(event_type) == value:
                kinds[event_type] -= MISSING  # an event without it is ignored
        self._check_where(column, fold.where, values)
        resolved = ColumnFold(column, fold.operation, values, fold.where, kinds)
        if not column.nullable:
            self._check_required(resolved)
        return resolved

    def _check_where(
        self, column: Column[Any], where: Mapping[str, Any], values: Mapping[str, Value]
    ) -> None:
        for name, wanted in where.items():
            for event_type in values:
                cls = self.events[event_type]
                if name not in cls.__struct_fields__:
                    raise self._wrong(f"column {column.name}: {event_type} has no field {name}")
                if not lets_through(cls, name, wanted):
                    raise self._wrong(
                        f"column {column.name}: {name} of {event_type} is never {wanted!r}"
                    )

    def _check_required(self, fold: ColumnFold) -> None:
        """Refuse a column that must have a value and can be left, or made, without one."""
        if fold.operation in _NEVER_NULL:
            return
        column = fold.column.name
        for event_type in sorted(self.opens):
            value = fold.values.get(event_type)
            if value is None:
                raise self._wrong(
                    f"column {column} is required, but {event_type} opens a row without it"
                )
            if fold.where or fold.kinds[event_type] & MISSING:
                raise self._wrong(
                    f"column {column} is required, but {event_type} can open a row without it"
                )
        for event_type, kinds in fold.kinds.items():
            if fold.operation is Operation.LAST and "NoneType" in kinds:
                raise self._wrong(f"column {column} is required, but {event_type} can clear it")

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
        take = source_of(take)
        if isinstance(take, Field):
            found: dict[str, Value] = {}
            for event_type, cls in self.events.items():
                if issubclass(cls, take.owner):
                    value = self._payload(event_type, take.name)
                    found[event_type] = value if take.unit is None else Truncated(take.unit, value)
            if not found:
                raise self._wrong(
                    f"{column} takes {take.owner.__name__}.{take.name}, but it is not among its"
                    " events"
                )
            return found
        if take.types is None:
            chosen = [t for t in self.events if self.spreads(t) or not _is_element(take.value)]
        else:
            chosen = [t for t, cls in self.events.items() if issubclass(cls, take.types)]
            for cls in take.types:
                if not any(issubclass(self.events[t], cls) for t in chosen):
                    raise self._wrong(f"{column} takes {cls.__name__}, not among its events")
        if isinstance(take.value, ShortFacts):
            return {name: _short_facts_of(self.events[name]) for name in chosen}
        return dict.fromkeys(chosen, take.value)

    def _payload(self, event_type: str, name: str) -> Payload:
        cls = self.events[event_type]
        if name not in cls.__struct_fields__:
            raise self._wrong(f"{event_type} has no field {name}")
        return Payload(name, name in required_fields(cls))

    def _part(self, event_type: str, name: str) -> Element | None:
        cls = element_class(self.events[event_type], self.elements)
        if cls is None or name not in cls.__struct_fields__:
            return None
        return Element(
            cls.__struct_fields__.index(name) if cls.__struct_config__.array_like else name
        )

    def _fitting_kinds(
        self, column: Column[Any], operation: Operation, event_type: str, value: Value
    ) -> frozenset[str]:
        """The kinds of the value; refuses those that the column does not hold."""
        cls = self.events[event_type]
        kinds = kinds_of(cls, value, self.elements)
        found = misfit(column, operation, kinds)
        if column.name in self._sorted and is_too_long_to_sort(cls, value, self.elements):
            raise self._wrong(
                f"column {column.name} is in an index, but a text from {event_type} can be longer "
                f"than {LONGEST_INDEXED} characters: type its field as Name or IndexedText of "
                "schema/language/fields.py, or use a hash index"
            )
        if isinstance(value, Truncated) and kinds - MISSING != {"DateTimeType"}:
            found = "the hour or day of a value that is not a time,"
        if found is not None:
            raise self._wrong(
                f"column {column.name} is {column.type.compile(_POSTGRESQL)}, which does not hold"
                f" {found} from {event_type}"
            )
        return kinds

    def _check_retained(self) -> None:
        if not self.is_of_single_events:
            raise self._wrong("retained needs a row for each event: a key of its position alone")

    def _check_replacing(self) -> None:
        if self.only_with:
            raise self._wrong("replaces, so every event counts, and only_with cannot be given")
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

    def _check_no_short_facts(self) -> None:
        for fold in self.folds:
            if any(isinstance(value, ShortFacts) for value in fold.values.values()):
                raise self._wrong(
                    f"column {fold.column.name} takes short facts, which only a projection with"
                    " one row per event can"
                )

    def _wrong(self, reason: str) -> WrongDeclaration:
        return WrongDeclaration(f"{self.declared_at}: projection {self.name}: {reason}")


Arguments = ParamSpec("Arguments")

_registry: dict[str, Projection] = {}

PROJECTIONS: Mapping[str, Projection] = MappingProxyType(_registry)
"""Every registered projection by its name, in the order of declaration."""


def _registering(make: Callable[Arguments, Projection]) -> Callable[Arguments, Projection]:
    def projection(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Projection:
        """Declare how a table follows from the log, and register it: see `Projection`.

        Raises:
            WrongDeclaration: also when another registered projection fills the table.
        """
        declared = make(*args, **kwargs)
        if (other := _registry.get(declared.name)) is not None:
            raise WrongDeclaration(
                f"{declared.declared_at}: two projections fill the table {declared.name};"
                f" the other one is at {other.declared_at}"
            )
        _registry[declared.name] = declared
        return declared

    return projection


projection = _registering(Projection)


@cache
def _short_facts_of(cls: type[Event]) -> ShortFacts:
    return ShortFacts(tuple(sorted({*long_fields(cls), *secret_fields(cls)})))


def _is_element(value: Value) -> bool:
    return isinstance(value, Element | ElementIndex)


def _line_of_the_declaration() -> str:
    """File and line from which this module was called."""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
