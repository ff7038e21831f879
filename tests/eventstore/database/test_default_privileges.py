"""Hosts that grant every new object to their gateway's roles: nothing of that reaches the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.foreign_rights import foreign_rights
from quantum_forge.eventstore.doctor.checks import Level
from quantum_forge.eventstore.doctor.checks.privileges import grants, row_security
from quantum_forge.eventstore.log.partitions import make_partitions
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import command_line
from tests.eventstore.database.test_domains import write_domain

GATEWAY = "anon, authenticated, service_role"
"""As on Supabase, whose default privileges these are."""

_RIGHTS = text("""
    SELECT kind || ' ' || name || ': ' || coalesce(r.rolname, 'PUBLIC') || ' ' || privilege_type
      FROM (SELECT 'relation' AS kind, oid::regclass::text AS name, relowner AS owner,
                   relnamespace AS space, relacl AS acl FROM pg_class
            UNION ALL
            SELECT 'column', attrelid::regclass || '.' || attname, relowner, relnamespace, attacl
              FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
            UNION ALL
            SELECT 'function', oid::regprocedure::text, proowner, pronamespace,
                   coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
            UNION ALL
            SELECT 'schema', nspname, nspowner, oid, nspacl FROM pg_namespace
             WHERE nspname <> 'public') AS objects
      JOIN pg_namespace AS n ON n.oid = space, aclexplode(acl) AS a
      LEFT JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE nspname !~ '^pg_|^information_schema' AND a.grantee <> owner
       AND coalesce(r.rolname !~ '^qforge_', true)
     ORDER BY 1
""")
"""Every right of anybody but the owner and the roles of this program, whatever it is to."""


@pytest.fixture
def hosted(empty_database: Database) -> Iterator[Database]:
    """Return a database in which each new object is everybody's."""
    with empty_database.engine.begin() as connection:
        for role in GATEWAY.split(", "):
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        for where in ("", "IN SCHEMA public"):
            for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
                connection.exec_driver_sql(
                    f"ALTER DEFAULT PRIVILEGES {where} GRANT ALL ON {what} TO PUBLIC, {GATEWAY}"
                )
        connection.exec_driver_sql(
            f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC, {GATEWAY};"
            "CREATE TABLE another_programs (id int)"
        )
    yield empty_database
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {GATEWAY}; DROP ROLE {GATEWAY}")


def rights(engine: Engine) -> list[str]:
    """The rights of strangers, without those to the other program's table."""
    with engine.connect() as connection:
        found = list(connection.scalars(_RIGHTS))
    others = [each for each in found if "another_programs" in each]
    assert others, "the other program lost its own"
    return [each for each in found if each not in others]


def test_what_is_made_is_nobody_elses_whatever_the_default_privileges(
    hosted: Database, tmp_path: Path
) -> None:
    """Neither of the first upgrade, nor of partitions, copies and own domains that come later."""
    # Given: a database that was made before anybody looked
    engine = hosted.engine
    migrations.upgrade(engine, "0031")
    assert "relation projection_checkpoints: anon UPDATE" in rights(engine)

    # When: it is upgraded, and everything happens to it that makes objects
    migrations.upgrade(engine)
    after_upgrade = rights(engine)
    with engine.begin() as connection:
        connection.execute(text("SELECT setval('event_logs_id_seq', 25000000)"))
    made = make_partitions(engine)
    catch_up(engine, PROJECTIONS.values())
    rebuild(engine, PROJECTIONS["molecules"], keep=True)
    command_line(tmp_path, DATABASE_URL=libpq_url(hosted.url), **write_domain(tmp_path))(
        "db", "upgrade"
    )

    # Then: nobody has any right, and the doctor agrees
    assert after_upgrade == []
    assert made
    assert rights(engine) == []
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM instruments")) == 0
        assert foreign_rights(connection) == []
        assert [each(connection).level for each in (grants, row_security)] == [Level.OK] * 2


def test_what_the_gateways_role_was_granted_since_opens_nothing_and_is_found(
    hosted: Database,
) -> None:
    """A GRANT by hand shows no row and changes none, and the doctor names what revokes it."""
    migrations.upgrade(hosted.engine)
    catch_up(hosted.engine, PROJECTIONS.values())
    tables = ["projection_checkpoints", "projection_copies", "published_head", "qforge_version"]
    with hosted.engine.begin() as connection:
        for table in (*tables, "users", "login_bindings"):
            connection.exec_driver_sql(f"GRANT ALL ON {table} TO anon")

    anon = make_engine(hosted.url.set(username="anon"))
    for table in tables:
        with anon.begin() as connection:
            assert connection.execute(text(f"SELECT * FROM {table}")).all() == []
            assert connection.execute(text(f"DELETE FROM {table}")).rowcount == 0
    for statement in ("TABLE users", "SELECT event_partitions()", "SELECT current_tenant()"):
        with pytest.raises(NotAllowed), anon.begin() as connection:
            connection.execute(text(statement))
    anon.dispose()

    with hosted.engine.connect() as connection:
        finding = grants(connection)
    assert finding.level is Level.PROBLEM
    assert len(finding.commands) == len(tables) + 2
    assert all("REVOKE ALL ON TABLE" in command for command in finding.commands)
