"""A run whose database is killed in the middle loses nothing and computes nothing twice."""

import json
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.spool.state import spool_state
from tests.conftest import Qforge, command_line
from tests.support.campaigns import completed_more_than, running, until, write
from tests.support.killable import Killable, killable

__all__ = ["killable"]

ENDS = (
    *("C", "N", "O", "F", "Cl", "S", "Br", "P", "C#N", "C=O", "C=C", "C#C", "OC", "NC"),
    *("OF", "OO", "NO", "NN", "NF", "C=N", "N=O", "C=S", "SCl", "SF", "OCl", "SO", "SN", "PF"),
)
MOLECULES = [f"{'C' * length}{end}" for length in range(1, 5) for end in ENDS]
"""Small ones, and more than are looked up at once."""


@pytest.fixture
def molecules(tmp_path: Path) -> Path:
    """Return a file that takes some seconds."""
    return write(tmp_path / "molecules.smi", MOLECULES)


@pytest.fixture
def qforge(killable: Killable, tmp_path: Path) -> Qforge:
    """Return the command line with the server that is killed."""
    return command_line(tmp_path, DATABASE_URL=libpq_url(killable.server.url()))


def endings(killable: Killable) -> Counter[tuple[str, ...]]:
    """How many calculations have had which events, in order."""
    query = text("""
        SELECT array_agg(event_type ORDER BY version) FROM event_logs
         WHERE entity_type = 'calculation' GROUP BY entity_id
    """)
    with killable.engine.connect() as connection:
        return Counter(map(tuple, connection.scalars(query)))


ONCE = ("calculation_started", "calculation_completed")
DISTINCT = len(set(MOLECULES))


def test_a_run_survives_a_server_that_is_killed_and_comes_back(
    killable: Killable, molecules: Path, tmp_path: Path
) -> None:
    """It goes on with what it has looked up, waits for the rest, and drains by itself."""
    spool = tmp_path / "home" / "spool"
    url = libpq_url(killable.server.url())
    with running(tmp_path, "run", str(molecules), "--jobs", "2", DATABASE_URL=url) as run:
        until(completed_more_than(killable.engine, 10), "the run is under way")
        killable.kill()
        until(lambda: spool_state(spool).events > 2, "results go to the spool")
        killable.start()
        status, out, err = run.end()

    assert status == 0, err
    assert f"completed\t{DISTINCT}" in out
    assert "Results go to the spool from now on" in err
    assert sum(endings(killable).values()) == DISTINCT
    assert endings(killable) == {ONCE: DISTINCT}
    assert spool_state(spool).segments == []


def test_a_run_whose_server_stays_away_ends_by_saying_how_to_go_on(
    killable: Killable, molecules: Path, tmp_path: Path, qforge: Qforge
) -> None:
    """What was in flight is finished and kept; drain, and the same command, do the rest."""
    spool = tmp_path / "home" / "spool"
    url = libpq_url(killable.server.url())
    command = ("run", str(molecules), "--jobs", "2", "--patience", "1")
    with running(tmp_path, *command, DATABASE_URL=url) as run:
        until(completed_more_than(killable.engine, 10), "the run is under way")
        killable.kill()
        status, _, err = run.end()

    assert status == 2
    assert "Traceback" not in err, err
    (error,) = [line for line in err.splitlines() if line.startswith("Error:")]
    assert "the database has been unreachable for" in error
    waiting = spool_state(spool).events
    assert f"The spool has {waiting} events" in err
    assert "qforge spool drain, or the same command again" in err
    assert json.loads(qforge("spool", "status", "--json").stdout)["events"] == waiting

    assert "no connection" in qforge("spool", "drain", status=2).stderr
    killable.start()
    assert f"{waiting} events from the spool to the log" in qforge("spool", "drain").stderr
    assert set(endings(killable)) == {ONCE}

    qforge("run", str(molecules))

    assert endings(killable) == {ONCE: DISTINCT}


def test_the_same_command_drains_what_a_killed_run_left(
    killable: Killable, molecules: Path, tmp_path: Path, qforge: Qforge
) -> None:
    """Both die, runner and server: what was acknowledged is there, the rest is tried again."""
    spool = tmp_path / "home" / "spool"
    url = libpq_url(killable.server.url())
    write(molecules, MOLECULES[:50])
    with running(tmp_path, "run", str(molecules), "--jobs", "2", DATABASE_URL=url) as run:
        until(completed_more_than(killable.engine, 5), "the run is under way")
        killable.kill()
        until(lambda: spool_state(spool).events > 4, "results go to the spool")
        run.process.kill()
    waiting = spool_state(spool).events
    killable.start()

    said = qforge("run", str(molecules))

    assert f"{waiting} events from the spool to the log" in said.stderr
    again = (*ONCE[:1], "calculation_lost", *ONCE)
    found = endings(killable)
    assert set(found) <= {ONCE, again}
    assert sum(found.values()) == 50
    assert found[again] <= 2, "only what the two workers had in hand"
