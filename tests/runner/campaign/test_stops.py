"""A run that is stopped, starved of its workers or of its database says so, and can go on."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.runner.campaign.campaign import Campaign
from quantum_forge.runner.campaign.tally import Tally
from tests.conftest import Qforge, command_line
from tests.runner.workers.test_pool import until_gone
from tests.support.campaigns import (
    campaign,
    chemistry,
    completed_more_than,
    counted,
    nci,
    rows,
    running,
    statuses,
    until,
    write,
)

HERE = Path(__file__).parents[3]
LINES = 30


@pytest.fixture
def molecules(tmp_path: Path) -> Path:
    """Return a file that takes a second or two."""
    return write(tmp_path / "molecules.smi", nci(LINES))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_at_once_and_the_same_command_goes_on(
    molecules: Path, database: Database, qforge: Qforge, tmp_path: Path, number: signal.Signals
) -> None:
    """What was in flight is recorded as lost, the batch as cancelled; nothing is left running."""
    url = libpq_url(database.url)
    with running(tmp_path, "run", str(molecules), "--jobs", "2", DATABASE_URL=url) as stopped:
        until(completed_more_than(database.engine, 4), "the run is under way")
        workers = stopped.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)  # so that neither calculation ends first
        until(lambda: _in_flight(database.engine) == 2, "both workers have a calculation")
        stopped.signal_group(number)
        status, out, err = stopped.end()  # in time, although neither calculation can end

    assert status == 128 + number
    assert out == ""
    (error,) = [line for line in err.splitlines() if line.startswith("Error:")]
    assert "run the same command again to continue" in error
    assert ", 0 failed, " in err  # what was stopped has not failed
    assert "Traceback" not in err
    for pid in workers:
        until_gone(pid, 1)
    events = counted(database.engine)
    assert events["calculation_lost"] == 2
    assert statuses(database.engine)["running"] == 0
    (batch,) = rows(database.engine, "batch_jobs")
    assert batch["status"] == "cancelled"
    assert batch["successful_count"] == events["calculation_completed"] < LINES
    assert batch["failed_count"] == 0

    qforge("run", str(molecules))

    assert statuses(database.engine) == {"completed": LINES}
    (batch,) = rows(database.engine, "batch_jobs")
    assert (batch["status"], batch["successful_count"]) == ("completed", LINES)


@pytest.mark.parametrize("survives", [False, True])
def test_a_run_heeds_the_end_of_its_terminal_unless_it_was_told_not_to(
    molecules: Path, database: Database, tmp_path: Path, survives: bool
) -> None:
    """A closed window, a lost connection: nothing stays in flight. Under `nohup` it goes on."""
    if not survives:
        write(molecules, nci(600))  # which takes longer than the terminal lives
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "quantum_forge.cli.main", "run", str(molecules), "--jobs=2"]
    environment = os.environ | {
        "DATABASE_URL": libpq_url(database.url),
        "QFORGE_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(HERE),
    }
    with subprocess.Popen(
        ["setsid", "--ctty", *(["nohup"] if survives else []), *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=environment,
        # Whoever runs the tests under nohup has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509  # is no lock
    ) as run:
        os.close(theirs)
        until(completed_more_than(database.engine, 1), "the run is under way")
        os.close(ours)
        status = run.wait(60)

    found = statuses(database.engine)
    (batch,) = rows(database.engine, "batch_jobs")
    if survives:
        assert (status, batch["status"], found) == (0, "completed", {"completed": LINES})
    else:
        assert (status, batch["status"]) == (128 + signal.SIGHUP, "cancelled")
        assert found.get("running", 0) == 0


def _in_flight(engine: Engine) -> int:
    events = counted(engine)
    return events["calculation_started"] - events["calculation_completed"]


def test_a_hung_calculation_fails_at_its_timeout_and_is_tried_again_next_time(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on meanwhile; input errors are never tried again, timeouts are."""
    monkeypatch.syspath_prepend(str(HERE))
    file = write(tmp_path / "hung.smi", ["C methane", "CC ethane", "CCC propane"])

    def run() -> Tally:
        return campaign(
            engine,
            file,
            function="tests.support.runner_functions:methane_hangs",
            timeout_seconds=0.3,
        )

    first = run()
    (error,) = [e for e in rows(engine, "calculation_errors") if e["error_type"] == "timeout"]
    second = run()

    assert (first.failed, second.failed) == (3, 3)
    assert error["error_message"] == "killed after 0.3 s"
    assert (error["retry_count"], error["user_action_required"]) == (0, False)
    assert counted(engine)["calculation_started"] == 4
    (again,) = [
        row
        for row in rows(engine, "calculation_errors")
        if row["error_type"] == "timeout" and row["id"] != error["id"]
    ]
    assert again["retry_count"] == 1
    (earlier,) = again["retry_attempts"]
    assert (earlier["attempt"], earlier["error_type"]) == (1, "timeout")


def test_a_calculation_whose_worker_is_killed_is_lost_and_tried_again_next_time(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 on a worker costs its calculation; the second attempt remembers the first."""
    monkeypatch.syspath_prepend(str(HERE))
    file = write(tmp_path / "killed.smi", ["C methane"])
    killer = threading.Thread(target=_kill_the_busy_worker, args=(engine,))
    killer.start()

    first = campaign(engine, file, function="tests.support.runner_functions:methane_hangs")
    killer.join()
    (lost,) = rows(engine, "calculation_errors")
    second = campaign(engine, file, function="tests.support.runner_functions:nothing_converges")

    assert (first.lost, first.failed) == (1, 0)
    assert (lost["error_type"], lost["error_code"]) == ("compute_lost", "WORKER_SIGKILL")
    assert (second.lost, second.failed) == (0, 1)
    _, failed = rows(engine, "calculation_errors")
    assert (failed["error_type"], failed["retry_count"]) == ("convergence_error", 1)
    (earlier,) = failed["retry_attempts"]
    assert (earlier["attempt"], earlier["error_type"]) == (1, "compute_lost")
    (calculation,) = rows(engine, "calculations")
    assert (calculation["attempt"], calculation["status"]) == (2, "failed")


def _kill_the_busy_worker(engine: Engine) -> None:
    """Kill both workers once one of them has taken the task."""
    until(lambda: counted(engine)["calculation_started"] == 1, "an attempt begins")
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    until(lambda: bool(_workers(children)), "workers start")
    time.sleep(1.0)  # nothing tells from outside that a worker has taken its task
    for pid in _workers(children):
        os.kill(pid, signal.SIGKILL)


def _workers(children: Path) -> list[int]:
    return [
        int(pid)
        for pid in children.read_text().split()
        if b"quantum_forge.runner.workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_a_run_outlives_the_loss_of_its_connections_or_says_so(
    molecules: Path, database: Database, qforge: Qforge, tmp_path: Path
) -> None:
    """A connection lost between two appends is replaced; one lost within ends the run cleanly."""
    url = libpq_url(database.url)
    with running(tmp_path, "run", str(molecules), DATABASE_URL=url) as run:
        until(completed_more_than(database.engine, 4), "the run is under way")
        with database.engine.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        status, _, err = run.end()

    assert status == 0 or "connection" in err
    assert "Traceback" not in err

    qforge("run", str(molecules))

    assert statuses(database.engine) == {"completed": LINES}


def test_a_run_whose_server_dies_ends_with_one_error_and_goes_on_when_it_is_back(
    molecules: Path, tmp_path: Path
) -> None:
    """No worker is left behind, no result that was recorded is lost, and nothing stays running."""
    home = tmp_path / "home"
    qforge = command_line(tmp_path, QFORGE_HOME=str(home))
    qforge("db", "upgrade")
    with running(tmp_path, "run", str(molecules), "--jobs", "2", "--patience", "5") as run:
        pid_file = home / "postgres" / "data" / "postmaster.pid"
        until(lambda: len(run.workers()) >= 2 and pid_file.exists(), "the run starts")
        workers = [pid for pid in run.workers() if _is_worker(pid)]
        time.sleep(1.0)  # some way into the run; where exactly does not matter
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        status, _, err = run.end()

    assert status == 2
    assert len([line for line in err.splitlines() if line.startswith("Error:")]) == 1, err
    assert "Traceback" not in err
    for pid in workers:
        until_gone(pid, 1)

    said = qforge("run", str(molecules)).stdout

    assert "failed\t0\nlost\t0\n" in said
    shown = qforge("status").stdout
    assert f"completed\t{LINES}\n" in shown
    assert "running\t0\n" in shown


def _is_worker(pid: int) -> bool:
    return b"quantum_forge.runner.workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_batch_whose_last_event_was_never_written_is_closed_by_the_next_run(
    molecules: Path, engine: Engine, qforge: Qforge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner killed after its last result leaves no batch that is processing for ever."""
    write(molecules, nci(2))
    monkeypatch.setattr(Campaign, "_complete", lambda _: None)
    campaign(engine, molecules, function="quantum_forge.runner.engines.calculation:calculate")
    assert chemistry(engine)["batch_jobs"][0]["status"] == "processing"

    qforge("run", str(molecules), "--batch", molecules.stem)

    assert chemistry(engine)["batch_jobs"][0]["status"] == "completed"


def test_a_record_over_which_rdkit_crashes_or_hangs_costs_only_itself(
    molecules: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is recorded as failed with the reason; the good ones around it have results."""
    molecules.write_text("C first\nCC crash\nO second\nCCC hang\nN third\n")
    poisoned = "tests.support.runner_functions:identify_but_for_poison"
    monkeypatch.setattr("quantum_forge.runner.campaign.identification.FUNCTION", poisoned)
    monkeypatch.setattr("quantum_forge.runner.campaign.identification.TIMEOUT_SECONDS", 3.0)

    tally = campaign(engine, molecules, function="tests.support.runner_functions:hydrogen")

    assert (tally.inputs, tally.completed, tally.failed) == (5, 3, 2)
    assert [problem.number for problem in tally.problems] == [2, 4]
    assert {problem.error_type for problem in tally.problems} == {"input_error"}
    assert "crashed (SIGSEGV)" in tally.problems[0].reason
    assert "took longer than 3 s" in tally.problems[1].reason


def test_a_run_heeds_who_asks_its_batch_to_stop_from_elsewhere(
    molecules: Path, database: Database, tmp_path: Path, qforge: Qforge
) -> None:
    """As the dashboard does: the reason is stored, and the same command goes on afterwards."""
    write(molecules, nci(600))
    url = libpq_url(database.url)
    with running(tmp_path, "run", str(molecules), "--jobs", "2", DATABASE_URL=url) as stopped:
        until(completed_more_than(database.engine, 4), "the run is under way")
        with database.engine.connect() as connection:
            batch_id = connection.scalar(
                text("SELECT entity_id FROM event_logs WHERE event_type = 'batch_started'")
            )
        data = '{"reason": "wrong charges"}'
        qforge("record", "batch_stop_requested", "--entity-id", str(batch_id), "--data", data)
        status, _, err = stopped.end()

    assert status == 128 + signal.SIGTERM
    assert "run the same command again to continue" in err
    (batch,) = rows(database.engine, "batch_jobs")
    assert batch["status"] == "cancelled"
    with database.engine.connect() as connection:
        reasons = connection.scalars(
            text("SELECT data ->> 'reason' FROM event_logs WHERE event_type = 'batch_cancelled'")
        )
        assert reasons.all() == ["wrong charges"]

    write(molecules, nci(6))  # what was asked of the run before is not asked of the next one
    qforge("run", str(molecules), "--jobs", "2")
    assert rows(database.engine, "batch_jobs")[0]["status"] == "completed"
