"""Reference semantics of folds: one event at a time, in plain Python, without SQL.

It defines the truth that the compiler must meet; it is not meant to be fast.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Boolean, DateTime, Double, Float, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.types import TypeEngine

from quantum_forge.eventstore.base.codec import parse_json
from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.domains.retention import RetentionApplied
from quantum_forge.schema.language.evolution import upcast
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import ColumnFold, Projection
from quantum_forge.schema.language.value import (
    Constant,
    Element,
    ElementIndex,
    Envelope,
    FromMetadata,
    Payload,
    ShortFacts,
    TimeUnit,
    Truncated,
    Value,
)

Row = dict[str, Any]
Key = tuple[Any, ...]

_ABSENT = object()
_EXACT = Context(prec=1_000_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""For sums: PostgreSQL's numeric loses no digit either."""


class Unfoldable(msgspec.Struct, frozen=True):
    """What a column has that was given a value which it cannot hold.

    SQL refuses an event that leaves one in a row, and then it is not applied here; but never looks
    at a value that a later event of the same batch replaces.
    """

    reason: str


class Reference:
    """A table in memory, kept by applying events in order of position."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.rows: dict[Key, Row] = {}
        self._cutoffs: dict[UUID, datetime] = {}

    def apply_all(self, events: Iterable[RecordedEvent]) -> None:
        """Apply events one after the other."""
        for event in events:
            self.apply(event)

    def apply(self, event: RecordedEvent) -> None:
        """Apply one event: end rows, begin rows, change rows."""
        projection = self.projection
        if projection.retained and event.event_type == RetentionApplied.event_type:
            self._trim(event)
        if event.event_type not in projection.events:
            return
        cutoff = self._cutoffs.get(event.tenant_id)
        if cutoff is not None and event.occurred_at < cutoff:
            return
        event = _up_to_date(event)
        if projection.replaces:
            self._end_group(event)
            if event.event_type in projection.ends:
                return
        if event.event_type in projection.ends:
            self.rows.pop(self._key(event, None, None), None)
            return
        needed = projection.only_with.get(event.event_type)
        if needed is not None and _take(needed, event, None, None) in (None, _ABSENT):
            return
        for index, element in self._elements(event):
            key = self._key(event, index, element)
            if None in key:
                continue
            row = self.rows.get(key)
            if row is None:
                if event.event_type not in projection.opens:
                    continue
                row = self.rows[key] = self._begin(key, event)
            for fold in projection.folds:
                if self._fold(row, fold, event, index, element):
                    self._gave(key, fold, event)
            row["created_at"] = min(row["created_at"], event.occurred_at)
            row["updated_at"] = max(row["updated_at"], event.occurred_at)
            row["last_position"] = event.position

    def _exactly(self, event: RecordedEvent, index: int | None) -> tuple[RecordedEvent, Any]:
        """The event, and its element, with every digit of their numbers."""
        exact = msgspec.structs.replace(event)
        exact.__dict__["data"] = _exact_data(event)
        if index is None:
            return exact, None
        return exact, dict(self._elements(exact))[index]

    def _trim(self, event: RecordedEvent) -> None:
        """Forget what happened before the cutoff of a retention, now and later."""
        if event.data["table"] != self.projection.name:
            return
        tenant_id, cutoff = event.tenant_id, datetime.fromisoformat(event.data["cutoff"])
        cutoff = self._cutoffs[tenant_id] = max(cutoff, self._cutoffs.get(tenant_id, cutoff))
        for key, row in list(self.rows.items()):
            if row["tenant_id"] == tenant_id and row["created_at"] < cutoff:
                del self.rows[key]

    def keys_of(self, event: RecordedEvent) -> list[Row]:
        """The keys of the rows that an event concerns, by column; those that it ends, too.

        Where the event replaces all rows of a key, without the columns that tell those apart.
        """
        if event.event_type not in self.projection.events:
            # A retention: it concerns every row of its tenant.
            return [{"tenant_id": event.tenant_id}]
        event = _up_to_date(event)
        names = ("tenant_id", *self.projection.key)
        if self.projection.replaces:
            own = self._own_key(event)
            return [{"tenant_id": event.tenant_id, **own}]
        if event.event_type in self.projection.ends:
            keys = [self._key(event, None, None)]
        else:
            keys = [self._key(event, *each) for each in self._elements(event)]
        return [dict(zip(names, key, strict=True)) for key in keys if None not in key]

    def _gave(self, key: Key, fold: ColumnFold, event: RecordedEvent) -> None:
        """Called when an event gave a column its value, or added to it."""

    def _begin(self, key: Key, event: RecordedEvent) -> Row:
        row: Row = dict(zip(("tenant_id", *self.projection.key), key, strict=True))
        for fold in self.projection.folds:
            row[fold.column.name] = _beginning_of(fold)
        row["created_at"] = row["updated_at"] = event.occurred_at
        return row

    def _end_group(self, event: RecordedEvent) -> None:
        """End every row that the event's key covers, whatever its elements."""
        own = self._own_key(event)
        for key, row in list(self.rows.items()):
            if row["tenant_id"] == event.tenant_id and all(row[n] == v for n, v in own.items()):
                del self.rows[key]

    def _own_key(self, event: RecordedEvent) -> Row:
        """What the event itself gives of its rows' key, whatever its elements."""
        return {
            name: self._value(values[event.event_type], name, event, None, None)
            for name, values in self.projection.key.items()
            if event.event_type in values
            and not isinstance(values[event.event_type], Element | ElementIndex)
        }

    def _elements(self, event: RecordedEvent) -> Iterator[tuple[int | None, Any]]:
        field = self.projection.elements
        if field is None or not self.projection.spreads(event.event_type):
            yield None, None
            return
        elements = event.data.get(field.name)
        # What is no list has no elements; but SQL refuses it, unless a later event of the same
        # batch takes its place.
        yield from enumerate(elements if isinstance(elements, list) else [])

    def _key(self, event: RecordedEvent, index: int | None, element: Any) -> Key:
        """The key of a row; with a null where it has one, and then nothing else is looked at."""
        parts = {
            name: _take(values[event.event_type], event, index, element)
            for name, values in self.projection.key.items()
        }
        if any(part is None or part is _ABSENT for part in parts.values()):
            return (event.tenant_id, None)
        columns = self.projection.table.c
        return (
            event.tenant_id,
            *(_typed(part, columns[name].type) for name, part in parts.items()),
        )

    def _value(
        self, value: Value, column: str, event: RecordedEvent, index: int | None, element: Any
    ) -> Any:
        taken = _take(value, event, index, element)
        return None if taken is _ABSENT else _typed(taken, self.projection.table.c[column].type)

    def _fold(
        self, row: Row, fold: ColumnFold, event: RecordedEvent, index: int | None, element: Any
    ) -> bool:
        """Fold an event into one column; say whether it gave the value, or added to it."""
        value = fold.values.get(event.event_type)
        if value is None:
            return False
        if any(event.data.get(name, _ABSENT) != wanted for name, wanted in fold.where.items()):
            return False
        if isinstance(fold.column.type, Numeric) and not isinstance(fold.column.type, Float):
            event, element = self._exactly(event, index)
        taken = _take(value, event, index, element)
        if taken is _ABSENT:
            return False
        name = fold.column.name
        old = row[name]
        if fold.operation is Operation.TALLY:
            if taken is None:
                return False
            text = _tallied(taken)
            row[name] = {**old, text: old.get(text, 0) + 1}
            return True
        new: Any
        try:
            new = _typed(taken, fold.column.type)
        except (ValueError, TypeError, ArithmeticError) as error:
            new = Unfoldable(str(error))
        match fold.operation:
            case Operation.LAST:
                row[name] = new
            case _ if isinstance(old, Unfoldable):
                return False
            case _ if isinstance(new, Unfoldable):
                row[name] = new
            case Operation.FIRST if old is None:
                row[name] = new
            case Operation.COUNT:
                row[name] = old + 1
            case Operation.SUM if new is not None:
                row[name] = _EXACT.add(old, new) if isinstance(new, Decimal) else old + new
            case Operation.MIN if new is not None and (old is None or new < old):
                row[name] = new
            case Operation.MAX if new is not None and (old is None or new > old):
                row[name] = new
            case _:
                return False
        return True


def _beginning_of(fold: ColumnFold) -> Any:
    """A column's value before any event."""
    match fold.operation:
        case Operation.TALLY:
            return {}
        case Operation.COUNT | Operation.SUM:
            return _typed(0, fold.column.type)
    return None


def _up_to_date(event: RecordedEvent) -> RecordedEvent:
    cls = EVENTS[event.event_type]
    if event.schema_version >= cls.schema_version:
        return event
    current = msgspec.structs.replace(event)
    current.__dict__["data"] = upcast(cls.history, event.schema_version, event.data)
    return current


def _exact_data(event: RecordedEvent) -> dict[str, Any]:
    """The payload, up to date, its fractions as decimals."""
    data: dict[str, Any] = json.loads(bytes(event.raw_data), parse_float=Decimal)
    return upcast(EVENTS[event.event_type].history, event.schema_version, data)


def _take(value: Value, event: RecordedEvent, index: int | None, element: Any) -> Any:
    match value:
        case Payload(name, required):
            return event.data.get(name, None if required else _ABSENT)
        case Element(None):
            return element
        case Element(int(part)):
            return element[part] if isinstance(element, list) and part < len(element) else None
        case Element(part):
            return element.get(part) if isinstance(element, dict) else None
        case ElementIndex():
            return index
        case Envelope(name):
            return getattr(event, name)
        case FromMetadata(name):
            text = event.metadata.get(name)
            return text if isinstance(text, str) else None
        case ShortFacts(without):
            return _short(event, without)
        case Truncated(unit, inner):
            return _cut(_take(inner, event, index, element), unit)
        case Constant(constant):
            return constant


def _short(event: RecordedEvent, without: tuple[str, ...]) -> dict[str, Any]:
    """The texts, numbers and booleans of the payload; of a text its first 200 characters."""
    # Numbers as a JSONB column gives them back: msgspec reads large ones as fractions.
    data = upcast(
        EVENTS[event.event_type].history, event.schema_version, parse_json(bytes(event.raw_data))
    )
    return {
        name: value[:200] if isinstance(value, str) else value
        for name, value in data.items()
        if name not in without and isinstance(value, str | int | float)
    }


def _cut(time: Any, unit: TimeUnit) -> Any:
    """A time cut to its hour or day in UTC; an absent one or a null as it is."""
    if time is None or time is _ABSENT:
        return time
    time = time if isinstance(time, datetime) else datetime.fromisoformat(time)
    hour = time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if unit == "hour" else hour.replace(hour=0)


def _typed(value: Any, type_: TypeEngine[Any]) -> Any:
    """A JSON value as a column of this type gives it back."""
    if value is None:
        return None
    match type_:
        case Uuid():
            return value if isinstance(value, UUID) else UUID(str(value))
        case DateTime():
            return value if isinstance(value, datetime) else datetime.fromisoformat(value)
        case Boolean() | Text():
            return value
        case BIT():
            digits = value.removeprefix("x")
            return f"{int(digits, 16):0{4 * len(digits)}b}"
        case Integer() | BigInteger():
            return int(value)
        case Double():
            return float(value)
        case Numeric(scale=scale):
            exact = value if isinstance(value, Decimal) else Decimal(str(value))
            return exact if scale is None else _rounded(exact, scale)
    return value


def _rounded(value: Decimal, scale: int) -> Decimal:
    """As PostgreSQL rounds numeric: half away from zero."""
    return value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, context=_EXACT)


def _tallied(value: Any) -> str:
    """A value as the text that a tally counts it under."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
