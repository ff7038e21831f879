"""A backup comes back whole or not at all, never over events, and everything goes on from it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.archive.backup import (
    BackupFailed,
    BackupForeign,
    BackupUnreadable,
    LogNotEmpty,
    RestoreFailed,
    restore_backup,
    write_backup,
)
from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import IN_A_HURRY, Qforge, _fresh, command_line
from tests.support.appending import append_and_commit, positions_in_log, small_event
from tests.support.chemical_history import record
from tests.support.homes import new_home
from tests.support.training_set import bad, good


@pytest.fixture(scope="module")
def source(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Database]:
    """A database with events, of which a part is projected."""
    for database in _fresh(server, administrator, template=template):
        record(database.engine, *good())
        catch_up(database.engine, PROJECTIONS.values())
        record(database.engine, *bad())
        yield database


@pytest.fixture(scope="module")
def dump(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backup."""
    path = tmp_path_factory.mktemp("backup") / "log.dump"
    told = []
    done = write_backup(source.engine, path, progress=lambda *how_far: told.append(how_far))
    assert done.bytes == path.stat().st_size
    assert done.tables == len(told)
    assert [tables for tables, _, _ in told] == sorted({tables for tables, _, _ in told})
    return path


def test_everything_goes_on_in_a_server_that_never_saw_this_program(
    source: Database, dump: Path, bin_directory: Path, tmp_path: Path
) -> None:
    """Roles are made, positions and checkpoints kept; every table is what the log says."""
    home = new_home("qforge-test-")
    try:
        with EmbeddedServer(home, bin_directory=bin_directory, settings=IN_A_HURRY) as new_server:
            run = command_line(tmp_path, DATABASE_URL=libpq_url(new_server.url()))
            said = run("db", "restore", str(dump))
            there = make_engine(new_server.url())
            try:
                same_log(source.engine, there)
                assert "restored" in said.stdout
                (after,) = append_and_commit(there, small_event())
                with there.connect() as connection:
                    *_, last = read_all(connection)
                assert last.position == after.position
                catch_up(there, PROJECTIONS.values())
                run("verify")
            finally:
                there.dispose()
    finally:
        shutil.rmtree(home)


def same_log(one: Engine, other: Engine) -> None:
    """Compare positions and heads."""
    with one.connect() as here, other.connect() as there:
        assert positions_in_log(here) == positions_in_log(there)
        assert safe_head(here) == safe_head(there)


def test_large_objects_of_others_are_left_out_of_a_backup(
    database: Database, empty_database: Database, tmp_path: Path
) -> None:
    """Any login may make them, and a restore would refuse the backup for them."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("SELECT lo_from_bytea(0, 'not ours')")
    write_backup(database.engine, tmp_path / "log.dump")

    restore_backup(empty_database.engine, tmp_path / "log.dump")
    with empty_database.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_largeobject_metadata")) == 0


def test_a_log_with_events_is_never_restored_over(engine: Engine, dump: Path) -> None:
    """A single event is enough; it is there afterwards."""
    append_and_commit(engine, small_event())
    with pytest.raises(LogNotEmpty, match="QFORGE_HOME"):
        restore_backup(engine, dump)
    with engine.connect() as connection:
        assert len(positions_in_log(connection)) == 1


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_truncated_file_restores_nothing(
    source: Database, engine: Engine, dump: Path, tmp_path: Path, share: float
) -> None:
    """The empty tables are as they were, and the whole file can still be restored."""
    whole = dump.read_bytes()
    truncated = tmp_path / "truncated.dump"
    truncated.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(BackupUnreadable, match="not a complete backup"):
        restore_backup(engine, truncated)

    migrations.require_migrated(engine)
    with engine.connect() as connection:
        assert positions_in_log(connection) == []
    restored = restore_backup(engine, dump)
    same_log(source.engine, engine)
    with engine.connect() as connection:
        assert restored.events == len(positions_in_log(connection))


@pytest.mark.parametrize("content", [None, b"", b"-- SQL\n", os.urandom(4096)])
def test_what_is_no_backup_is_refused(
    empty_database: Database, tmp_path: Path, content: bytes | None
) -> None:
    """Before anything is touched."""
    path = tmp_path / "x.dump"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BackupUnreadable):
        restore_backup(empty_database.engine, path)
    assert migrations.current(empty_database.engine) is None


def test_a_database_that_refuses_is_left_as_it_was(empty_database: Database, dump: Path) -> None:
    """Somebody's own table of the same name stays, and nothing stands beside it."""
    with empty_database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE molecules (mine int)"))
    with pytest.raises(RestoreFailed, match="already exists"):
        restore_backup(empty_database.engine, dump)
    with empty_database.engine.connect() as connection:
        tables = connection.execute(text("SELECT relname FROM pg_stat_user_tables")).scalars()
        assert tables.all() == ["molecules"]


def test_a_restore_that_is_killed_leaves_nothing_half_done(
    source: Database, empty_database: Database, dump: Path
) -> None:
    """Killed in the middle, it can be run again."""
    program = f"""
import os, signal, sys
from pathlib import Path
from quantum_forge.eventstore.archive.backup import restore_backup
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.given_address import parse_database_url
engine = make_engine(parse_database_url({libpq_url(empty_database.url)!r}))
restore_backup(engine, Path({str(dump)!r}),
               progress=lambda done, *_: done < 5 or os.killpg(os.getpgid(0), signal.SIGKILL))
"""
    killed = subprocess.run([sys.executable, "-c", program], start_new_session=True, check=False)
    assert killed.returncode == -signal.SIGKILL

    for _ in range(100):  # until the server has seen it
        if migrations.current(empty_database.engine) is None:
            break
        time.sleep(0.1)
    restore_backup(empty_database.engine, dump)
    same_log(source.engine, empty_database.engine)


def test_who_may_not_read_everything_gets_no_backup(
    server: EmbeddedServer, source: Database, administrator: Engine, tmp_path: Path
) -> None:
    """No file is left."""
    name = f"reader_{uuid4().hex[:8]}"
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE qforge_reader"))
    engine = make_engine(source.url.set(username=name))
    try:
        with pytest.raises(BackupFailed, match="owner"):
            write_backup(engine, tmp_path / "x.dump")
    finally:
        engine.dispose()
        with administrator.connect() as connection:
            connection.execute(text(f"DROP ROLE {name}"))
    assert list(tmp_path.iterdir()) == []
    assert server.is_running()


def test_the_commands_write_and_restore(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """With a line of result each; no file is replaced by accident."""
    said = qforge_here("db", "backup", "empty.dump").stdout
    assert "empty.dump: " in said
    assert "exists already" in qforge_here("db", "backup", "empty.dump", status=2).stderr
    qforge_here("db", "backup", "empty.dump", "--force", "--json")
    assert (tmp_path / "empty.dump").exists()

    assert "restored 0 events" in qforge_here("db", "restore", "empty.dump").stdout
    migrations.require_migrated(engine)
    append_and_commit(engine, small_event())
    assert "QFORGE_HOME" in qforge_here("db", "restore", "empty.dump", status=2).stderr


@pytest.mark.parametrize(
    "hostile",
    [
        "CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION evil()",
        "CREATE TRIGGER evil BEFORE INSERT ON molecules FOR EACH ROW EXECUTE FUNCTION evil()",
        "ALTER TABLE molecules ALTER name SET DEFAULT evil_default()",
    ],
)
def test_a_backup_with_what_is_not_ours_runs_nothing(
    database: Database, empty_database: Database, tmp_path: Path, hostile: str
) -> None:
    """Neither while it is restored, nor later as a superuser's function; nothing of it stays."""
    proof = tmp_path / "proof"
    command = f"COPY (SELECT 1) TO PROGRAM $x$touch {proof}; chmod 666 {proof}$x$"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION evil_default() RETURNS text LANGUAGE plpgsql"
            f" AS $$ BEGIN {command}; RETURN 'x'; END $$"
        )
        returns = "event_trigger" if "EVENT" in hostile else "trigger"
        connection.exec_driver_sql(
            f"CREATE FUNCTION evil() RETURNS {returns} LANGUAGE plpgsql"
            f" AS $$ BEGIN {command}; RETURN {'' if 'EVENT' in hostile else 'NEW'}; END $$"
        )
        connection.exec_driver_sql(hostile)
    dump = tmp_path / "hostile.dump"
    write_backup(database.engine, dump)
    proof.unlink(missing_ok=True)

    with pytest.raises((BackupForeign, RestoreFailed)):
        restore_backup(empty_database.engine, dump)

    assert not proof.exists()
    assert migrations.current(empty_database.engine) is None
    with empty_database.engine.connect() as connection:
        left = connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'qforge_restore%'")
        )
        assert left.all() == []
