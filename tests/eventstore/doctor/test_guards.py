"""What guards the log: a changed function, trigger, rule, setting or membership is found."""

import shlex

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.doctor.checks import (
    Check,
    Level,
    definitions,
    guards,
    log,
    others,
    privileges,
)
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import read_all
from tests.conftest import Qforge
from tests.support.appending import small_event

PARTITION = "event_logs_p000000000000001"
NEWER = {"pg_maintain", "pg_create_subscription"}
"""Roles that PostgreSQL 15 has not."""
SNEAK = "CREATE FUNCTION sneak() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"

CHANGES: list[tuple[Check, str, list[str]]] = [
    (
        guards.append_only,
        "event_logs_refuse_change on event_logs does not always fire",
        [
            "DROP TRIGGER event_logs_refuse_change ON event_logs",
            "CREATE TRIGGER event_logs_refuse_change BEFORE UPDATE OR DELETE ON event_logs"
            " FOR EACH ROW WHEN (false) EXECUTE FUNCTION refuse_change()",
        ],
    ),
    (
        guards.append_only,
        "event_logs_refuse_change on event_logs does not always fire",
        [
            "DROP TRIGGER event_logs_refuse_change ON event_logs",
            "CREATE TRIGGER event_logs_refuse_change BEFORE UPDATE OF version OR DELETE"
            " ON event_logs FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        ],
    ),
    (
        guards.append_only,
        f"event_logs_refuse_truncate on {PARTITION} does not always fire",
        [
            f"DROP TRIGGER event_logs_refuse_truncate ON {PARTITION}",
            f"CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON {PARTITION}"
            " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION refuse_change()",
        ],
    ),
    *(
        (
            guards.append_only,
            f"sneak on {table} is not declared: CREATE TRIGGER",
            [
                SNEAK,
                f"CREATE TRIGGER sneak BEFORE INSERT ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION sneak()",
            ],
        )
        for table in ("event_logs", PARTITION, "event_streams", "login_bindings", "molecules")
    ),
    (
        guards.append_only,
        "rule swallow on event_streams is not declared",
        ["CREATE RULE swallow AS ON INSERT TO event_streams DO INSTEAD NOTHING"],
    ),
    (
        guards.append_only,
        "rule swallow on molecules is not declared",
        ["CREATE RULE swallow AS ON UPDATE TO molecules DO INSTEAD NOTHING"],
    ),
    *(
        (
            privileges.row_security,
            f"forced on {table}, whose owner then does not see its rows",
            [f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"],
        )
        for table in ("molecules", "event_logs", PARTITION)
    ),
    (
        guards.append_only,
        "session_replication_role is replica by ALTER ROLE quiet: no trigger fires",
        ["CREATE ROLE quiet LOGIN", "ALTER ROLE quiet SET session_replication_role = replica"],
    ),
    (
        guards.append_only,
        "session_replication_role is replica by ALTER DATABASE",
        [
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_replication_role = replica',"
            " current_database()); END $$"
        ],
    ),
    (
        guards.append_only,
        "session_replication_role is replica by ALTER ROLE quiet IN DATABASE",
        [
            "CREATE ROLE quiet LOGIN",
            "DO $$ BEGIN EXECUTE format('ALTER ROLE quiet IN DATABASE %I"
            " SET session_replication_role = replica', current_database()); END $$",
        ],
    ),
    (
        guards.functions,
        "acts_for_every_tenant is not as declared",
        [
            "CREATE OR REPLACE FUNCTION acts_for_every_tenant() RETURNS boolean"
            " LANGUAGE sql STABLE PARALLEL SAFE RETURN true"
        ],
    ),
    (
        guards.functions,
        "is_storable is not as declared",
        [
            "CREATE OR REPLACE FUNCTION is_storable(data jsonb, metadata jsonb,"
            " occurred_at timestamptz) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE"
            " RETURN true"
        ],
    ),
    (
        guards.functions,
        "append_lock_key is not as declared",
        [
            "CREATE OR REPLACE FUNCTION append_lock_key(floor bigint) RETURNS bigint"
            " LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN floor"
        ],
    ),
    (
        guards.functions,
        "append_lock_key is not as declared",
        [
            "CREATE FUNCTION append_lock_key(floor integer) RETURNS bigint"
            " LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 0"
        ],
    ),
    (
        guards.functions,
        "append_locks is not as declared",
        [
            "CREATE OR REPLACE VIEW append_locks AS SELECT NULL::integer AS pid,"
            " 0::bigint AS floor, false AS prepared, false AS counts WHERE false"
        ],
    ),
    (
        guards.functions,
        "current_tenant is not as declared",
        ["ALTER FUNCTION current_tenant() SECURITY INVOKER"],
    ),
    (
        guards.functions,
        "append_events(jsonb) belongs to another role than the log",
        ["ALTER FUNCTION append_events OWNER TO pg_monitor"],
    ),
    (
        log.sequence,
        "from somewhere else than event_logs_id_seq",
        ["ALTER TABLE event_logs ALTER id SET DEFAULT 7"],
    ),
    *(
        (log.sequence, "may assign positions from -5", [f"ALTER SEQUENCE {change}"])
        for change in (
            "event_logs_id_seq MINVALUE -5",
            "event_logs_id_seq MINVALUE -5 START -5 RESTART -5",
        )
    ),
    (
        log.partitions,
        "one for positions 1 to 10000000 was dropped",
        [f"DROP TABLE {PARTITION}"],
    ),
    (
        privileges.schema,
        "mallory may make objects in the schema public",
        ["CREATE ROLE mallory LOGIN", "GRANT CREATE ON SCHEMA public TO mallory"],
    ),
    (
        privileges.logins,
        "mallory bypasses row-level security",
        ["CREATE ROLE mallory LOGIN BYPASSRLS IN ROLE qforge_reader"],
    ),
    (
        privileges.logins,
        "mallory is bound to a tenant, and sees all as a member of qforge_admin",
        [
            "CREATE ROLE mallory LOGIN IN ROLE qforge_admin",
            "ALTER ROLE mallory SET qforge.tenant_id = '00000000-0000-4000-8000-000000000001'",
        ],
    ),
    (
        privileges.logins,
        "mallory is bound to a tenant, and sees all as a member of qforge_projector",
        [
            "CREATE ROLE mallory LOGIN IN ROLE qforge_projector",
            "INSERT INTO login_bindings VALUES"
            " ('mallory', '00000000-0000-4000-8000-000000000001', now(), 'somebody')",
        ],
    ),
    (
        privileges.logins,
        "mallory may do everything as a member of qforge_admin",
        ["CREATE ROLE mallory LOGIN IN ROLE qforge_reader, qforge_admin"],
    ),
    (
        privileges.roles,
        "qforge_reader is a member of qforge_admin, and its members with it",
        ["GRANT qforge_admin TO qforge_reader"],
    ),
    *(
        (
            definitions.owners,
            f"{name} belongs to another role",
            [f"ALTER TABLE {name} OWNER TO ann"],
        )
        for name in ("molecules", "event_logs", PARTITION)
    ),
    *(
        (definitions.owners, f"{table} is UNLOGGED", [f"ALTER TABLE {table} SET UNLOGGED"])
        for table in ("event_streams", "molecules", PARTITION)
    ),
    *(
        (
            others.memberships,
            f"{member} {says}, by {role}",
            ["CREATE ROLE crowd", f"GRANT {role} TO {member}"],
        )
        for role, says in others.POWERS.items()
        for member in ("ann" if role != "pg_write_all_data" else "crowd",)
        if role not in NEWER
    ),
    (
        others.bindings,
        "no login any more: o'malley",
        [
            "INSERT INTO login_bindings VALUES"
            " ('o''malley', '00000000-0000-4000-8000-000000000001', now(), 'somebody')",
        ],
    ),
    (
        others.objects,
        "view every_event shows rows of every tenant to ann",
        [
            "CREATE VIEW every_event AS SELECT * FROM event_logs",
            "GRANT SELECT ON every_event TO ann",
        ],
    ),
    (
        others.objects,
        "view above shows rows of every tenant to PUBLIC",
        [
            "CREATE VIEW below AS SELECT * FROM users",
            "CREATE VIEW above AS SELECT email FROM below",
            "GRANT SELECT ON above TO PUBLIC",
        ],
    ),
    (
        others.objects,
        "materialized view copied shows rows of every tenant to ann",
        ["CREATE MATERIALIZED VIEW copied AS TABLE users", "GRANT SELECT ON copied TO ann"],
    ),
    (
        others.objects,
        "function emails() reads tables with the rights of",
        [
            "CREATE FUNCTION emails() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER"
            " AS 'SELECT email FROM users'"
        ],
    ),
    (
        others.objects,
        "function emails() reads tables with the rights of",
        [
            "CREATE FUNCTION emails() RETURNS text LANGUAGE sql SECURITY DEFINER"
            " RETURN (SELECT min(email) FROM users)"
        ],
    ),
    (
        others.objects,
        "publication leak sends rows of every tenant to its subscribers",
        ["CREATE PUBLICATION leak FOR TABLE users"],
    ),
    (
        others.objects,
        "publication leak sends rows of every tenant to its subscribers",
        ["CREATE PUBLICATION leak FOR ALL TABLES"],
    ),
    (
        others.objects,
        "event trigger watch runs seen() at every ddl_command_end",
        [
            "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION seen()",
        ],
    ),
]


def run(connection: Connection, statement: str) -> None:
    """Run a statement in which a percent sign is no placeholder."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def test_each_change_of_what_guards_the_log_is_found_and_its_remedy_mends_it(
    engine: Engine,
) -> None:
    """Triggers, rules, functions, views, settings, memberships: all in one database, undone."""
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE ann LOGIN")
        for check, _, _ in CHANGES:
            assert check(connection).level is Level.OK, check(connection)
        for check, says, statements in CHANGES:
            changed = connection.begin_nested()
            for statement in statements:
                run(connection, statement)

            finding = check(connection)
            assert finding.level is not Level.OK, says
            assert says in finding.found

            for command in finding.commands:
                program, *arguments = shlex.split(command)
                assert [program, *arguments[:3]] == ["qforge", "db", "psql", "-c"]
                run(connection, arguments[3])
            assert check(connection).level is Level.OK, check(connection)
            changed.rollback()


DEFINITIONS = {
    "CONSTRAINT few on event_streams is not declared": "ALTER TABLE event_streams"
    " ADD CONSTRAINT few CHECK (version < 9) NOT VALID",
    "CONSTRAINT few on event_logs is not declared": "ALTER TABLE event_logs"
    " ADD CONSTRAINT few CHECK (version < 9) NOT VALID",
    f"CHECK fewer on {PARTITION} is not declared": f"ALTER TABLE {PARTITION}"
    " ADD CONSTRAINT fewer CHECK (version < 9)",
    f"default of tenant_id on {PARTITION} is not declared": f"ALTER TABLE {PARTITION}"
    " ALTER tenant_id SET DEFAULT gen_random_uuid()",
    "CONSTRAINT role_is_known on users is missing": "ALTER TABLE users"
    " DROP CONSTRAINT role_is_known",
    "CONSTRAINT theme_is_known on user_preferences is not as declared": "ALTER TABLE"
    " user_preferences DROP CONSTRAINT theme_is_known,"
    " ADD CONSTRAINT theme_is_known CHECK (theme <> '')",
    "CONSTRAINT users_pkey on users is missing": "ALTER TABLE users DROP CONSTRAINT users_pkey",
    "the default of event_logs.user_id is not as declared": "ALTER TABLE ONLY event_logs"
    " ALTER user_id SET DEFAULT gen_random_uuid()",
    "the default of event_logs.id is not as declared": "ALTER TABLE event_logs"
    " ALTER id DROP DEFAULT",
    "the default of users.spy is not as declared": "ALTER TABLE users"
    " ADD spy text DEFAULT version()",
    "users.full is not declared, and refuses rows without a value": "ALTER TABLE users"
    ' ADD "full" text NOT NULL',
    "users.email accepts null": "ALTER TABLE users ALTER email DROP NOT NULL",
    "users.full_name refuses null": "ALTER TABLE users ALTER full_name SET NOT NULL",
    "users.tier is of type character varying(3), not text": "ALTER TABLE users"
    " ALTER tier TYPE varchar(3)",
    "INDEX users_email_idx on users is missing": "DROP INDEX users_email_idx",
    "INDEX users_username_idx on users is not as declared": "DROP INDEX users_username_idx;"
    "CREATE INDEX users_username_idx ON users (username) WHERE false",
    "INDEX event_logs_type_idx on event_logs is missing": "DROP INDEX event_logs_type_idx",
    "projects.description is missing": "ALTER TABLE projects DROP description",
    "batch_jobs.total_count is missing": "ALTER TABLE batch_jobs DROP total_count",
    "INDEX one_name on users is not declared": "CREATE UNIQUE INDEX one_name ON users"
    " (tenant_id, full_name)",
}


def test_each_change_of_a_table_is_found_and_its_remedy_mends_it(connection: Connection) -> None:
    """Columns, defaults, constraints and indexes, of partitions too; a plain index is welcome."""
    run(connection, "CREATE INDEX welcome ON users (institution)")
    assert definitions.changed_definitions(connection) == {}
    for statement in DEFINITIONS.values():
        run(connection, statement)

    found = definitions.changed_definitions(connection)
    assert found is not None
    assert DEFINITIONS.keys() <= found.keys()
    finding = definitions.definitions(connection)
    assert finding.level is Level.PROBLEM
    assert "qforge rebuild batch_jobs projects" in finding.commands
    for command in finding.commands:
        if not command.startswith("qforge rebuild"):
            run(connection, shlex.split(command)[4])

    assert definitions.changed_definitions(connection) == {}
    assert definitions.definitions(connection).level is Level.OK


def test_an_administrators_login_is_named(connection: Connection) -> None:
    """Who sees every tenant is said even where nothing is wrong."""
    connection.exec_driver_sql("CREATE ROLE mallory LOGIN IN ROLE qforge_admin")
    finding = privileges.logins(connection)
    assert finding.level is Level.OK
    assert "mallory (qforge_admin)" in finding.found


def test_a_sequence_far_ahead_of_the_log_is_found(connection: Connection) -> None:
    """Positions that no rolled-back append can have skipped."""
    append(connection, [small_event()])
    assert log.end_of_log(connection).level is Level.OK
    connection.exec_driver_sql("SELECT setval('event_logs_id_seq', 2000000)")
    finding = log.end_of_log(connection)
    assert finding.level is Level.WARNING
    assert "1999999 positions above it" in finding.found


def test_an_event_at_position_0_is_found_because_no_reader_sees_it(engine: Engine) -> None:
    """Checkpoints begin at 0, so a log whose first position is 0 has an event that nobody folds."""
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER SEQUENCE event_logs_id_seq MINVALUE 0 RESTART 0")
        append(connection, [small_event(), small_event()])

    with engine.connect() as connection:
        assert [event.position for event in read_all(connection)] == [1]
        finding = log.end_of_log(connection)
    assert finding.level is Level.PROBLEM
    assert "1 event at or below position 0" in finding.found
    assert any("qforge db restore" in command for command in finding.commands)


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("lowered", [0, 1])
def test_a_lowered_first_position_is_found(
    connection: Connection, lowered: int, thorough: bool
) -> None:
    """A stream cannot begin hours after the position at which its first append began."""
    append(connection, [small_event()])
    connection.exec_driver_sql(
        "SET LOCAL session_replication_role = replica;"
        "UPDATE event_logs SET recorded_at = recorded_at - interval '2 hours'"
    )
    event = small_event()
    append(connection, [event])
    assert log.heads(connection, thorough=thorough).level is Level.OK
    connection.execute(
        text("UPDATE event_streams SET first_position = :lowered WHERE entity_id = :id"),
        {"lowered": lowered, "id": event.entity_id},
    )
    finding = log.heads(connection, thorough=thorough)
    assert finding.level is Level.PROBLEM
    assert str(event.entity_id) in finding.found


def test_verify_says_that_the_guards_were_changed(qforge_here: Qforge, engine: Engine) -> None:
    """Tables that agree with a log which anybody may have changed prove nothing."""
    qforge_here("project", "--once")
    assert qforge_here("verify", "molecules").returncode == 0
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER event_logs_refuse_change ON event_logs")
    said = qforge_here("verify", "molecules", status=1)
    assert "event_logs accepts UPDATE and DELETE" in said.stderr
    assert "qforge doctor" in said.stderr
