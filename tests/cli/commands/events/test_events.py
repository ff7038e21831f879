"""`qforge events list`: finding, following and piping what the log holds."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from quantum_forge.cli.show.event_table import LONGEST_DATA
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.schema.domains.molecules import MoleculeUpdated, molecule_id
from tests.conftest import Qforge
from tests.support.chemical_history import (
    NOON,
    USER,
    completed,
    created,
    failed,
    happened,
    record,
    started,
)
from tests.support.refusals import END_OTHERS

WATER = UUID("aaaa1111-0000-4000-8000-000000000001")
ANOTHER_USER = UUID(int=78, version=4)
ANOTHER_TENANT = UUID(int=2, version=4)


def positions(qforge: Qforge, *options: str) -> list[int]:
    """Return the positions of the events that `events list` gives, in its order."""
    lines = qforge("events", "list", "--json", *options).stdout.splitlines()
    return [json.loads(line)["position"] for line in lines]


@pytest.fixture
def history(engine: Engine) -> None:
    """Five events: of a molecule and a calculation, a day apart; the last by another user."""
    molecule = molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)
    update = MoleculeUpdated(name="water")
    record(
        engine,
        created("O", at=NOON),
        started(WATER, "O", at=NOON + timedelta(days=1)),
        completed(WATER, "O", at=NOON + timedelta(days=2)),
        created("O", tenant_id=ANOTHER_TENANT),
        happened(update, molecule, at=NOON + timedelta(days=3), user_id=ANOTHER_USER),
    )


@pytest.mark.usefixtures("history")
def test_events_are_found_by_type_entity_user_and_time(qforge_here: Qforge) -> None:
    """Each filter restricts, they hold together; another tenant's events are never shown."""
    molecule = str(molecule_id(DEFAULT_TENANT_ID, "O", 0, 1))

    assert positions(qforge_here) == [1, 2, 3, 5]
    assert positions(qforge_here, "--type", "molecule_created") == [1]
    assert positions(
        qforge_here, "--type", "molecule_created", "--type", "calculation_completed"
    ) == [1, 3]
    assert positions(qforge_here, "--entity", str(WATER)) == [2, 3]
    assert positions(qforge_here, "--entity", molecule, "--user", str(USER)) == [1]
    assert positions(qforge_here, "--user", str(ANOTHER_USER)) == [5]
    assert positions(qforge_here, "--since", "2026-11-21T12:00Z") == [2, 3, 5]
    assert positions(qforge_here, "--until", "2026-11-21T12:00Z") == [1]
    assert positions(
        qforge_here, "--since", "2026-11-21T12:00+00:00", "--until", "2026-11-22T12:00:01Z"
    ) == [2, 3]


def test_an_age_restricts_to_what_is_younger(qforge_here: Qforge, engine: Engine) -> None:
    """`--since 2h` means the last two hours."""
    now = datetime.now(UTC)
    record(engine, created("O", at=now - timedelta(hours=3)), created("CCO", at=now))

    assert positions(qforge_here, "--since", "2h") == [2]
    assert positions(qforge_here, "--until", "2h") == [1]


@pytest.mark.usefixtures("history")
def test_the_newest_are_printed_in_the_order_of_the_log(qforge_here: Qforge) -> None:
    """As `tail` does it; fifty unless told."""
    assert positions(qforge_here, "--limit", "2") == [3, 5]


@pytest.mark.usefixtures("history")
def test_json_lines_hold_all_fields(qforge_here: Qforge) -> None:
    """One line an event, nothing shortened."""
    (line,) = qforge_here(
        "events", "list", "--type", "calculation_completed", "--json"
    ).stdout.splitlines()

    event = json.loads(line)
    assert len(event["data"]["atoms"]) == 5
    assert len(event["data"]["xyz_sha256"]) == 64
    assert event["entity_id"] == str(WATER)
    assert event["user_id"] == str(USER)
    assert set(event) >= {"event_id", "version", "metadata", "occurred_at", "recorded_at"}


@pytest.mark.usefixtures("history")
def test_payloads_are_shortened_for_people(qforge_here: Qforge) -> None:
    """A list of atoms is its length; no line runs away."""
    done = qforge_here("events", "list", "--type", "calculation_completed")

    header, row = (line.split("\t") for line in done.stdout.splitlines())
    data = row[header.index("data")]
    assert len(data) <= LONGEST_DATA
    assert '"atoms":"[5]"' in data


def test_an_unknown_type_hears_which_ones_it_resembles(qforge_here: Qforge) -> None:
    """A typing error is refused rather than answered by an empty list."""
    near = qforge_here("events", "list", "--type", "calculation_complete", status=2)
    far = qforge_here("events", "list", "--type", "zzz", status=2)

    assert "did you mean calculation_completed" in near.stderr
    assert "the types are " in far.stderr
    assert ", molecule_created, " in far.stderr


def test_a_text_that_is_no_time_is_refused(qforge_here: Qforge) -> None:
    """With what can be written."""
    done = qforge_here("events", "list", "--since", "tomorrow", status=2)

    assert "'tomorrow' is not a time; write" in done.stderr


def test_a_pipe_closed_early_is_quiet(database: Database, tmp_path: Path) -> None:
    """`qforge events list | head -1` prints one line and no complaint."""
    record(database.engine, *(created("C" * n) for n in range(1, 451)))
    script = (
        f'"{sys.executable}" -m quantum_forge.cli.main events list --json --limit 1000 | head -1'
    )

    done = subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {script}"],
        env=environment(database, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["position"] == 1
    assert done.stderr == ""


Follow = Callable[..., "Following"]


class Following:
    """A running `events list --follow`, read line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.process = process
        self.stdout: IO[bytes] = process.stdout
        self.buffer = b""

    def line(self, timeout: float = 30) -> str:
        """Return the next line; fail if none comes in time."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.stdout], [], [], deadline - time.monotonic())
            assert ready, f"no line within {timeout} s"
            more = os.read(self.stdout.fileno(), 65536)
            assert more, "the command ended"
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()


@pytest.fixture
def follow(database: Database, tmp_path: Path) -> Iterator[Follow]:
    """Return a function that starts `events list --follow` with further options."""
    processes = []

    def start(*options: str) -> Following:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "quantum_forge.cli.main",
                "events",
                "list",
                "--follow",
                *options,
            ],
            env=environment(database, tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return Following(process)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def environment(database: Database, directory: Path) -> dict[str, str]:
    """Return the variables with which a process finds the test's database."""
    return {
        **os.environ,
        "DATABASE_URL": libpq_url(database.url),
        "QFORGE_HOME": str(directory / "home"),
    }


@pytest.mark.usefixtures("history")
def test_follow_prints_what_is_there_and_then_what_comes(follow: Follow, engine: Engine) -> None:
    """Only what matches, in the order of the log; Ctrl-C ends it."""
    following = follow("--type", "calculation_started", "--type", "calculation_failed", "--json")
    assert position(following.line()) == 2

    record(engine, started(WATER, "O"), created("CCO"), failed(WATER, "O"))

    assert [position(following.line()) for _ in range(2)] == [6, 8]

    following.process.send_signal(signal.SIGINT)
    _, said = following.process.communicate(timeout=30)
    assert said.strip() == b""


def test_ctrl_c_in_a_query_is_no_lost_connection(engine: Engine) -> None:
    """Whoever follows the log and stops is not told to run the command again."""

    def interrupt() -> None:
        with engine.connect() as watching:
            while not watching.scalar(
                text("SELECT 1 FROM pg_stat_activity WHERE query LIKE '/* SLEEP%'")
            ):
                watching.rollback()
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as worker, engine.connect() as connection:
        worker.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            connection.execute(text("/* SLEEP */ SELECT pg_sleep(30)"))


@pytest.mark.usefixtures("history")
def test_a_follower_that_goes_on_does_not_ask_to_be_run_again(
    follow: Follow, engine: Engine
) -> None:
    """It says what it waits for, and that it goes on."""
    following = follow("--limit", "1", "--json")
    assert position(following.line()) == 5

    for _ in range(10):  # between two polls it may have no connection that could end
        with engine.begin() as connection:
            connection.execute(END_OTHERS)
        time.sleep(0.2)
    record(engine, created("CCO"))

    assert position(following.line()) == 6
    following.process.send_signal(signal.SIGINT)
    _, said = following.process.communicate(timeout=30)
    assert b"Waiting: the connection to" in said
    assert b"The database answers again." in said
    assert b"again;" not in said
    assert b"run the command" not in said


@pytest.mark.usefixtures("history")
def test_follow_waits_for_an_earlier_append_that_is_not_committed(
    follow: Follow, engine: Engine
) -> None:
    """What was assigned first is printed first, although it was committed last."""
    following = follow("--limit", "1", "--json")
    assert position(following.line()) == 5

    with engine.connect() as slow:
        append(slow, [created("CCO")])
        record(engine, created("CCC"))
        time.sleep(0.6)
        slow.commit()

    assert [position(following.line()) for _ in range(2)] == [6, 7]


def position(line: str) -> int:
    """Return the position of an event printed as JSON."""
    return int(json.loads(line)["position"])


@pytest.mark.usefixtures("history")
def test_follow_prints_lines_below_a_header(follow: Follow, engine: Engine) -> None:
    """Without --json each event is one tab-separated line in a pipe."""
    following = follow("--limit", "1")
    assert following.line().split("\t")[:3] == ["position", "occurred_at", "event_type"]
    assert following.line().startswith("5\t")

    record(engine, created("CCO"))

    assert following.line().split("\t")[2] == "molecule_created"
