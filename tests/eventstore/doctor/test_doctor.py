"""`qforge doctor`: each thing that can be wrong is found, named, and put right by its remedy."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.doctor.checks import Finding, Level, activity, log, server
from quantum_forge.eventstore.doctor.checks.spool import spool
from quantum_forge.eventstore.doctor.examination import (
    OF_ANY_SERVER,
    OF_THE_SCHEMA,
    examine_database,
)
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.projections.operate.checks import CHECKS, projections
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge, command_line, in_process
from tests.support.appending import append_and_commit, small_event
from tests.support.homes import new_home

PARTITION = "event_logs_p000000000000001"

Diagnose = Callable[..., dict[str, dict[str, object]]]


@pytest.fixture
def diagnose(qforge_here: Qforge) -> Diagnose:
    """Return a function that runs `qforge doctor --json` and returns the findings by check."""
    return partial(findings_of, qforge_here)


def findings_of(qforge: Qforge, *options: str, **env: str) -> dict[str, dict[str, object]]:
    """What the doctor finds, by check; its exit status must fit."""
    done = qforge("doctor", "--json", *options, env=env, status=None)
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == int(any(each["level"] == "problem" for each in found.values()))
    return found


def change(engine: Engine, *statements: str) -> None:
    """Do what an administrator should not."""
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def found_by(engine: Engine, check: Callable[..., Finding], **options: float) -> Finding:
    """What a single check finds."""
    with engine.connect() as connection:
        return check(connection, **options)


def test_a_sound_installation_has_no_finding_and_exits_with_0(bin_directory: Path) -> None:
    """A new database on a durable server: every check is ok, and every check was made."""
    # Given: a server that loses nothing
    home = new_home("qforge-test-")
    with EmbeddedServer(home, bin_directory=bin_directory) as durable:
        qforge = command_line(home / "here", DATABASE_URL=libpq_url(durable.url()))
        qforge("db", "upgrade")

        # When: it is examined
        done = qforge("doctor", "--json", "--thorough")
        header, *lines = qforge("doctor").stdout.splitlines()

    # Then: all is well, said to programs and to people alike
    found = json.loads(done.stdout)
    assert {each["level"] for each in found} == {"ok"}, found
    names = [each["check"] for each in found]
    expected = {"settings", "spool", "user", "migrations", *OF_ANY_SERVER, *OF_THE_SCHEMA, *CHECKS}
    assert set(names) == expected
    assert len(names) == len(expected)
    assert header.split("\t") == ["level", "check", "found", "remedy", "commands"]
    assert [line.split("\t")[:2] for line in lines] == [["ok", name] for name in names]
    shutil.rmtree(home)


@pytest.mark.parametrize(
    ("check", "says", "broken"),
    [
        (
            "append-only",
            "event_logs accepts UPDATE and DELETE",
            ["DROP TRIGGER event_logs_refuse_change ON event_logs"],
        ),
        (
            "append-only",
            "event_logs accepts TRUNCATE",
            ["DROP TRIGGER event_logs_refuse_truncate ON event_logs"],
        ),
        (
            "append-only",
            f"{PARTITION} accepts TRUNCATE",
            [f"DROP TRIGGER event_logs_refuse_truncate ON {PARTITION}"],
        ),
        (
            "append-only",
            f"event_logs_refuse_change on {PARTITION} is disabled",
            [f"ALTER TABLE {PARTITION} DISABLE TRIGGER event_logs_refuse_change"],
        ),
        (
            "append-only",
            "is disabled",
            ["ALTER TABLE event_logs_default ENABLE REPLICA TRIGGER event_logs_refuse_truncate"],
        ),
        ("sequence", "CACHE 20", ["ALTER SEQUENCE event_logs_id_seq CACHE 20"]),
        ("sequence", "INCREMENT 2", ["ALTER SEQUENCE event_logs_id_seq INCREMENT 2"]),
        (
            "row-level security",
            "off for event_logs",
            ["ALTER TABLE event_logs DISABLE ROW LEVEL SECURITY"],
        ),
        (
            "row-level security",
            f"off for {PARTITION}",
            [f"ALTER TABLE {PARTITION} DISABLE ROW LEVEL SECURITY"],
        ),
        (
            "row-level security",
            "off for molecules",
            ["ALTER TABLE molecules DISABLE ROW LEVEL SECURITY"],
        ),
        (
            "row-level security",
            "own_tenant on molecules is missing",
            ["DROP POLICY own_tenant ON molecules"],
        ),
        (
            "row-level security",
            "own_tenant on molecules is not as declared",
            ["ALTER POLICY own_tenant ON molecules USING (true)"],
        ),
        (
            "row-level security",
            "every_tenant on event_logs is not as declared",
            ["ALTER POLICY every_tenant ON event_logs TO qforge_reader"],
        ),
        (
            "row-level security",
            "open on event_logs lets more rows through",
            ["CREATE POLICY open ON event_logs USING (true)"],
        ),
        (
            "grants",
            "SELECT on molecules for qforge_reader is missing",
            ["REVOKE SELECT ON molecules FROM qforge_reader"],
        ),
        (
            "grants",
            "SELECT (email) on users for qforge_reader is missing",
            ["REVOKE SELECT (email) ON users FROM qforge_reader"],
        ),
        (
            "grants",
            "SELECT (hashed_password) on users for qforge_reader is not declared",
            ["GRANT SELECT (hashed_password) ON users TO qforge_reader"],
        ),
        (
            "grants",
            "SELECT on users for qforge_reader is not declared",
            ["GRANT SELECT ON users TO qforge_reader"],
        ),
        (
            "grants",
            "EXECUTE on append_events for qforge_appender is missing",
            ["REVOKE EXECUTE ON FUNCTION append_events FROM qforge_appender"],
        ),
        (
            "grants",
            "INSERT on event_logs for qforge_appender is not declared",
            ["GRANT INSERT ON event_logs TO qforge_appender"],
        ),
        (
            "grants",
            f"SELECT on {PARTITION} for PUBLIC is not declared",
            [f"GRANT SELECT ON {PARTITION} TO PUBLIC"],
        ),
        (
            "grants",
            "EXECUTE on append_batch(jsonb) for PUBLIC is not declared",
            ["GRANT EXECUTE ON FUNCTION append_batch TO PUBLIC"],
        ),
        (
            "grants",
            "SELECT on users for pg_monitor is not declared",
            ["GRANT SELECT ON users TO pg_monitor"],
        ),
        (
            "grants",
            "UPDATE (email) on users for pg_monitor is not declared",
            ["GRANT UPDATE (email) ON users TO pg_monitor"],
        ),
        (
            "grants",
            "UPDATE, USAGE on event_logs_id_seq for PUBLIC is not declared",
            ["GRANT USAGE, UPDATE ON SEQUENCE event_logs_id_seq TO PUBLIC"],
        ),
        (
            "grants",
            "USAGE on qforge_private for PUBLIC is not declared",
            ["GRANT USAGE ON SCHEMA qforge_private TO PUBLIC"],
        ),
        (
            "grants",
            "EXECUTE on event_partitions() for PUBLIC is not declared",
            ["GRANT EXECUTE ON FUNCTION event_partitions TO PUBLIC"],
        ),
        (
            "row-level security",
            "off for projection_checkpoints",
            ["ALTER TABLE projection_checkpoints DISABLE ROW LEVEL SECURITY"],
        ),
        (
            "row-level security",
            "every_reader on qforge_version is missing",
            ["DROP POLICY every_reader ON qforge_version"],
        ),
        (
            "functions",
            "append_events is not as declared",
            ["ALTER FUNCTION append_events RESET search_path"],
        ),
        (
            "partitions",
            "no default partition",
            ["DROP TABLE event_logs_default"],
        ),
        (
            "partitions",
            "every new event goes to the default partition",
            ["SELECT setval('event_logs_id_seq', 30000000)"],
        ),
        (
            "partitions",
            "which end 1000000 positions ahead",
            ["SELECT setval('event_logs_id_seq', 19000000)"],
        ),
    ],
)
def test_what_is_broken_is_named_and_its_remedy_mends_it(
    qforge_here: Qforge,
    engine: Engine,
    check: str,
    says: str,
    broken: list[str],
) -> None:
    """The commands that the finding names, run as they stand, make it ok again."""
    # Given: a database that somebody has changed by hand
    change(engine, *broken)

    # When: it is examined
    finding = found_by(engine, OF_THE_SCHEMA[check])

    # Then: that is found, and its remedy helps
    assert finding.level is not Level.OK
    assert says in finding.found
    assert finding.remedy
    assert finding.commands
    for command in finding.commands:
        program, *arguments = shlex.split(command)
        assert program == "qforge"
        if arguments[:3] == ["db", "psql", "-c"]:
            change(engine, *arguments[3:])
        else:
            qforge_here(*arguments)
    assert found_by(engine, OF_THE_SCHEMA[check]).level is Level.OK


def test_a_changed_function_is_found(diagnose: Diagnose, engine: Engine) -> None:
    """Somebody who replaces refuse_change has not deceived the doctor."""
    change(
        engine,
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'",
    )
    finding = diagnose()["functions"]
    assert finding["level"] == "problem"
    assert "refuse_change is not as declared" in str(finding["found"])


def test_events_in_the_default_partition_are_counted(diagnose: Diagnose, engine: Engine) -> None:
    """They stay there when partitions have been made above them."""
    change(engine, "SELECT setval('event_logs_id_seq', 30000000)")
    append_and_commit(engine, small_event(), small_event())
    change(engine, "SELECT maintain_event_partitions()")

    finding = diagnose()["partitions"]

    assert finding["level"] == "warning"
    assert "2 events are in the default partition" in str(finding["found"])


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE event_streams SET version = version + 1",
        "DELETE FROM event_streams",
        "DELETE FROM event_logs WHERE version = 2",
        "UPDATE event_logs SET version = 4 WHERE version = 3",
        "UPDATE event_logs SET version = 2",
        "UPDATE event_logs SET event_id = (SELECT event_id FROM event_logs LIMIT 1)",
        "UPDATE event_streams SET first_position = 3",
    ],
)
def test_heads_that_disagree_with_the_log_are_found(
    engine: Engine, damage: str, thorough: bool
) -> None:
    """A head too far, none, a hole, a version or an id twice: by sample and in full."""
    entity = uuid4()
    append_and_commit(engine, *(small_event(entity, number) for number in range(3)))
    append_and_commit(engine, small_event())
    assert found_by(engine, log.heads, thorough=thorough).level is Level.OK

    # Replication's way past triggers: for this session alone.
    change(engine, "SET LOCAL session_replication_role = replica", damage)

    finding = found_by(engine, log.heads, thorough=thorough)
    assert finding.level is Level.PROBLEM
    assert str(entity) in finding.found


def test_a_sequence_below_the_log_is_found_and_moved_up(
    diagnose: Diagnose, qforge_here: Qforge, engine: Engine
) -> None:
    """As after a restore of the tables alone: positions would be handed out again."""
    append_and_commit(engine, *(small_event() for _ in range(5)))
    change(engine, "SELECT setval('event_logs_id_seq', 2)")

    finding = diagnose()["end of the log"]

    assert finding["level"] == "problem"
    (command,) = finding["commands"] if isinstance(finding["commands"], list) else []
    qforge_here(*shlex.split(command)[1:])
    assert diagnose()["end of the log"]["level"] == "ok"


def test_a_writer_that_holds_readers_back_is_named(engine: Engine) -> None:
    """Who it is, since when, and what it runs; only when it is too long."""
    with engine.connect() as slow:
        pid = slow.execute(text("SELECT pg_backend_pid()")).scalar_one()
        append(slow, [small_event()])

        finding = found_by(engine, activity.writers, seconds=0)
        patient = found_by(engine, activity.writers, seconds=60)

    assert finding.level is Level.PROBLEM
    for fact in (
        f"pid {pid}",
        "user postgres",
        "'quantum-forge'",
        "append_events",
        "position 0 of 1",
    ):
        assert fact in finding.found
    assert finding.commands == (f"qforge db psql -c 'SELECT pg_terminate_backend({pid})'",)
    assert patient.level is Level.OK


def test_a_transaction_that_idles_is_named(engine: Engine) -> None:
    """Not the one that asks."""
    assert found_by(engine, activity.idle_sessions, seconds=0).level is Level.OK
    with engine.connect() as idle:
        pid = idle.execute(text("SELECT pg_backend_pid()")).scalar_one()

        finding = found_by(engine, activity.idle_sessions, seconds=0)

    assert finding.level is Level.WARNING
    assert f"pid {pid}" in finding.found


@pytest.mark.parametrize(
    ("seconds", "level", "says"),
    [
        (0, Level.OK, "0.0"),
        (30.5, Level.WARNING, "30.[45].. s ahead of the database"),
        (-30.5, Level.WARNING, "30.[45].. s behind the database"),
    ],
)
def test_clocks_that_differ_are_found(
    engine: Engine, seconds: float, level: Level, says: str
) -> None:
    """In either direction, and by how much."""

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    with engine.connect() as connection:
        finding = server.clock(connection, now=now)

    assert finding.level == level
    assert re.search(says, finding.found)


def test_settings_that_lose_acknowledged_events_are_a_problem(diagnose: Diagnose) -> None:
    """The server of these tests is in a hurry, and the doctor sees it."""
    finding = diagnose()["durability"]
    assert finding["level"] == "problem"
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert f"{name} is off" in str(finding["found"])


def test_a_server_that_takes_no_writes_is_a_problem(diagnose: Diagnose, engine: Engine) -> None:
    """As a standby, or when somebody has made the database read-only."""
    name = engine.url.database
    change(engine, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    engine.dispose()
    assert "but it is read-only" in str(diagnose()["server"]["found"])


def test_read_models_that_are_stale_ahead_or_late_are_found(engine: Engine) -> None:
    """Each with the command that helps."""
    append_and_commit(engine, small_event())
    assert found_by(engine, projections).level is Level.WARNING
    assert "batch_jobs never ran" in found_by(engine, projections).found
    catch_up(engine, PROJECTIONS.values())
    assert found_by(engine, projections).level is Level.OK

    change(engine, "UPDATE projection_checkpoints SET position = 0 WHERE projection = 'batch_jobs'")
    change(
        engine,
        "SET LOCAL session_replication_role = replica",
        "UPDATE event_logs SET recorded_at = recorded_at - interval '10 minutes'",
    )
    late = found_by(engine, projections)
    assert (late.level, late.commands) == (Level.WARNING, ("qforge project --once",))
    assert "batch_jobs is 60" in late.found

    change(engine, "UPDATE projection_checkpoints SET position = 9 WHERE projection = 'molecules'")
    change(
        engine,
        "UPDATE projection_checkpoints SET fingerprint = 'x' WHERE projection = 'batch_jobs'",
    )
    stale = found_by(engine, projections)
    assert stale.level is Level.PROBLEM
    assert stale.commands == ("qforge rebuild batch_jobs molecules",)


def test_a_missing_role_and_a_mighty_one_are_found(database: Database) -> None:
    """Seen from within a transaction, for roles belong to all databases of the server."""
    with database.engine.connect() as connection:
        connection.execute(text("ALTER ROLE qforge_reader BYPASSRLS"))
        mighty = OF_ANY_SERVER["roles"](connection)
        connection.rollback()
        connection.execute(text("ALTER ROLE qforge_reader RENAME TO qforge_lost"))
        missing = OF_ANY_SERVER["roles"](connection)
        connection.rollback()
    assert mighty.level is Level.PROBLEM
    assert "qforge_reader" in mighty.found
    assert missing.level is Level.PROBLEM
    assert missing.commands == ("qforge db roles",)


def test_a_missing_table_is_found(engine: Engine) -> None:
    """Whatever else cannot be looked at then is a finding, too, and no traceback."""
    change(engine, "DROP TABLE event_streams")
    found = {finding.check: finding for finding in examine_database(engine, more=CHECKS)}
    assert found["tables"].level is Level.PROBLEM
    assert "event_streams" in found["tables"].found
    assert "cannot be checked" in found["stream heads"].found


# What keeps the doctor from looking at all


def test_a_database_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    """Exit status 1, what to do, and neither a traceback nor the password."""
    qforge = command_line(tmp_path, DATABASE_URL="postgresql://u:secret@127.0.0.1:1/x")
    done = qforge("doctor", "--json", status=1)
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert found["server"]["level"] == "problem"
    assert "DATABASE_URL" in found["server"]["remedy"]
    assert "postgresql://u:***@127.0.0.1:1/x (DATABASE_URL)" in found["settings"]["found"]
    assert "secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_makes_no_sense_is_one_finding(diagnose: Diagnose) -> None:
    """It is named."""
    (finding,) = diagnose(QFORGE_TENANT_ID="me").values()
    assert (finding["check"], finding["level"]) == ("settings", "problem")
    assert "QFORGE_TENANT_ID" in str(finding["found"])


def test_a_database_that_was_never_migrated_says_so(
    empty_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And the remedy mends it."""
    qforge = in_process(empty_database, tmp_path, monkeypatch, capfd)
    finding = findings_of(qforge)["migrations"]
    assert finding["level"] == "problem"
    assert finding["commands"] == ["qforge db upgrade"]
    qforge("db", "upgrade")
    assert findings_of(qforge)["migrations"]["level"] == "ok"


def test_a_newer_database_says_so(diagnose: Diagnose, engine: Engine) -> None:
    """Nothing is said of what this program does not know."""
    change(engine, "UPDATE qforge_version SET version_num = '9999'")
    found = diagnose()
    assert "9999" in str(found["migrations"]["found"])
    assert found["migrations"]["level"] == "problem"
    assert "append-only" not in found


def test_an_older_database_says_so(diagnose: Diagnose, qforge_here: Qforge) -> None:
    """And how to bring it up to date."""
    qforge_here("db", "downgrade", "--yes")
    assert diagnose()["migrations"]["commands"] == ["qforge db upgrade"]


@pytest.mark.parametrize(
    ("role", "status"),
    [(None, 1), ("qforge_reader", 0), ("qforge_admin", 0), ("qforge_appender", 0)],
)
def test_a_login_sees_what_it_may_and_is_told_what_it_may_not(
    database: Database, role: str | None, status: int
) -> None:
    """One without any role is a problem; what a role may not look at is only not checked."""
    login = f"doctor_{uuid4().hex[:12]}"
    change(database.engine, f"CREATE ROLE {login} LOGIN {f'IN ROLE {role}' if role else ''}")
    engine = make_engine(database.url.set(username=login))
    try:
        found = {each.check: each for each in examine_database(engine, more=CHECKS)}
    finally:
        engine.dispose()
        change(database.engine, f"DROP ROLE {login}")

    found.pop("durability")
    problems = [each for each in found.values() if each.level is Level.PROBLEM]
    assert bool(problems) == bool(status), problems
    if role is None:
        assert "permission denied" in found["migrations"].found
    else:
        assert found["login"].level is Level.OK
        not_checked = {name for name, each in found.items() if "not checked" in each.found}
        assert ("stream heads" in not_checked) == (role != "qforge_admin")
        assert found["append-only"].level is Level.OK
        assert found["functions"].level is Level.OK


def test_what_waits_in_the_spool_is_found(tmp_path: Path) -> None:
    """Waiting is a warning, damage a problem; an empty spool is ok."""
    assert spool(tmp_path).level is Level.OK
    directory = spool_directory(tmp_path)
    directory.mkdir()
    (directory / "x.spool").write_bytes(b"torn")
    assert spool(tmp_path).level is Level.PROBLEM
    assert spool(tmp_path).commands == ("qforge spool status",)
