"""What folds mean: a projection applied one event at a time, in plain Python, without SQL.

It defines the truth that the compiler must meet; it is not meant to be fast.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Boolean, DateTime, Double, Integer, Numeric, Text, Uuid
from sqlalchemy.types import TypeEngine

from eventstore.envelope import RecordedEvent
from projections.fold import Operation
from projections.projection import ColumnFold, Projection
from projections.value import Constant, Element, ElementIndex, Envelope, Payload, Value
from schema.events import EVENTS
from schema.events.evolution import upcast

Row = dict[str, Any]
Key = tuple[Any, ...]

_ABSENT = object()
_EXACT = Context(prec=20_000)
"""More digits than any sum of a numeric column has: PostgreSQL rounds none away."""


class Reference:
    """A table in memory, kept by applying events in order of position."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.rows: dict[Key, Row] = {}

    def apply_all(self, events: Iterable[RecordedEvent]) -> None:
        """Apply events one after the other."""
        for event in events:
            self.apply(event)

    def apply(self, event: RecordedEvent) -> None:
        """Apply one event: end rows, begin rows, change rows."""
        projection = self.projection
        if event.event_type not in projection.events:
            return
        event = _up_to_date(event)
        if projection.replaces:
            self._end_group(event)
            if event.event_type in projection.ends:
                return
        if event.event_type in projection.ends:
            self.rows.pop(self._key(event, None, None), None)
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

    def _gave(self, key: Key, fold: ColumnFold, event: RecordedEvent) -> None:
        """Called when an event gave a column its value, or added to it."""

    def _begin(self, key: Key, event: RecordedEvent) -> Row:
        row: Row = dict(zip(("tenant_id", *self.projection.key), key, strict=True))
        empty = {Operation.COUNT: 0, Operation.SUM: 0}
        for fold in self.projection.folds:
            row[fold.column.name] = (
                {} if fold.operation is Operation.TALLY else empty.get(fold.operation)
            )
        row["created_at"] = row["updated_at"] = event.occurred_at
        return row

    def _end_group(self, event: RecordedEvent) -> None:
        """End every row that the event's key covers, whatever its elements."""
        own = {
            name: self._value(values[event.event_type], name, event, None, None)
            for name, values in self.projection.key.items()
            if event.event_type in values
            and not isinstance(values[event.event_type], Element | ElementIndex)
        }
        for key, row in list(self.rows.items()):
            if row["tenant_id"] == event.tenant_id and all(row[n] == v for n, v in own.items()):
                del self.rows[key]

    def _elements(self, event: RecordedEvent) -> Iterator[tuple[int | None, Any]]:
        field = self.projection.elements
        if field is None or not self.projection.spreads(event.event_type):
            yield None, None
            return
        yield from enumerate(event.data.get(field.name) or [])

    def _key(self, event: RecordedEvent, index: int | None, element: Any) -> Key:
        return (
            event.tenant_id,
            *(
                self._value(values[event.event_type], name, event, index, element)
                for name, values in self.projection.key.items()
            ),
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
        new = _typed(taken, fold.column.type)
        match fold.operation:
            case Operation.LAST:
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


def _up_to_date(event: RecordedEvent) -> RecordedEvent:
    cls = EVENTS[event.event_type]
    if event.schema_version >= cls.schema_version:
        return event
    data = upcast(cls.history, event.schema_version, event.data)
    return msgspec.structs.replace(event, raw_data=msgspec.Raw(msgspec.json.encode(data)))


def _take(value: Value, event: RecordedEvent, index: int | None, element: Any) -> Any:
    match value:
        case Payload(name, required):
            return event.data.get(name, None if required else _ABSENT)
        case Element(None):
            return element
        case Element(int(part)):
            return element[part] if part < len(element) else None
        case Element(part):
            return element.get(part)
        case ElementIndex():
            return index
        case Envelope(name):
            return getattr(event, name)
        case Constant(constant):
            return constant


def _typed(value: Any, type_: TypeEngine[Any]) -> Any:
    """A JSON value as a column of this type gives it back."""
    if value is None:
        return None
    match type_:
        case Uuid():
            return value if isinstance(value, UUID) else UUID(value)
        case DateTime():
            return value if isinstance(value, datetime) else datetime.fromisoformat(value)
        case Boolean() | Text():
            return value
        case Integer() | BigInteger():
            return int(value)
        case Double():
            return float(value)
        case Numeric():
            return Decimal(str(value))
    return value


def _tallied(value: Any) -> str:
    """A value as the text that a tally counts it under."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
