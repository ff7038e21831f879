"""`qforge project` and `qforge rebuild`: what they advance, how they stop, what they refuse."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, text
from sqlalchemy import select as select_rows

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.results import atomic_properties
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, record, started

WATER = UUID("aaaa1111-0000-4000-8000-000000000001")
ETHANOL = UUID("aaaa2222-0000-4000-8000-000000000002")


def rows(engine: Engine, name: str) -> int:
    """Return how many rows a projection has."""
    table = PROJECTIONS[name].table
    with engine.connect() as connection:
        return connection.scalar(select_rows(func.count()).select_from(table)) or 0


def test_once_projects_all_and_says_what(qforge_here: Qforge, engine: Engine) -> None:
    """The second time there is nothing to do, and nothing on stdout."""
    record(engine, created("O"), started(WATER, "O"), completed(WATER, "O"))

    first, second = qforge_here("project", "--once"), qforge_here("project", "--once")

    advanced = dict(line.split("\t", 1) for line in first.stdout.splitlines())
    assert advanced["projection"] == "events\tposition"
    assert advanced["calculations"] == "2\t3"
    assert set(advanced) - {"projection"} == set(PROJECTIONS)
    assert rows(engine, "atomic_properties") == 5
    assert second.stdout == ""
    assert second.stderr == "Up to date at position 3.\n"


def test_only_the_projections_named_are_advanced(qforge_here: Qforge, engine: Engine) -> None:
    """A wrong name is refused with the right ones."""
    record(engine, created("O"), started(WATER, "O"))

    qforge_here("project", "--once", "molecules")

    assert (rows(engine, "molecules"), rows(engine, "calculations")) == (1, 0)
    refused = qforge_here("project", "--once", "molecule", status=2)
    assert "no projection 'molecule'; did you mean molecules?" in refused.stderr


def test_a_changed_definition_asks_for_a_rebuild(qforge_here: Qforge, engine: Engine) -> None:
    """The others are brought up to date; the rebuild is the remedy that it names."""
    record(engine, created("O"), started(WATER, "O"))
    qforge_here("project", "--once")
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE projection_checkpoints SET fingerprint = '' WHERE projection = 'molecules'"
            )
        )
    record(engine, created("CCO"), started(ETHANOL, "CCO"))

    refused = qforge_here("project", "--once", status=1)

    assert "run `qforge rebuild molecules`" in refused.stderr.splitlines()[-1]
    assert (rows(engine, "molecules"), rows(engine, "calculations")) == (1, 2)
    qforge_here("rebuild", "molecules")
    qforge_here("project", "--once")
    assert rows(engine, "molecules") == 2


def test_changed_definitions_are_rebuilt_where_that_is_asked_for(
    qforge_here: Qforge, engine: Engine
) -> None:
    """It says so, brings the others up to date, and has nothing to do the second time."""
    record(engine, created("O"), started(WATER, "O"))
    qforge_here("project", "--once")
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE projection_checkpoints SET fingerprint = '' WHERE projection = 'molecules'"
            )
        )
    record(engine, created("CCO"), started(ETHANOL, "CCO"))

    first = qforge_here("project", "--once", "--auto-rebuild")
    second = qforge_here("project", "--once", "--auto-rebuild")

    assert first.stderr.startswith("The definition of molecules has changed; rebuilding …\n")
    assert (rows(engine, "molecules"), rows(engine, "calculations")) == (2, 2)
    assert second.stderr == "Up to date at position 4.\n"


def test_what_the_server_cannot_fold_is_one_clear_line(qforge_here: Qforge, engine: Engine) -> None:
    """Exit status 1; nothing is set aside, for it is no event's fault, and the others go on."""
    record(engine, created("O"), started(WATER, "O"))
    qforge_here("project", "--once")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE calculations RENAME COLUMN gap TO gone"))
    record(engine, completed(WATER, "O"))

    refused = qforge_here("project", "--once", status=1)

    (error,) = [line for line in refused.stderr.splitlines() if line.startswith("Error")]
    assert "calculations stopped: events 3 to 3: " in error
    with engine.connect() as connection:
        assert connection.scalar(select_rows(calculations.c.status)) == "running"
        assert connection.scalar(select_rows(molecules.c.calculation_count)) == 1
    assert qforge_here("dead-letters", "list").stdout == ""


def test_rebuild_makes_the_same_rows_and_says_how_fast(qforge_here: Qforge, engine: Engine) -> None:
    """Rows that the log does not know are gone."""
    record(engine, created("O"), started(WATER, "O"), completed(WATER, "O"))
    qforge_here("project", "--once")
    with engine.begin() as connection:
        connection.execute(atomic_properties.delete())
        connection.execute(calculations.update().values(energy=0))

    done = qforge_here("rebuild", "--all")

    header, *lines = (line.split("\t") for line in done.stdout.splitlines())
    assert header[:6] == ["projection", "events", "rows", "added", "removed", "changed"]
    numbers = {line[0]: line[1:6] for line in lines}
    assert numbers["atomic_properties"] == ["1", "5", "5", "0", "0"]
    assert numbers["calculations"] == ["2", "1", "0", "0", "1"]
    assert {line[0] for line in lines} == set(PROJECTIONS)
    assert rows(engine, "atomic_properties") == 5
    with engine.connect() as connection:
        assert connection.scalar(select_rows(calculations.c.energy)) == -5.07
        assert {point.position for point in read_checkpoints(connection).values()} == {3}


@pytest.mark.parametrize("arguments", [(), ("--all", "molecules")])
def test_rebuild_does_not_guess_what_is_meant(
    qforge_here: Qforge, arguments: tuple[str, ...]
) -> None:
    """Without names and without --all, or with both, it names the projections and does nothing."""
    done = qforge_here("rebuild", *arguments, status=2)

    assert "calculation_execution_metrics, " in done.stderr
    assert done.stdout == ""


@pytest.fixture
def projector(database: Database, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start `qforge project`, and wait until it follows the log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "quantum_forge.cli.main", "project"],
        env={
            **os.environ,
            "DATABASE_URL": libpq_url(database.url),
            "QFORGE_HOME": str(tmp_path / "home"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"Following the log")
    yield process
    process.kill()
    process.communicate()


def is_quiet(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether a process prints nothing for a while."""
    assert process.stdout is not None
    assert process.stderr is not None
    ready, _, _ = select.select([process.stdout, process.stderr], [], [], seconds)
    return not ready


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_projector_follows_until_it_is_told_to_stop(
    projector: subprocess.Popen[bytes], engine: Engine, number: signal.Signals
) -> None:
    """Quiet while idle, a line for what it advances, and an orderly end with status 0."""
    assert is_quiet(projector, 0.6)

    record(engine, created("O"))
    assert projector.stdout is not None
    readers = [name for name, one in PROJECTIONS.items() if "molecule_created" in one.events]
    lines = {projector.stdout.readline() for _ in readers}
    assert lines == {f"{name}\t1\t1\n".encode() for name in readers}

    projector.send_signal(number)
    assert projector.wait(30) == 0
    assert projector.communicate() == (b"", b"")
    assert rows(engine, "molecules") == 1


def test_a_batch_in_progress_is_finished_before_the_end(
    projector: subprocess.Popen[bytes], engine: Engine
) -> None:
    """What was begun when the signal came is committed, rows and checkpoint."""
    with engine.begin() as holding:
        holding.execute(text("LOCK TABLE molecules IN SHARE MODE"))
        record(engine, created("O"))
        with engine.connect() as watching:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not watching.scalar(waiting):
                watching.rollback()
        projector.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            projector.wait(0.3)

    assert projector.wait(30) == 0
    assert rows(engine, "molecules") == 1
    with engine.connect() as connection:
        assert read_checkpoints(connection)["molecules"].position == 1
