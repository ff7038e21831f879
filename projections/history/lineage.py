"""Lineage of a row: its events, and which of them gave each column its value.

The events are folded again by the reference, which defines what folds mean, so that an explanation
cannot disagree with the table unless the table is wrong.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, Uuid, cast, literal, select

from quantum_forge.eventstore.base.envelope import Position, RecordedEvent
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.abbreviations import id_digits
from quantum_forge.eventstore.log.read import EVERYTHING, fetch, matching
from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.dead_letters import list_dead_letters, sparing
from quantum_forge.projections.compiler.reference import Key, Reference, Row
from quantum_forge.projections.history.as_of import whole_row
from quantum_forge.projections.queries.conditions import value_of
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import ColumnFold, Projection
from quantum_forge.schema.tables import event_logs

_GATHERING = {Operation.COUNT, Operation.SUM, Operation.TALLY}
"""Folds whose value comes from every event that they meet, not from one."""

CANDIDATES = 10


class NoSuchRow(QuantumForgeError):
    """No event concerns such a row, and the table has none."""

    def __init__(self, table: str, key: Sequence[str], columns: Sequence[str]) -> None:
        self.table = table
        self.key = list(key)
        super().__init__(
            f"no row of {table} has the key {','.join(key)}: give {','.join(columns).upper()}; a "
            "prefix of an id is enough"
        )


class SeveralRows(QuantumForgeError):
    """A key or its prefix matches several rows."""

    def __init__(self, table: str, key: Sequence[str], candidates: Sequence[str]) -> None:
        self.table = table
        self.key = list(key)
        self.candidates = list(candidates)
        shown = ", ".join(candidates[:CANDIDATES])
        more = ", …" if len(candidates) > CANDIDATES else ""
        super().__init__(f"{','.join(key)} identifies more than one row of {table}: {shown}{more}")


class Effect(StrEnum):
    """Effect of an event on the row."""

    BEGAN = "began"
    FOLDED = "folded"
    ENDED = "ended"
    IGNORED = "ignored"
    PARKED = "parked"


class Step(msgspec.Struct, frozen=True):
    """An event of the row's history; ignored where there was no row that it could change.

    parked: it could not be folded, and the table is as if it were not there.
    """

    event: RecordedEvent
    effect: Effect


class Origin(msgspec.Struct, frozen=True):
    """A column's value, and the positions of the events that gave it: none for an untouched one."""

    column: str
    value: Any
    positions: list[Position]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """How a row came to be what it is at a position; its last life, but all of its events.

    row: None when it has ended or never began; then there are no origins.
    """

    projection: str
    position: Position
    key: Row
    row: Row | None
    origins: list[Origin]
    steps: list[Step]


def explain(
    connection: Connection, projection: Projection, key: Mapping[str, Any], position: int
) -> Lineage:
    """Say where the row of a key comes from, as of a position.

    Finds the events by index where the key is an entity or a position; where it is a field of the
    payload, it reads the events of the types that have it.

    Args:
        connection: reading what is committed.
        projection: whose row.
        key: every key column's value, `tenant_id` among them.
        position: for instance the checkpoint's, to explain the table's row.
    """
    traced = _Traced(projection, tuple(key[name] for name in ("tenant_id", *projection.key)))
    events = fetch(connection, select_events(projection, key, position))
    steps = [Step(event, traced.step(event)) for event in events]
    steps += [Step(event, Effect.PARKED) for event in _parked(connection, traced, position)]
    steps.sort(key=lambda step: step.event.position)
    found = traced.rows.get(traced.key)
    row = None if found is None else _whole(connection, projection, found)
    return Lineage(
        projection=projection.name,
        position=Position(position),
        key=dict(key),
        row=row,
        origins=[] if row is None else _origins(projection, row, traced.sources),
        steps=steps,
    )


def _whole(connection: Connection, projection: Projection, folded: Row) -> Row:
    """A row with the columns that the database computes from others."""
    given = select(
        *(
            cast(literal(folded[column.name], column.type), column.type).label(column.name)
            for column in projection.table.columns
            if column.name in folded
        )
    ).subquery()
    query = select(*whole_row(projection.table, given)).select_from(given)
    computed = connection.execute(query).mappings().one()
    return {str(name): folded.get(name, value) for name, value in computed.items()}


def select_events(projection: Projection, key: Mapping[str, Any], position: int) -> Select[Any]:
    """The query for the events that concern the row of a key, up to a position, in order."""
    behind = compiler.events_behind(sparing(projection), key).subquery("behind")
    query = matching(EVERYTHING).join(behind, event_logs.c.id == behind.c.position)
    return query.order_by(event_logs.c.id).params(after=0, upto=position)


def _parked(connection: Connection, traced: "_Traced", position: int) -> list[RecordedEvent]:
    """The events of the row that the table does without, as far as their keys can be read."""
    tenant_id = traced.key[0]
    letters = [
        letter.position
        for letter in list_dead_letters(connection, [traced.projection.name], discarded=True)
        if letter.tenant_id == tenant_id and letter.position <= position
    ]
    if not letters:
        return []
    query = matching(EVERYTHING).where(event_logs.c.id.in_(letters)).order_by(event_logs.c.id)
    return [event for event in fetch(connection, query) if traced.is_concerned(event)]


def find_key(
    connection: Connection, projection: Projection, tenant_id: UUID, parts: Sequence[str]
) -> Row:
    """The key that a person means, from its columns after `tenant_id`.

    An id may be cut to its first digits, and trailing columns left out, if the table has one such
    row. A whole key need not be in the table: its row may have ended.

    Raises:
        NoSuchRow, SeveralRows
    """
    columns = [projection.table.c[name] for name in projection.key]
    names = [column.name for column in columns]
    table = projection.table
    query = select(*columns).where(table.c.tenant_id == tenant_id)
    whole: Row = {"tenant_id": tenant_id}
    if not 0 < len(parts) <= len(columns):
        raise NoSuchRow(projection.name, parts, names)
    for column, part in zip(columns, parts, strict=False):
        if isinstance(column.type, Uuid):
            digits = id_digits(part)
            if digits is None:
                raise NoSuchRow(projection.name, parts, names)
            first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
            query = query.where(column.between(first, last))
            if first == last:
                whole[column.name] = first
        else:
            try:
                value = value_of(column, part)
            except ValueError as error:
                raise NoSuchRow(projection.name, parts, names) from error
            query = query.where(column == value)
            whole[column.name] = value
    if len(whole) == len(columns) + 1:
        return whole
    found = connection.execute(query.order_by(*columns).limit(CANDIDATES + 1)).mappings().all()
    if not found:
        raise NoSuchRow(projection.name, parts, names)
    if len(found) > 1:
        candidates = [",".join(str(row[name]) for name in names) for row in found]
        raise SeveralRows(projection.name, parts, candidates)
    return {"tenant_id": tenant_id, **found[0]}


class _Traced(Reference):
    """The reference, writing down which events gave one row its values."""

    def __init__(self, projection: Projection, key: Key) -> None:
        super().__init__(projection)
        self.key = key
        self.sources: dict[str, list[Position]] = {}

    def is_concerned(self, event: RecordedEvent) -> bool:
        """Whether an event that may be malformed is one of the row's."""
        try:
            keys = self.keys_of(event)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            return False
        own = dict(zip(("tenant_id", *self.projection.key), self.key, strict=True))
        return any(all(own[name] == value for name, value in key.items()) for key in keys)

    def step(self, event: RecordedEvent) -> Effect:
        before = self.rows.get(self.key)
        times = None if before is None else (before["created_at"], before["updated_at"])
        self.apply(event)
        after = self.rows.get(self.key)
        if after is None:
            return Effect.IGNORED if before is None else Effect.ENDED
        if after is before and after["last_position"] != event.position:
            return Effect.IGNORED
        self.sources["last_position"] = [event.position]
        if after is before and times is not None:
            if after["created_at"] < times[0]:
                self.sources["created_at"] = [event.position]
            if after["updated_at"] > times[1]:
                self.sources["updated_at"] = [event.position]
            return Effect.FOLDED
        return Effect.BEGAN

    def _begin(self, key: Key, event: RecordedEvent) -> Row:
        if key == self.key:
            names = ("tenant_id", *self.projection.key, "created_at", "updated_at")
            self.sources = {name: [event.position] for name in names}
        return super()._begin(key, event)

    def _gave(self, key: Key, fold: ColumnFold, event: RecordedEvent) -> None:
        if key != self.key:
            return
        before = self.sources.get(fold.column.name, [])
        if fold.operation not in _GATHERING:
            self.sources[fold.column.name] = [event.position]
        elif event.position not in before[-1:]:
            self.sources[fold.column.name] = [*before, event.position]


def _origins(
    projection: Projection, row: Row, sources: Mapping[str, list[Position]]
) -> list[Origin]:
    origins = []
    for column in projection.table.columns:
        positions = sources.get(column.name, [])
        if column.computed is not None:
            named = set(re.findall(r"\w+", str(column.computed.sqltext)))
            positions = sorted({p for name in named for p in sources.get(name, [])})
        origins.append(Origin(str(column.name), row[column.name], positions))
    return origins
