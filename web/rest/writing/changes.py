"""Changes: the events that a row of a request stands for, by the declaration of its table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from quantum_forge.eventstore.base.codec import decode
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.recording import identified
from quantum_forge.schema.domains.molecules import MoleculeCreated
from quantum_forge.schema.language.event import Event, identity_of, required_fields
from quantum_forge.schema.language.lifecycle import NEW, rule_of
from quantum_forge.schema.language.value import Envelope, Payload
from quantum_forge.schema.language.writing import Writing
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.writing.body import Row


class Begun(Struct, frozen=True, kw_only=True):
    """A row that a request inserts: the entity, the event that begins it, and the given values."""

    entity_id: UUID
    event: Event
    row: Row


class Chosen(Struct, frozen=True):
    """An event type that an update records, and the fields that the request sets."""

    cls: type[Event]
    fields: Mapping[str, Any]


# Insert


def begun(
    writing: Writing, recorder: Recorder, row: Row, new_id: Callable[[], UUID] = uuid7
) -> Begun:
    """Return what an inserted row records.

    Args:
        writing: of the table.
        recorder: on whose behalf.
        row: the values; their columns are known to be insertable.
        new_id: makes the id of an entity that is new and not known by its fields.

    Raises:
        RestError: 23502 for a value that must be there; 22P02 for an id that is none.
        EventRefused: for a value that does not fit.
    """
    cls = writing.insert
    assert cls is not None
    columns = writing.columns(cls)
    given = {name: value for name, value in row.items() if value is not UNSET}
    if cls is MoleculeCreated and given.get("smiles") is not None and "formula" not in given:
        event: Event = _molecule(given)
    else:
        fields = {
            columns.fields[name]: value for name, value in given.items() if name in columns.fields
        }
        for name, value in given.items():
            if value is None and name in columns.fields and name not in columns.nullable:
                raise null_value(writing, name)
        for name, field in columns.fields.items():
            if field not in fields and field in required_fields(cls):
                raise null_value(writing, name)
        event = decode(cls.event_type, msgspec.json.encode(fields))
    entity_id = _entity(writing, recorder, event, given, columns.entity, new_id)
    return Begun(entity_id=entity_id, event=event, row=given)


def _molecule(given: Row) -> MoleculeCreated:
    """The event of a molecule that is given by a SMILES: RDKit works out the rest."""
    taken = {"id", "smiles", "name", "charge", "multiplicity", "project_id", "metadata"}
    taken.add("generation_method")
    if unknown := [
        name for name, value in given.items() if name not in taken and value is not None
    ]:
        raise RestError(
            400,
            "PGRST204",
            f"{unknown[0]} follows from the SMILES",
            hint="Give smiles with name, charge, multiplicity, project_id, generation_method and "
            "metadata alone, or every column of the molecule, formula among them.",
        )
    more = {
        name: given[name]
        for name in ("name", "project_id", "metadata", "generation_method")
        if given.get(name) is not None
    }
    event = identified(
        _of_type(given["smiles"], str, "smiles"),
        charge=_of_type(given.get("charge"), int | None, "charge"),
        multiplicity=_of_type(given.get("multiplicity"), int | None, "multiplicity"),
    )
    fields = msgspec.to_builtins(event) | more
    made = decode(event.event_type, msgspec.json.encode(fields))
    assert isinstance(made, MoleculeCreated)
    return made


def _of_type(value: Any, kind: Any, column: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RestError(400, "22P02", f"invalid input for column {column}: {error}") from None


def _entity(
    writing: Writing,
    recorder: Recorder,
    event: Event,
    given: Row,
    column: str | None,
    new_id: Callable[[], UUID],
) -> UUID:
    """The id of the entity that an event begins, or happens to."""
    named = None
    if column is not None and column in given:
        if given[column] is None:
            raise null_value(writing, column)
        named = uuid_of(given[column])
    if (identity := identity_of(type(event))) is not None:
        known = identity(recorder.tenant_id, event)
        if named not in (None, known):
            raise RestError(
                400,
                "22023",
                f"{column} is {named}, but {known} follows from the other columns",
                hint=f"Leave {column} out.",
            )
        return known
    if named is not None:
        return named
    rule = rule_of(type(event))
    if column is not None and rule is not None and NEW not in rule.states:
        raise null_value(writing, column)
    return new_id()


def key_of_begun(writing: Writing, one: Begun, position: int | None) -> dict[str, Any]:
    """Return the key of the row that an insert made; `position`: of its event."""
    key: dict[str, Any] = {}
    for name, values in writing.projection.key.items():
        match values[one.event.event_type]:
            case Payload(name=field):
                key[name] = getattr(one.event, field)
            case Envelope(name="position"):
                key[name] = position
            case _:
                key[name] = one.entity_id
    return key


# Update and delete


def chosen(writing: Writing, values: Row) -> list[Chosen]:
    """Return the events that set these values, in the order in which they happen.

    An event that gives a column a constant, such as a status, is chosen by that value alone, and
    takes the other columns that it has fields for.

    Raises:
        RestError: for values that no event sets together.
    """
    found: dict[type[Event], dict[str, Any]] = {}
    plain = []
    for name, value in values.items():
        making = [cls for cls in writing.updates if name in writing.columns(cls).constants]
        if not making:
            plain.append(name)
            continue
        fitting = [cls for cls in making if writing.columns(cls).constants[name] == value]
        if not fitting:
            known = dict.fromkeys(str(writing.columns(cls).constants[name]) for cls in making)
            raise RestError(
                400,
                "23514",
                f"{name} cannot be set to {value!r}",
                hint=f"{name} can be set to {', '.join(known)}.",
            )
        found.setdefault(fitting[0], {})
    for name in plain:
        cls = _taking(writing, found, name, values[name])
        found.setdefault(cls, {})[writing.columns(cls).fields[name]] = values[name]
    return [Chosen(cls, found[cls]) for cls in writing.updates if cls in found]


def _taking(writing: Writing, found: Collection[type[Event]], name: str, value: Any) -> type[Event]:
    """The event type that takes a value of a column."""
    having = [cls for cls in writing.updates if name in writing.columns(cls).fields]
    fitting = [
        cls
        for cls in having
        if (
            name in writing.columns(cls).nullable
            if value is None
            else name not in writing.columns(cls).only_null
        )
    ]
    if not fitting:
        raise null_value(writing, name)
    for cls in fitting:
        if cls in found or not writing.columns(cls).constants:
            return cls
    constants = writing.columns(fitting[0]).constants
    together = " and ".join(constants)
    raise RestError(
        400,
        "23514",
        f"{name} is set together with {together} only",
        hint="Set "
        + ", ".join(f"{column}={value}" for column, value in constants.items())
        + " too.",
    )


def columns_needed(writing: Writing, classes: Sequence[type[Event]]) -> list[str]:
    """Return the columns of a present row from which the events of a change follow."""
    needed = dict.fromkeys(writing.key)
    for cls in classes:
        if (entity := writing.columns(cls).entity) is not None:
            needed.setdefault(entity)
        if (rule := rule_of(cls)) is not None:
            needed |= dict.fromkeys(name for name in rule.lacks if name in writing.updatable)
    return list(needed)


def changed(
    writing: Writing, recorder: Recorder, row: Row, events: Sequence[Chosen]
) -> list[tuple[UUID, Event]]:
    """Return the events that change a present row, each with the id of its entity.

    Args:
        writing: of the table.
        recorder: on whose behalf.
        row: the columns that `columns_needed` names.
        events: what the request sets.
    """
    happened = []
    for each in events:
        rule = rule_of(each.cls)
        taken = [name for name in (rule.lacks if rule else ()) if row.get(name) is not None]
        if taken and all(str(each.fields.get(name)) == row[name] for name in taken):
            continue  # it is so already
        for name in taken:
            clearing = _taking(writing, (), name, None)
            field = writing.columns(clearing).fields[name]
            happened.append(of_row(writing, recorder, row, clearing, {field: None}))
        happened.append(of_row(writing, recorder, row, each.cls, each.fields))
    return happened


def of_row(
    writing: Writing,
    recorder: Recorder,
    row: Row,
    cls: type[Event],
    fields: Mapping[str, Any],
) -> tuple[UUID, Event]:
    """Return an event of a present row with the id of its entity.

    Raises:
        EventRefused: for a value that does not fit.
        RestError: 23502 for a field that must be there.
    """
    columns = writing.columns(cls)
    keys = {columns.fields[name]: row[name] for name in writing.key if name in columns.fields}
    whole = {**keys, **fields}
    for name, field in columns.fields.items():
        if field not in whole and field in required_fields(cls):
            raise null_value(writing, name)
    event = decode(cls.event_type, msgspec.json.encode(whole))
    if columns.entity is not None:
        return UUID(row[columns.entity]), event
    begins = writing.insert
    identity = None if begins is None else identity_of(begins)
    assert identity is not None, f"{cls.event_type} names no entity"
    return identity(recorder.tenant_id, event), event


# What a request may name


def require_columns(writing: Writing, names: Collection[str], accepted: Sequence[str]) -> None:
    """Refuse columns that no event is told of.

    Raises:
        RestError: PGRST204, with the columns that are accepted.
    """
    for name in names:
        if name in accepted:
            continue
        known = name in writing.projection.table.columns
        raise RestError(
            400,
            "PGRST204",
            f"Column '{name}' of '{writing.table}' follows from events and cannot be written"
            if known
            else f"Could not find the '{name}' column of '{writing.table}' in the schema cache",
            hint=f"The columns that can be written are {', '.join(accepted)}.",
        )


def null_value(writing: Writing, column: str) -> RestError:
    """Return the error for a value that must be there."""
    return RestError(
        400,
        "23502",
        f'null value in column "{column}" of relation "{writing.table}" violates not-null '
        "constraint",
    )


def uuid_of(value: object) -> UUID:
    """Return the id that a value of a request is.

    Raises:
        RestError: 22P02, when it is none.
    """
    try:
        return UUID(str(value))
    except ValueError:
        raise RestError(400, "22P02", f'invalid input syntax for type uuid: "{value}"') from None
