"""A login without a role stops neither appends nor readers, and is named where it is in the way."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.errors import LockHeld, NotAllowed
from quantum_forge.eventstore.database import advisory_locks as advisory
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.roles import (
    ADVISORY_LOCKS,
    restrict_functions,
)
from quantum_forge.eventstore.doctor.checks import Level
from quantum_forge.eventstore.doctor.checks.activity import advisory_locks
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.log.statistics import read_head
from quantum_forge.eventstore.recording.entity_locks import hold
from quantum_forge.projections.operate.checks import projections as check_projections
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge
from tests.support.appending import append_and_commit, small_event


@pytest.fixture
def stranger(database: Database) -> Iterator[Connection]:
    """Return a connection of a login that is a member of nothing."""
    name = f"stranger_{uuid4().hex[:8]}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
    engine = make_engine(database.url.set(username=name))
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")
    engine.dispose()
    with database.engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


def lock(connection: Connection, function: str, *keys: int) -> None:
    """Take an advisory lock of the session."""
    connection.execute(text(f"SELECT {function}({', '.join(map(str, keys))})"))


def floor_key(floor: int) -> int:
    """The key of appends above a floor, which is no secret: see append_lock_key."""
    return (0x5146 << 48) + floor


def pid_of(connection: Connection) -> int:
    """The server's process of a session."""
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_a_shared_lock_of_a_stranger_holds_no_reader_back(
    engine: Engine, stranger: Connection
) -> None:
    """The safe head heeds sessions that append; whose lock was ignored can be seen."""
    append_and_commit(engine, small_event(), small_event())
    lock(stranger, "pg_advisory_lock_shared", floor_key(0))

    with engine.connect() as connection:
        assert safe_head(connection) == 2
        assert [event.position for event in read_all(connection)] == [1, 2]
        head = read_head(connection)
        finding = advisory_locks(connection)
    assert head.held_by == []
    assert [each.pid for each in head.ignored] == [pid_of(stranger)]
    assert finding.level is Level.PROBLEM
    assert f"pid {pid_of(stranger)}" in finding.found


def test_a_prepared_statement_is_no_evidence_of_an_append(
    engine: Engine, stranger: Connection
) -> None:
    """PREPARE takes a table's lock before any right is checked, but needs USAGE of its schema."""
    append_and_commit(engine, small_event())
    stranger.execute(text("BEGIN"))
    stranger.execute(text("PREPARE p AS INSERT INTO event_logs SELECT * FROM event_logs"))
    lock(stranger, "pg_advisory_xact_lock_shared", floor_key(0))

    with engine.connect() as connection:
        assert safe_head(connection) == 1
    stranger.execute(text("ROLLBACK"))
    with pytest.raises(NotAllowed):
        stranger.execute(text("PREPARE q AS SELECT FROM qforge_private.appending"))


@pytest.mark.parametrize("how", ["append", "batch", "load"])
def test_exclusive_locks_of_a_stranger_stop_no_append(
    engine: Engine, stranger: Connection, how: str
) -> None:
    """An append takes another key, whose floor is lower, and readers still wait for it."""
    # Given: a log, and a stranger with the keys of the next hundred appends
    append_and_commit(engine, *(small_event() for _ in range(50)))
    for floor in range(50, 150):
        lock(stranger, "pg_advisory_lock", floor_key(floor))

    # When: somebody appends, and has not committed yet
    if how == "load":
        assert load(engine, [small_event(), small_event()]).appended == 2
        return
    with engine.connect() as connection, engine.connect() as reader:
        events = [small_event()] if how == "append" else [small_event(), small_event()]
        append(connection, events)

        # Then: readers wait for it, at a floor that is true
        assert safe_head(reader) < 50
        connection.commit()
        assert safe_head(reader) == 50 + len(events)


def test_an_append_that_gets_no_key_names_who_holds_them(
    engine: Engine, stranger: Connection
) -> None:
    """Where a stranger holds every key, nothing waits without end."""
    lock(stranger, "pg_advisory_lock", floor_key(0))

    with pytest.raises(LockHeld, match=rf"pid {pid_of(stranger)}, user stranger_.*terminate"):
        append_and_commit(engine, small_event())
    lock(stranger, "pg_advisory_unlock", floor_key(0))
    append_and_commit(engine, small_event())


def test_an_append_through_a_function_of_another_login_still_holds_readers(
    engine: Engine, stranger: Connection
) -> None:
    """Whoever appends is known by what append_events does, not by the name of the login."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION wrapped(events jsonb) RETURNS void SECURITY DEFINER LANGUAGE sql"
            " AS 'SELECT append_events(events)'"
        )
        wire = text("""
            SELECT jsonb_build_array(jsonb_build_object(
                       'event_id', gen_random_uuid(), 'tenant_id', gen_random_uuid(),
                       'entity_type', 'batch', 'entity_id', gen_random_uuid(),
                       'event_type', 'batch_resumed', 'data', '{}'::jsonb))::text
        """)
        events = connection.execute(wire).scalar_one()
        # The tenant's check looks at the login, so that it acts as an administrator here.
        name = connection.execute(
            text("SELECT usename FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid_of(stranger)}
        ).scalar_one()
        connection.execute(text(f"GRANT qforge_admin TO {name}"))
    stranger.execute(text("BEGIN"))
    stranger.execute(text("SELECT wrapped(CAST(:events AS jsonb))"), {"events": events})
    with engine.begin() as connection:
        connection.execute(text(f"REVOKE qforge_admin FROM {name}"))
    append_and_commit(engine, small_event())

    with engine.connect() as connection:
        assert safe_head(connection) == 0
        stranger.execute(text("COMMIT"))
        assert safe_head(connection) == 2


def test_a_held_head_is_no_reason_to_rebuild(engine: Engine) -> None:
    """Checkpoints beyond a head that an append holds back are not beyond the log."""
    append_and_commit(engine, small_event(), small_event())
    catch_up(engine, PROJECTIONS.values())
    with engine.connect() as slow, engine.connect() as connection:
        append(slow, [small_event()])
        slow.execute(text("SELECT pg_advisory_xact_lock_shared(append_lock_key(0))"))
        assert safe_head(connection) == 0
        assert "is ahead of the log" not in check_projections(connection).found


def test_a_stranger_with_the_migration_key_is_named(engine: Engine, stranger: Connection) -> None:
    """An upgrade does not wait for a session that could not migrate."""
    lock(stranger, "pg_advisory_lock", advisory.MIGRATION_KEY)

    with pytest.raises(LockHeld, match=f"migrations cannot continue.*pid {pid_of(stranger)}"):
        migrations.upgrade(engine)


def test_a_stranger_with_the_key_of_a_rebuild_is_named(
    engine: Engine, stranger: Connection
) -> None:
    """A rebuild that cannot begin does not claim that another one runs."""
    stranger.execute(text("SELECT pg_advisory_lock(hashtext('rebuild'), hashtext('molecules'))"))

    with pytest.raises(LockHeld, match=f"rebuilds cannot continue.*pid {pid_of(stranger)}"):
        rebuild(engine, PROJECTIONS["molecules"])


def test_a_stranger_with_the_keys_of_rules_is_named(engine: Engine, stranger: Connection) -> None:
    """Recording by rules waits a while, and then says for whom."""
    for bucket in range(256):
        lock(stranger, "pg_advisory_lock", advisory.RULES_SPACE, bucket)

    with engine.connect() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with pytest.raises(LockHeld, match=f"recording by rules.*pid {pid_of(stranger)}"):
            hold(connection, [small_event().stream])


@pytest.mark.parametrize(
    "keys",
    [f"{advisory.MIGRATION_KEY}", "8174458373163937129", "hashtext('rebuild'), 7"],
)
def test_the_doctor_finds_foreign_keys_in_any_mode(
    engine: Engine, stranger: Connection, keys: str
) -> None:
    """Held or awaited, shared or exclusive, with the session to end."""
    stranger.execute(text(f"SELECT pg_advisory_lock_shared({keys})"))
    with engine.connect() as connection:
        finding = advisory_locks(connection)
    if keys == "8174458373163937129":
        assert finding.level is Level.OK, "a key that is not ours"
        return
    assert finding.level is Level.PROBLEM
    assert f"pg_terminate_backend({pid_of(stranger)})" in " ".join(finding.commands)


def test_advisory_locks_can_be_taken_from_everybody_and_given_back(
    engine: Engine, stranger: Connection, qforge_here: Qforge
) -> None:
    """Then a stranger gets none, while appends, rules, rebuilds and migrations go on."""
    assert "advisory locks" in qforge_here("db", "roles", "--restrict-advisory-locks").stderr
    try:
        with pytest.raises(NotAllowed):
            lock(stranger, "pg_advisory_lock_shared", 1)
        append_and_commit(engine, small_event())
        catch_up(engine, PROJECTIONS.values())
        rebuild(engine, PROJECTIONS["molecules"])
    finally:
        qforge_here("db", "roles", "--allow-advisory-locks")
    lock(stranger, "pg_advisory_lock_shared", 1)


def test_only_a_superuser_can_take_advisory_locks_away(
    stranger: Connection,
) -> None:
    """Others are told so; nothing is changed."""
    with pytest.raises(NotAllowed, match="superuser"):
        restrict_functions(stranger.engine, ADVISORY_LOCKS, restrict=True)
