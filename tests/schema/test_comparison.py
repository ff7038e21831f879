"""The comparison of two schemas: the SQL that it finds makes one into the other, and back."""

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.errors import MigrationNotMade, NotAllowed
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.installation import new_migration
from quantum_forge.eventstore.database.installation.new_migration import compare
from quantum_forge.eventstore.database.installation.scratch import scratch_databases
from quantum_forge.schema.comparison.catalog import KINDS, read_catalog
from quantum_forge.schema.comparison.difference import difference
from quantum_forge.schema.create import create_all
from tests.conftest import Qforge

BEFORE = """
    CREATE TABLE projection_checkpoints (projection text PRIMARY KEY);
    CREATE SCHEMA old_rooms;
    CREATE SEQUENCE numbers AS bigint CACHE 1;
    CREATE FUNCTION doubled(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
    CREATE FUNCTION tripled(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT 3 * n$$;
    CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 1';
    REVOKE EXECUTE ON FUNCTION doubled(int) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION doubled(int) TO qforge_reader;
    COMMENT ON FUNCTION tripled(int) IS 'Three times; it''s 300%';
    CREATE TABLE things (
        id bigint DEFAULT nextval('numbers') NOT NULL,
        name text,
        size integer CONSTRAINT size_is_positive CHECK (size > 0),
        area double precision GENERATED ALWAYS AS (size * 2.0) STORED,
        CONSTRAINT things_pkey PRIMARY KEY (id)
    ) WITH (fillfactor = 80);
    ALTER SEQUENCE numbers OWNED BY things.id;
    CREATE INDEX things_name_idx ON things (name) WHERE name IS NOT NULL;
    COMMENT ON INDEX things_name_idx IS 'By name';
    COMMENT ON COLUMN things.name IS 'Its name';
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER things_refuse BEFORE DELETE ON things FOR EACH ROW EXECUTE FUNCTION refuse();
    GRANT SELECT (id, name) ON things TO qforge_reader;
    CREATE VIEW sizes AS SELECT name, size FROM things;
    GRANT SELECT ON sizes TO qforge_reader;
    COMMENT ON VIEW sizes IS 'Sizes by name';
    CREATE TABLE counted (id int PRIMARY KEY, n bigint NOT NULL, last_position bigint NOT NULL);
    ALTER TABLE counted ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON counted FOR SELECT USING (n > 0);
    GRANT SELECT ON counted TO qforge_reader;
    CREATE TABLE dropped (id int PRIMARY KEY, last_position bigint NOT NULL);
    COMMENT ON TABLE dropped IS 'Will go';
"""

AFTER = """
    CREATE TABLE projection_checkpoints (projection text PRIMARY KEY);
    CREATE SCHEMA new_rooms;
    COMMENT ON SCHEMA new_rooms IS 'For more';
    CREATE SEQUENCE numbers AS bigint CACHE 1;
    CREATE FUNCTION doubled(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + n';
    CREATE FUNCTION tripled(n int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n::bigint';
    COMMENT ON FUNCTION tripled(int) IS 'Three times';
    REVOKE EXECUTE ON FUNCTION tripled(int) FROM PUBLIC;
    CREATE AGGREGATE merged(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, PARALLEL = SAFE);
    CREATE TABLE things (
        id bigint DEFAULT nextval('numbers') NOT NULL,
        name text DEFAULT 'it''s: 5%' NOT NULL,
        size bigint CONSTRAINT size_is_positive CHECK (size > 1),
        colour text CONSTRAINT colour_is_known CHECK (colour IN ('red', 'blue')),
        CONSTRAINT things_pkey PRIMARY KEY (id),
        CONSTRAINT names_differ UNIQUE (name)
    );
    ALTER SEQUENCE numbers OWNED BY things.id;
    CREATE INDEX things_name_idx ON things (lower(name));
    COMMENT ON COLUMN things.name IS 'Its own name';
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER things_refuse BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION refuse();
    GRANT SELECT (id, name, colour) ON things TO qforge_reader;
    GRANT INSERT ON things TO qforge_admin;
    CREATE VIEW sizes WITH (security_invoker = true) AS SELECT name, size, colour FROM things;
    GRANT SELECT ON sizes TO qforge_reader;
    COMMENT ON VIEW sizes IS 'Sizes by name';
    CREATE TABLE counted (
        id int PRIMARY KEY, m bigint NOT NULL, n bigint NOT NULL, last_position bigint NOT NULL
    );
    ALTER TABLE counted ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON counted TO qforge_reader USING (n > 1) WITH CHECK (true);
    GRANT SELECT ON counted TO qforge_reader;
    CREATE TABLE made (id int PRIMARY KEY, of text CHECK (of <> '')) PARTITION BY RANGE (id);
    ALTER TABLE made ENABLE ROW LEVEL SECURITY;
"""


def run(engine: Engine, sql: str) -> None:
    """Run a script."""
    with engine.begin() as connection:
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def databases(engine: Engine) -> set[str]:
    """The scratch databases of the server."""
    with engine.connect() as connection:
        return set(
            connection.scalars(
                text("SELECT datname FROM pg_database WHERE datname LIKE 'qforge_scratch%'")
            )
        )


def test_every_kind_of_change_is_made_and_undone(engine: Engine) -> None:
    """The SQL up makes the other schema, with rows in the tables; the SQL down makes it again."""
    with scratch_databases(engine, 2) as (one, other):
        run(one, BEFORE)
        run(other, AFTER)
        catalogs = []
        for each in (one, other):
            with each.begin() as connection:
                catalogs.append(read_catalog(connection))
        before, after = catalogs
        run(one, "INSERT INTO things (name, size) VALUES ('a', 2)")
        run(one, "INSERT INTO counted VALUES (1, 2, 3)")
        run(one, "INSERT INTO projection_checkpoints VALUES ('counted'), ('dropped'), ('other')")

        up = difference(before, after)
        run(one, up.sql)
        with one.begin() as connection:
            assert read_catalog(connection) == after
            rows = connection.execute(text("SELECT name, size FROM things")).all()
            left = connection.scalars(text("SELECT projection FROM projection_checkpoints")).all()
        run(one, difference(after, before).sql)
        with one.begin() as connection:
            assert read_catalog(connection) == before

    kinds = {each.kind for catalog in catalogs for each in catalog.objects.values()}
    assert kinds | {"column"} == set(KINDS)
    assert [tuple(row) for row in rows] == [("a", 2)]
    assert left == ["other"]
    assert up.emptied == ("counted",)
    assert {"new table made", "drop table dropped", "change column things.size"} <= set(up.changes)
    assert not [line for line in up.changes if "dropped." in line or "made." in line]
    assert databases(engine) == set()


def test_sql_is_printed_and_nothing_written(
    qforge_here: Qforge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SQL goes to stdout, what it changes to stderr, and no file is made."""

    def more(connection: Connection) -> None:
        create_all(connection)
        connection.exec_driver_sql("COMMENT ON TABLE molecules IS 'All of them'")

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(new_migration, "create_all", more)
    monkeypatch.setattr(new_migration, "write_migration", refuse)

    done = qforge_here("db", "migration", "new", "Say more", "--sql")

    assert done.stdout.strip() == "COMMENT ON TABLE molecules IS 'All of them';"
    assert done.stderr.strip() == "change comment TABLE molecules"


def test_equal_schemas_differ_in_nothing(engine: Engine) -> None:
    """What the migrations make is what is declared, so that there is no migration to write."""
    assert compare(engine) is None
    assert databases(engine) == set()


def test_what_cannot_be_made_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that would not end in the declared schema is not written."""

    def moved(connection: Connection) -> None:
        create_all(connection)
        connection.exec_driver_sql(
            "ALTER TABLE published_head DROP COLUMN published_at, ADD COLUMN colour text;"
            "ALTER TABLE published_head ADD COLUMN published_at timestamptz"
        )

    monkeypatch.setattr(new_migration, "create_all", moved)

    with pytest.raises(MigrationNotMade, match=r"published_head.*--empty"):
        compare(engine)
    assert databases(engine) == set()


def test_a_login_that_may_not_make_databases_is_told(engine: Engine) -> None:
    """The error names the right that is missing."""
    run(engine, "CREATE ROLE modest LOGIN")
    modest = make_engine(engine.url.set(username="modest"))
    try:
        with pytest.raises(NotAllowed, match="create database"):
            compare(modest)
    finally:
        modest.dispose()
        run(engine, "DROP ROLE modest")
