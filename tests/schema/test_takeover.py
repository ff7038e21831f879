"""Databases that the 29 migrations before 0029_initial made.

`revision_0029.sql.gz` is a dump of one by pg_dump 16, with 88 events and their read models: the
run of a file, a registered user, and two events of each type that the projections read.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import DatabaseOlder
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.roles import create_roles
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.project.projector import catch_up, stale
from quantum_forge.projections.rebuild.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.comparison.catalog import Catalog, read_catalog
from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.domains.batches import BatchCreated
from tests.schema.test_migrations import psql, schema_dump, set_revision

DUMP = Path(__file__).with_name("revision_0029.sql.gz")


@pytest.fixture
def old(empty_database: Database) -> Database:
    """Return a database at revision 0029 as it was before the migrations were squashed."""
    create_roles(empty_database.engine)
    psql(empty_database, gzip.decompress(DUMP.read_bytes()).decode())
    return empty_database


def rows(database: Database) -> dict[str, list[str]]:
    """The rows of every table that has any, as text, without what is null: a new column is."""
    with database.engine.connect() as connection:
        there = set(inspect(connection).get_table_names())
        found = {
            name: sorted(
                str({column: value for column, value in row.items() if value is not None})
                for row in connection.scalars(text(f"SELECT to_jsonb(t) FROM {name} AS t"))
            )
            for name in METADATA.tables
            if name in there
        }
    return {name: texts for name, texts in found.items() if texts}


def catalog(database: Database) -> Catalog:
    """The schema, but for names of NOT NULL constraints, which pg_dump 16 does not know."""
    with database.engine.begin() as connection:
        return read_catalog(connection)


def by_command(database: Database, _: EmbeddedServer) -> list[str]:
    """As `qforge db upgrade` does."""
    return migrations.upgrade(database.engine)


def by_itself(database: Database, server: EmbeddedServer) -> list[str]:
    """As every command does with the embedded database."""
    return migrations.migrate_embedded(Database(database.engine, server=server))


@pytest.mark.parametrize("migrate", [by_command, by_itself])
def test_a_database_of_before_is_taken_over_without_loss(
    migrate: Callable[[Database, EmbeddedServer], list[str]],
    old: Database,
    database: Database,
    server: EmbeddedServer,
) -> None:
    """Its schema becomes that of a new database, its rows stay, and it works on."""
    before = rows(old)
    assert len(before["event_logs"]) == 88

    applied = migrate(old, server)

    assert applied == [each.name for each in migrations.revisions()[1:]]
    assert catalog(old) == catalog(database)
    before["projection_checkpoints"] = [
        each for each in before["projection_checkpoints"] if "'activity_logs'" not in each
    ]  # is a view now
    assert rows(old) == before
    with old.engine.connect() as connection:
        changed = stale(connection, PROJECTIONS.values())
    for projection in changed:  # whose declaration has changed since
        rebuild(old.engine, projection)
    assert [name for name in PROJECTIONS if not verify(old.engine, PROJECTIONS[name]).agrees] == []

    batch = BatchCreated(name="taken over", parameters={})
    with old.engine.begin() as connection:
        append(connection, [NewEvent(tenant_id=DEFAULT_TENANT_ID, entity_id=uuid7(), event=batch)])
    catch_up(old.engine, PROJECTIONS.values())
    with old.engine.connect() as connection:
        names = connection.scalars(text("SELECT name FROM batch_jobs")).all()
    assert "taken over" in names
    assert verify(old.engine, PROJECTIONS["batch_jobs"]).agrees


@pytest.mark.parametrize("revision", ["0001", "0028"])
def test_an_older_database_is_told_which_version_migrates_it(
    database: Database, server: EmbeddedServer, revision: str
) -> None:
    """Its migrations are gone: nothing is changed, and the error names the commit that has them."""
    before = schema_dump(database)
    set_revision(database, revision)

    for move in (by_command, by_itself):
        with pytest.raises(DatabaseOlder, match=f"{revision}.*df996eb.*qforge db upgrade"):
            move(database, server)

    assert migrations.current(database.engine) == revision
    assert schema_dump(database) == before
