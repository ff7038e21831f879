"""The catalogue: every declared table is there, with its reference."""

import re

from sqlalchemy import text

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.projections.operate.catalogue import render
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.language.projection import ENVELOPE_COLUMNS
from quantum_forge.schema.language.table import is_read_model
from quantum_forge.schema.tables.views import VIEWS

TABLES = [table.name for table in METADATA.sorted_tables if is_read_model(table)]


def test_every_table_of_the_catalogue_is_there(database: Database) -> None:
    """In the database, with a projection that fills it."""
    query = text("""
        SELECT relname FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'p')
    """)
    with database.engine.connect() as connection:
        there = set(connection.scalars(query))

    assert {*TABLES, *VIEWS} <= there
    assert set(TABLES) == set(PROJECTIONS), "a read model that no projection fills"


def test_the_reference_names_every_column_with_its_meaning_and_source() -> None:
    """No cell is empty but that of null."""
    page = render()
    for projection in PROJECTIONS.values():
        (section,) = re.findall(
            rf"^### {projection.name}\n(.*?)(?=^##|\Z)", page, flags=re.DOTALL | re.MULTILINE
        )
        rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", section, flags=re.MULTILINE))
        assert {*rows, *ENVELOPE_COLUMNS} == {column.name for column in projection.table.columns}
        for name, row in rows.items():
            kind, _, meaning, source = re.split(r"(?<!\\)\|", row)
            assert kind.strip(), f"{projection.name}.{name}"
            assert meaning.strip(), f"{projection.name}.{name}"
            assert source.strip(), f"{projection.name}.{name}"
