"""How rows of a table are written: the events that an insert, an update or a delete records.

Declared beside the projection. Which column goes to which field of an event follows from the
projection: a column that takes its value from a field of the event is written to that field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sqlalchemy import Table

from quantum_forge.schema.language.event import Event, required_fields
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import PROJECTIONS, Projection, WrongDeclaration
from quantum_forge.schema.language.table import is_secret
from quantum_forge.schema.language.value import Constant, Envelope, Payload
from quantum_forge.schema.language.value_types import MISSING


@dataclass(frozen=True)
class Columns:
    """How the columns of a table reach one event type.

    fields: the field to which each column is written. nullable: columns whose field may be null;
    only_null: columns whose field is always null. constants: values that the event gives to
    columns, such as a status. entity: the column with the id of the entity; None: the event's
    fields identify it, or it is new.
    """

    fields: Mapping[str, str]
    nullable: frozenset[str]
    only_null: frozenset[str]
    constants: Mapping[str, Any]
    entity: str | None


@dataclass(frozen=True)
class Writing:
    """The events by which rows of a table are written.

    projection: of the table. insert: begins a row; None: no event does. updates: each changes
    the columns that it has fields for. An event that gives a column a constant value, such as a
    status, is recorded when the column is set to that value. delete: ends a row.
    identified_by: columns from which the id of a new row follows.
    """

    projection: Projection
    insert: type[Event] | None
    updates: tuple[type[Event], ...]
    delete: type[Event] | None
    identified_by: tuple[str, ...]

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.projection.name

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that, after the tenant, identify a row."""
        return tuple(self.projection.key)

    @cached_property
    def _columns(self) -> dict[str, Columns]:
        return {}

    def columns(self, cls: type[Event]) -> Columns:
        """Return how the columns reach one of the event types."""
        found = self._columns.get(cls.event_type)
        if found is None:
            found = self._columns[cls.event_type] = self._resolved(cls.event_type)
        return found

    @property
    def insertable(self) -> tuple[str, ...]:
        """The columns that an insert may set."""
        if self.insert is None:
            return ()
        columns = self.columns(self.insert)
        found = dict.fromkeys(columns.fields)
        if columns.entity is not None:
            found.setdefault(columns.entity)
        return self._in_order(found)

    @property
    def updatable(self) -> tuple[str, ...]:
        """The columns that an update may set."""
        found: dict[str, None] = {}
        for cls in self.updates:
            columns = self.columns(cls)
            found |= dict.fromkeys([*columns.fields, *columns.constants])
        return self._in_order({name: None for name in found if name not in self.key})

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of HTTP by which the table can be written."""
        found = []
        if self.insert is not None:
            found.append("POST")
            if self.updates:
                found.append("PUT")
        if self.updates:
            found.append("PATCH")
        if self.delete is not None:
            found.append("DELETE")
        return tuple(found)

    def _in_order(self, names: Mapping[str, None]) -> tuple[str, ...]:
        return tuple(name for name in map(str, self.projection.table.c.keys()) if name in names)

    def _resolved(self, event_type: str) -> Columns:
        table = self.projection.table
        fields: dict[str, str] = {}
        constants: dict[str, Any] = {}
        nullable, only_null = set(), set()
        entity = None
        for name, values in self.projection.key.items():
            match values.get(event_type):
                case Payload(name=field):
                    fields[name] = field
                case Envelope(name="entity_id"):
                    entity = name
        for fold in self.projection.folds:
            name = fold.column.name
            if fold.operation not in (Operation.LAST, Operation.FIRST) or fold.where:
                continue
            match fold.values.get(event_type):
                case Payload(name=field) if not is_secret(table.c[name]):
                    fields[name] = field
                    kinds = fold.kinds[event_type]
                    if "NoneType" in kinds:
                        nullable.add(name)
                    if not kinds - MISSING:
                        only_null.add(name)
                case Constant(value=value) if value is not None:
                    constants[name] = value
                case Envelope(name="entity_id") if entity is None:
                    entity = name
        return Columns(fields, frozenset(nullable), frozenset(only_null), constants, entity)


_registry: dict[str, Writing] = {}

WRITINGS: Mapping[str, Writing] = MappingProxyType(_registry)
"""How each table is written that is; the others follow from events that no client's row tells."""


def written_by(
    table: Table,
    *,
    insert: type[Event] | None = None,
    update: Sequence[type[Event]] | type[Event] = (),
    delete: type[Event] | None = None,
    identified_by: Sequence[str] = (),
) -> Writing:
    """Declare the events by which rows of a table are written: see `Writing`.

    Raises:
        WrongDeclaration: when the table has no projection, or that does not read the event, or an
            event has a required field that no column is written to.
    """
    projection = PROJECTIONS.get(str(table.name))
    if projection is None or projection.table is not table:
        raise WrongDeclaration(f"{table.name}: no projection fills it; declare that first")
    if table.name in _registry:
        raise WrongDeclaration(f"{table.name}: written_by is declared twice")
    updates = (update,) if isinstance(update, type) else tuple(update)
    declared = Writing(projection, insert, updates, delete, tuple(identified_by))
    for cls in (*([insert] if insert else []), *updates, *([delete] if delete else [])):
        if cls.event_type not in projection.events:
            raise WrongDeclaration(f"{table.name}: {cls.event_type} is not among its events")
        lacking = required_fields(cls) - set(declared.columns(cls).fields.values())
        if lacking:
            raise WrongDeclaration(
                f"{table.name}: no column is written to {', '.join(sorted(lacking))} of "
                f"{cls.event_type}, which must have it"
            )
    if unknown := [name for name in identified_by if name not in declared.insertable]:
        raise WrongDeclaration(f"{table.name}: no insert sets {', '.join(unknown)}")
    _registry[declared.table] = declared
    return declared
