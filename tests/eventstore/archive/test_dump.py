"""A log that was dumped and restored into a new server goes on where it was."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.doctor.checks import Level
from quantum_forge.eventstore.doctor.examination import examine_database
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections import compiler
from quantum_forge.projections.operate.checks import CHECKS
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.log_range import count_events
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import BatchResumed
from tests.conftest import IN_A_HURRY, command_line
from tests.support.appending import (
    append_and_commit,
    heads_disagreeing_with_the_log,
    positions_in_log,
    small_event,
    versions_of,
)
from tests.support.homes import new_home
from tests.support.tables import selected_rows, table_rows


@pytest.fixture
def new_server(bin_directory: Path) -> Iterator[EmbeddedServer]:
    """Return a server that has never seen this program: no roles, no tables."""
    home = new_home("qforge-test-")
    with EmbeddedServer(home, bin_directory=bin_directory, settings=IN_A_HURRY) as server:
        yield server
    shutil.rmtree(home)


@pytest.mark.parametrize("format_", ["custom", "plain"])
def test_readers_and_writers_go_on_after_a_restore_into_a_new_server(
    database: Database,
    new_server: EmbeddedServer,
    bin_directory: Path,
    tmp_path: Path,
    format_: str,
) -> None:
    """Positions, versions, checkpoints and retries are as they were; nothing is skipped."""
    # Given: a log with gaps, of which a reader and the projections know a part
    engine = database.engine
    entity = uuid4()
    append_and_commit(engine, *(small_event(entity, number) for number in range(7)))
    with engine.connect() as connection:
        append(connection, [small_event() for _ in range(5)])
        connection.rollback()
    catch_up(engine, PROJECTIONS.values())
    reader_was_at = 3
    unread = [small_event(entity, 8), small_event(entity, 9)]
    append_and_commit(engine, *unread)
    with engine.connect() as connection:
        append(connection, [small_event() for _ in range(4)])
        connection.rollback()
        before = positions_in_log(connection)
        head_before = safe_head(connection)

    # When: it is dumped, and restored into a new server, where the roles are made first
    restore(database, new_server, bin_directory, tmp_path, format_)

    with restored(new_server) as there:
        # Then: the log is the same, and its end, too
        with there.connect() as connection:
            assert positions_in_log(connection) == before
            assert safe_head(connection) == head_before
            assert heads_disagreeing_with_the_log(connection) == []
            checkpoints_verify(there)

        # A reader goes on from its position, and appends go on above
        (repeated, _) = append_and_commit(there, *unread)
        (after,) = append_and_commit(there, small_event(entity, 10))
        assert not repeated.appended
        assert after.position > head_before
        with there.connect() as connection:
            read = [event.position for event in read_all(connection, after=reader_was_at)]
            assert read == [*(p for p in before if p > reader_was_at), after.position]
            assert versions_of(connection, entity) == list(range(1, 11))

        # Projections go on from their checkpoints, to what a projection of everything makes
        readers = [p for p in PROJECTIONS.values() if BatchResumed.event_type in p.events]
        assert catch_up(there, PROJECTIONS.values()) == 3 * len(readers)
        checkpoints_verify(there)
        batch_jobs = PROJECTIONS["batch_jobs"]
        with there.connect() as connection:
            span = {"after": 0, "upto": after.position}
            folded = selected_rows(connection, batch_jobs, compiler.rows(batch_jobs), span)
            assert table_rows(connection, batch_jobs) == folded
        # And the doctor finds every trigger, grant and policy in its place
        findings = list(examine_database(there, more=CHECKS, thorough=True))
        assert [f for f in findings if f.level is not Level.OK and f.check != "durability"] == []


def test_a_restore_without_the_roles_says_which_are_missing(
    database: Database, new_server: EmbeddedServer, bin_directory: Path, tmp_path: Path
) -> None:
    """Grants to roles that are not there fail loudly, rather than leave the log open."""
    dump = tmp_path / "log.dump"
    run(bin_directory / "pg_dump", "-Fc", "-f", dump, libpq_url(database.url))
    failed = subprocess.run(
        [bin_directory / "pg_restore", "--exit-on-error", "-d", libpq_url(new_server.url()), dump],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode != 0
    assert 'role "qforge_' in failed.stderr


def restore(
    database: Database, server: EmbeddedServer, programs: Path, directory: Path, format_: str
) -> None:
    """What docs/explanation/log.md tells an administrator to do."""
    source, target = libpq_url(database.url), libpq_url(server.url())
    roles = directory / "roles.sql"
    roles.write_text(command_line(directory, DATABASE_URL=source)("db", "roles", "--sql").stdout)
    run(tool_path("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f", roles, target)
    dump = directory / "log.dump"
    run(programs / "pg_dump", f"--format={format_}", "-f", dump, source)
    if format_ == "custom":
        run(programs / "pg_restore", "--exit-on-error", "-d", target, dump)
    else:
        run(tool_path("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f", dump, target)


def run(*command: object) -> None:
    """Run a program of PostgreSQL's; what it complains about is the test's failure."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def restored(server: EmbeddedServer) -> Iterator[Engine]:
    """The restored database."""
    engine = make_engine(server.url())
    yield engine
    engine.dispose()


def checkpoints_verify(engine: Engine) -> None:
    """Every checkpoint has consumed exactly the events up to its position."""
    with engine.connect() as connection:
        checkpoints = read_checkpoints(connection)
        for name, projection in PROJECTIONS.items():
            checkpoint = checkpoints[name]
            found = count_events(connection, projection, 0, checkpoint.position)
            assert found == (checkpoint.consumed, checkpoint.ids_hash)
