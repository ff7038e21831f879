"""Texts in a B-tree: none is recorded that has no room there, and none stops a projector."""

import secrets
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import Column, Connection, Engine, Index, Text, text

from quantum_forge.eventstore.base.codec import encode
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.projections.compiler.dead_letters import list_dead_letters
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.runner.molecules.records import tidy_name
from quantum_forge.schema.domains.batches import BatchItem
from quantum_forge.schema.domains.discovery import ProjectCreated
from quantum_forge.schema.language.event import EVENTS, Event, required_fields
from quantum_forge.schema.language.field_types import alternatives, bare, field_types, longest
from quantum_forge.schema.language.fields import LONGEST_INDEXED
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import Projection, WrongDeclaration
from quantum_forge.schema.language.value import Element, Payload, entity_id, from_metadata
from tests.conftest import Qforge
from tests.support.appending import TENANT
from tests.support.toys import toy_table

_SORTED = text("""
    SELECT DISTINCT c.relname AS table_name, a.attname AS column_name
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indrelid
      JOIN pg_class AS x ON x.oid = i.indexrelid
      JOIN pg_am AS am ON am.oid = x.relam AND am.amname = 'btree'
      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
     WHERE c.relnamespace = 'public'::regnamespace AND a.atttypid = 'text'::regtype
       AND NOT c.relispartition
     ORDER BY 1, 2
""")

ID = uuid4()
OF_NO_PROJECTION = {
    "event_logs": {"event_type"},
    "event_streams": {"entity_type"},
    "login_bindings": {"login"},
    "projection_checkpoints": {"projection"},
    "projection_copies": {"projection", "kind"},
    "projection_dead_letters": {"projection", "copy"},
}
"""append_events refuses types of more than 200 bytes; names of tables have at most 48, those of
logins 63."""


def test_every_indexed_text_is_limited_when_it_is_recorded(connection: Connection) -> None:
    """Of every table that the database has: the event is refused, with its field and limit."""
    found = connection.execute(_SORTED).all()
    assert len(found) > 20

    for table, name in found:
        if name in OF_NO_PROJECTION.get(table, ()) or name == "version_num":
            continue
        for cls, field in _sources(PROJECTIONS[table], name):
            words = rf"{field.rpartition('.')[2]}` has .* and the limit is {_limit(cls, field)}"
            with pytest.raises(EventRefused, match=words):
                encode(_with(cls, field, "x" * (_limit(cls, field) + 1)))


def _sources(projection: Projection, column: str) -> list[tuple[type[Event], str]]:
    """The texts of events that fill a column."""
    values = projection.key.get(column) or next(
        fold.values for fold in projection.folds if fold.column.name == column
    )
    found = []
    for event_type, value in values.items():
        cls = EVENTS[event_type]
        match value:
            case Payload(name) if _is_text(cls, name):
                found.append((cls, name))
            case Element(part):
                found.append((cls, f"items.{part}"))
            case _:
                continue
    return found


def _is_text(cls: type[Event], name: str) -> bool:
    parts = map(bare, alternatives(field_types(cls)[name]))
    return any(isinstance(part, msgspec.inspect.StrType) for part in parts)


def _limit(cls: type[Event], field: str) -> int:
    """Characters that its type allows, or any indexed text may have."""
    known = None if "." in field else longest(field_types(cls)[field])
    return min(known or LONGEST_INDEXED, LONGEST_INDEXED)


def _with(cls: type[Event], field: str, long: str) -> Event:
    """An event of which nothing is right but the type of this text: its length is seen first."""
    other = dict.fromkeys(required_fields(cls), "x")
    if field.startswith("items."):
        return cls(**other | {"items": [BatchItem(calculation_id=ID, molecule_id=ID, name=long)]})
    return cls(**other | {field: long})


def test_an_index_over_a_text_without_a_limit_is_a_wrong_declaration() -> None:
    """So a new table cannot forget it, nor one of an own domain."""
    table = toy_table("toy", Column("value", Text))
    Index("toy_value_idx", table.c.tenant_id, table.c.value)

    with pytest.raises(WrongDeclaration, match=r"column value is in an index.*IndexedText"):
        Projection(
            table,
            events=[ProjectCreated],
            key={"id": entity_id},
            columns={"value": last(ProjectCreated.description)},
        )
    with pytest.raises(WrongDeclaration, match="column value is in an index"):
        Projection(
            table,
            events=[ProjectCreated],
            key={"id": entity_id},
            columns={"value": last(from_metadata("host"))},
        )
    Projection(
        table,
        events=[ProjectCreated],
        key={"id": entity_id},
        columns={"value": last(ProjectCreated.name)},
    )


def test_what_sql_appends_beyond_the_limit_is_read_and_stops_nothing(engine: Engine) -> None:
    """append_events takes any JSON: the event is a dead letter, and those after it are folded."""
    long, good = uuid4(), uuid4()
    for entity, name in ((long, secrets.token_hex(2000)), (good, "Malaria")):
        event = {
            "event_id": str(uuid4()),
            "tenant_id": str(TENANT),
            "entity_type": "project",
            "entity_id": str(entity),
            "event_type": "project_created",
            "data": {"name": name},
        }
        with engine.begin() as connection:
            connection.execute(
                text("SELECT * FROM append_events(CAST(:events AS jsonb))"),
                {"events": msgspec.json.encode([event]).decode()},
            )

    catch_up(engine, PROJECTIONS.values())

    with engine.connect() as connection:
        assert [len(each.event.name) for each in read_all(connection)] == [4000, 7]  # type: ignore[attr-defined]
        assert connection.scalars(text("SELECT id FROM projects")).all() == [good]
        assert {each.projection for each in list_dead_letters(connection, PROJECTIONS)} == {
            "projects"
        }


def test_a_name_beyond_the_limit_is_one_clear_error(qforge_here: Qforge) -> None:
    """With the field, its length and the limit."""
    refused = qforge_here(
        "record", "project_created", "--data", f'{{"name": "{"x" * 4000}"}}', status=1
    )

    assert "project_created: `name` has 4,000 characters, and the limit is 500" in refused.stderr


def test_a_long_name_in_a_file_is_cut() -> None:
    """A molecule is calculated whatever its file calls it."""
    assert tidy_name("x" * 4000) == "x" * LONGEST_INDEXED
