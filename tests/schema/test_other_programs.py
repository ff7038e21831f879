"""A database that another program uses is refused before anything in it is touched."""

from typing import Any

import pytest
from alembic import op
from sqlalchemy import text

from quantum_forge.eventstore.base.errors import NotOurDatabase
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.database.installation import migrations

_OBJECTS = text("""
    SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1
""")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
            "INSERT INTO alembic_version VALUES ('0003')",
            "a table alembic_version, and no event_logs beside it",
        ),
        (
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
            "INSERT INTO alembic_version VALUES ('0029')",
            "a table alembic_version",
        ),
        ("CREATE TABLE users (x int)", "1 table users already"),
        (
            "CREATE VIEW molecules AS SELECT 1 AS x; CREATE SEQUENCE batch_jobs",
            "2 tables batch_jobs, molecules",
        ),
    ],
)
def test_another_programs_objects_are_left_as_they_are(
    empty_database: Database, given: str, named: str
) -> None:
    """Neither its revision is taken for ours, nor are half of our tables made beside its own."""
    engine = empty_database.engine
    with engine.begin() as connection:
        connection.exec_driver_sql(given)
        before = connection.execute(_OBJECTS).all()

    with pytest.raises(NotOurDatabase, match=f"{named}.*CREATE DATABASE"):
        migrations.upgrade(engine)

    with engine.connect() as connection:
        assert connection.execute(_OBJECTS).all() == before


def test_a_program_that_comes_later_has_its_own_revision(database: Database) -> None:
    """Both use Alembic; the newcomer's table is not ours."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
            "INSERT INTO alembic_version VALUES ('f00d')"
        )

    assert migrations.upgrade(database.engine) == []
    assert migrations.current(database.engine) == migrations.newest()


def test_the_revision_of_before_gets_its_new_name(database: Database) -> None:
    """Databases that kept it under Alembic's name are taken over, and go on."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE qforge_version RENAME TO alembic_version")
        connection.exec_driver_sql("ALTER INDEX qforge_version_pkc RENAME TO alembic_version_pkc")
    assert migrations.current(database.engine) == migrations.newest()
    migrations.require_migrated(database.engine)
    assert not migrations.is_migrated(database.engine)

    assert migrations.upgrade(database.engine) == []

    assert migrations.is_migrated(database.engine)
    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('alembic_version')")) is None


def test_an_upgrade_that_fails_leaves_nothing(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All migrations are one transaction: a database is never half migrated."""
    execute, calls = op.execute, []

    def failing(statement: Any) -> None:
        execute(statement)
        calls.append(statement)
        if len(calls) == 2:
            raise ZeroDivisionError

    monkeypatch.setattr(op, "execute", failing)
    with pytest.raises(ZeroDivisionError):
        migrations.upgrade(empty_database.engine)

    assert migrations.current(empty_database.engine) is None
    with empty_database.engine.connect() as connection:
        assert connection.execute(_OBJECTS).all() == []
