"""The migrations: equal to the metadata, reversible, printable, and safe to run twice at once."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from quantum_forge.eventstore.base.errors import (
    DatabaseNewer,
    MigrationsPending,
    NotMigrated,
    UnknownRevision,
)
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.schema import sql as schema_sql
from quantum_forge.schema.create import create_all
from quantum_forge.schema.sql import OBJECTS, PRELUDE

LEFTOVERS = text("""
    SELECT 'relation ' || relname AS what FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relname !~ '^qforge_version'
    UNION ALL
    SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'type ' || typname FROM pg_type
     WHERE typnamespace = 'public'::regnamespace AND typname !~ 'qforge_version$'
    UNION ALL
    SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'event trigger ' || evtname FROM pg_event_trigger
    UNION ALL
    SELECT 'schema ' || nspname FROM pg_namespace
     WHERE nspname !~ '^pg_|^information_schema|^public$'
    UNION ALL
    SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
    ORDER BY what
""")


@pytest.fixture
def another_database(empty_database: Database) -> Database:
    """Return a database without tables, to compare with the migrated one."""
    return empty_database


def test_the_migrations_make_what_the_metadata_declares(
    database: Database, another_database: Database
) -> None:
    """Whoever upgrades has the very same database as whoever starts today."""
    with another_database.engine.begin() as connection:
        create_all(connection)

    assert schema_dump(database) == schema_dump(another_database)


def test_every_sql_file_is_in_the_order_of_creation() -> None:
    """A file that nothing runs would be an object that no database has."""
    folder = Path(schema_sql.__file__).parent

    assert sorted(file.stem for file in folder.glob("*.sql")) == sorted([*PRELUDE, *OBJECTS])


def test_going_down_leaves_nothing(database: Database) -> None:
    """A downgrade to the base takes away every object that the upgrades made."""
    migrations.downgrade(database.engine, "base")

    with database.engine.connect() as connection:
        assert list(connection.scalars(LEFTOVERS)) == []


def test_each_migration_can_be_undone_and_done_again(database: Database) -> None:
    """Down one step at a time and up again ends in the same schema."""
    before = schema_dump(database)

    undone = []
    while migrations.current(database.engine) is not None:
        undone += migrations.downgrade(database.engine, "-1")
    for _ in undone:
        migrations.upgrade(database.engine, "+1")

    assert undone == [revision.name for revision in reversed(migrations.revisions())]
    assert schema_dump(database) == before


def test_the_printed_sql_makes_the_same_database_in_psql(
    database: Database, another_database: Database
) -> None:
    """An administrator who runs the SQL by hand gets what the program makes, and can undo it so."""
    psql(another_database, migrations.upgrade_sql())
    assert schema_dump(another_database) == schema_dump(database)
    assert migrations.migration_state(another_database.engine).pending == ()

    psql(another_database, migrations.downgrade_sql("base"))
    with another_database.engine.connect() as connection:
        assert list(connection.scalars(LEFTOVERS)) == []


def test_two_processes_may_migrate_at_once(empty_database: Database) -> None:
    """Of several that upgrade at the same time one does the work, and none fails."""
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrations.upgrade, [empty_database.engine] * 4))

    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations.revisions())]


def test_a_database_without_tables_is_told_from_an_old_and_a_newer_one(
    database: Database, another_database: Database
) -> None:
    """Each state has its own error, which says what to do; the right state has none."""
    require = migrations.require_migrated
    require(database.engine)

    with pytest.raises(NotMigrated, match="run: qforge db upgrade"):
        require(another_database.engine)

    migrations.downgrade(database.engine, "-1")
    with pytest.raises(MigrationsPending, match="1 behind this program; run: qforge db upgrade"):
        require(database.engine)

    set_revision(database, "f00d")
    with pytest.raises(DatabaseNewer, match=r"f00d.*install"):
        require(database.engine)


@pytest.mark.parametrize("move", [migrations.upgrade, migrations.downgrade])
def test_an_unknown_revision_is_refused(database: Database, move: Callable[..., object]) -> None:
    """A typing error in a revision changes nothing."""
    before = migrations.current(database.engine)

    for unknown in ("nonsense", "", "+99", "-99", "0"):
        with pytest.raises(UnknownRevision):
            move(database.engine, unknown)

    assert migrations.current(database.engine) == before


def test_a_move_in_the_wrong_direction_does_nothing(database: Database) -> None:
    """An upgrade never undoes anything, and a downgrade never makes anything."""
    names = [revision.name for revision in migrations.revisions()]

    assert migrations.upgrade(database.engine, names[0]) == []
    assert migrations.current(database.engine) == names[-1]

    migrations.downgrade(database.engine, names[0])
    assert migrations.downgrade(database.engine, names[-1]) == []
    assert migrations.current(database.engine) == names[0]


def test_a_newer_database_is_not_touched(database: Database) -> None:
    """Neither an upgrade nor a reset by an older program does anything to a newer database."""
    set_revision(database, "f00d")

    for action in (migrations.upgrade, migrations.downgrade, migrations.reset):
        with pytest.raises(DatabaseNewer):
            action(database.engine)

    assert migrations.current(database.engine) == "f00d"


def test_a_reset_database_is_empty_and_current(database: Database) -> None:
    """A reset ends with all tables and no rows."""
    before = schema_dump(database)

    migrations.reset(database.engine)

    assert schema_dump(database) == before


def schema_dump(database: Database) -> str:
    """Return the schema as SQL, without what differs from dump to dump."""
    command = [
        str(tool_path("pg_dump")),
        "--schema-only",
        "--exclude-table=qforge_version",
        f"--dbname={libpq_url(database.url)}",
    ]
    dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # \restrict carries a random word.
    return "\n".join(line for line in dump.splitlines() if "restrict " not in line)


def psql(database: Database, script: str) -> None:
    """Run a script as an administrator would."""
    command = [str(tool_path("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", libpq_url(database.url)]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def set_revision(database: Database, revision: str) -> None:
    """Say that the database is at another revision."""
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE qforge_version SET version_num = :to"), {"to": revision})


def test_the_newest_revision_is_the_first_word_of_a_file_name() -> None:
    """What commands compare a database with, without reading any migration."""
    assert migrations.newest() == migrations.revisions()[-1].name
