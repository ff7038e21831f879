"""Use case 2: what failed is tried again, later and later, until it has failed often enough."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.submission import read_structure, submit
from quantum_forge.runner.retries.backoff import RETRIES, Backoff
from quantum_forge.runner.retries.failed_calculations import Verdict
from quantum_forge.runner.retries.retries import Retried, Retries
from quantum_forge.runner.workers.liveness import identity
from quantum_forge.schema.domains.calculations import ErrorType
from tests.conftest import Qforge
from tests.support.campaigns import campaign, counted, rows, statuses, until, write

HERE = str(Path(__file__).parents[3])
AT_ONCE = Backoff(first_seconds=0, longest_seconds=0)
A_RETRY = """
import sys
sys.path.insert(0, sys.argv[2])
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.database.given_address import parse_database_url
from quantum_forge.runner.retries.backoff import Backoff
from quantum_forge.runner.workers.liveness import identity
from quantum_forge.runner.retries.retries import Retries
engine = make_engine(parse_database_url(sys.argv[1]))
recorder = Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID, more=identity()))
Retries(recorder, Backoff(first_seconds=0, longest_seconds=0), jobs=2,
                     function=f"tests.support.runner_functions:{sys.argv[3]}").run()
"""
"""A process that tries again, at once, what failed: with a database, this folder, a function."""

XYZ = ["2", "hydrogen", "H 0 0 0", "H 0 0 0.7512345"]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find the functions that stand for chemistry."""
    monkeypatch.syspath_prepend(HERE)


def retried(engine: Engine, function: str, backoff: Backoff = AT_ONCE) -> Retried:
    """Run what failed with a function in place of chemistry, on tables that are up to date."""
    rows(engine, "calculations")
    recorder = Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID, more=identity()))
    return Retries(
        recorder, backoff, jobs=2, function=f"tests.support.runner_functions:{function}"
    ).run()


def retrying(database: Database, function: str) -> "subprocess.Popen[bytes]":
    """Do the same in a process of its own, which has begun."""
    command = [sys.executable, "-c", A_RETRY, libpq_url(database.url), HERE, function]
    return subprocess.Popen(command)


def timed_out(engine: Engine, tmp_path: Path) -> None:
    """Two molecules that time out, and a line that is none."""
    file = write(tmp_path / "slow.smi", ["C methane", "CC ethane", "nonsense nonsense"])
    campaign(engine, file, function="tests.support.runner_functions:nothing_is_in_time")
    assert statuses(engine) == {"failed": 3}


def test_delays_double_up_to_the_longest_and_are_half_random() -> None:
    """60 s, 120 s, 240 s, … of which the draw decides the second half."""
    backoff = Backoff()

    certain = [backoff.delay(n, 1.0).total_seconds() for n in (1, 2, 3, 7, 500)]
    least = [backoff.delay(n, 0.0).total_seconds() for n in (1, 2, 3, 7, 500)]

    assert certain == [60, 120, 240, 3600, 3600]
    assert least == [30, 60, 120, 1800, 1800]


def test_the_limit_is_by_type_and_never_lets_input_errors_through() -> None:
    """A limit of one's own changes all types but that one."""
    assert Backoff().allowed(ErrorType.TIMEOUT) == 3
    assert RETRIES.keys() == set(ErrorType)
    assert Backoff(limit=9).allowed(ErrorType.CONVERGENCE_ERROR) == 9
    assert Backoff(limit=9).allowed(ErrorType.INPUT_ERROR) == 0


def test_what_timed_out_is_tried_again_until_the_limit(
    engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """The plan says how often it timed out; after three retries there is no fourth."""
    timed_out(engine, tmp_path)

    # When: asked what would be done
    planned = json.loads(qforge_here("retry", "--dry-run", "--json").stdout)

    # Then: the two that timed out wait for their second attempt, and the input error for none
    assert [(each["story"], each["attempt"]) for each in planned] == [("timed out once", 2)] * 2
    assert counted(engine)["calculation_retry_scheduled"] == 0

    # When: tried until nothing is left to try
    done = retried(engine, "nothing_is_in_time")

    # Then
    assert (done.attempts, done.completed, done.scheduled) == (6, 0, 6)
    assert [each.story for each in done.given_up] == ["timed out 4 times"] * 2
    assert counted(engine)["calculation_failed"] == 9
    assert counted(engine)["calculation_given_up"] == 2
    assert retried(engine, "nothing_is_in_time").attempts == 0
    assert counted(engine)["calculation_given_up"] == 2

    # And then: people see it
    (first, second) = json.loads(qforge_here("retry", "--dry-run", "--json").stdout)
    assert first["decision"] == second["decision"] == "given up: 3 retries at most"
    errors = rows(engine, "calculation_errors", ("error_type", "retry_count"))
    assert sorted(e["retry_count"] for e in errors if e["error_type"] == "timeout") == [
        *(0, 0, 1, 1, 2, 2, 3, 3)
    ]


def test_a_retry_waits_for_its_time(engine: Engine, tmp_path: Path) -> None:
    """The first run schedules, in the order of the failures; nothing is run before its time."""
    timed_out(engine, tmp_path)
    began = datetime.now(UTC)

    done = retried(engine, "hydrogen", Backoff())

    assert (done.scheduled, done.attempts) == (2, 0)
    for each in done.waiting:
        assert each.verdict is Verdict.WAITING
        assert each.retry_at is not None
        assert began + timedelta(seconds=20) < each.retry_at < began + timedelta(seconds=60)
    again = retried(engine, "hydrogen", Backoff())
    assert (again.scheduled, again.attempts) == (0, 0)
    assert statuses(engine) == {"pending": 2, "failed": 1}


def test_a_success_counts_in_its_batch(engine: Engine, tmp_path: Path) -> None:
    """Calculation, item and batch say completed; the input error remains."""
    timed_out(engine, tmp_path)

    done = retried(engine, "hydrogen")

    assert (done.attempts, done.completed, done.given_up) == (2, 2, [])
    assert statuses(engine) == {"completed": 2, "failed": 1}
    (batch,) = rows(engine, "batch_jobs", ("status", "total_count", "successful_count"))
    assert batch == {"status": "completed", "total_count": 3, "successful_count": 2}
    items = rows(engine, "batch_items", ("status", "retry_count"))
    assert Counter(item["status"] for item in items) == {"completed": 2, "failed": 1}
    assert {item["retry_count"] for item in items} == {1}


def test_a_geometry_from_a_file_is_repeated_as_it_was(engine: Engine, tmp_path: Path) -> None:
    """The log holds it, so that no file is needed; the result is of the same calculation."""
    file = write(tmp_path / "hydrogen.xyz", XYZ)
    campaign(engine, file, function="tests.support.runner_functions:nothing_is_in_time")

    done = retried(engine, "hydrogen")

    assert (done.completed, done.impossible) == (1, {})
    (last, _) = rows(engine, "atomic_properties", ("position_z",))[::-1]
    assert last["position_z"] == 0.7512345


def test_a_molecule_without_a_smiles_is_tried_again(engine: Engine, tmp_path: Path) -> None:
    """Its geometry is all that there is, and the log holds it."""
    file = write(tmp_path / "salt.xyz", ["2", "salt", "Na 0 0 0", "Cl 0 0 2.3612345"])
    campaign(engine, file, function="tests.support.runner_functions:nothing_is_in_time")
    assert rows(engine, "molecules", ["smiles"]) == [{"smiles": None}]

    done = retried(engine, "hydrogen")

    assert (done.completed, done.impossible) == (1, {})
    (last, _) = rows(engine, "atomic_properties", ("position_z",))[::-1]
    assert last["position_z"] == 2.3612345


def test_a_killed_retry_is_gone_on_with(database: Database, engine: Engine, tmp_path: Path) -> None:
    """Kill -9 during an attempt: the next run records it as lost, and tries again.

    What had a result by then counts in its batch, however soon after the result it was killed.
    """
    file = write(tmp_path / "slow.smi", ["C methane", "CC ethane"])
    campaign(engine, file, function="tests.support.runner_functions:nothing_is_in_time")
    rows(engine, "calculations")
    process = retrying(database, "hydrogen_but_for_methane")
    try:
        until(lambda: counted(engine)["calculation_started"] == 4, "a second attempt of each")
        until(lambda: counted(engine)["calculation_completed"] == 1, "the first success")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    assert rows(engine, "batch_jobs", ["successful_count"]) == [{"successful_count": 1}]
    done = retried(engine, "hydrogen")

    assert (done.attempts, done.completed) == (1, 1)
    assert statuses(engine) == {"completed": 2}
    assert rows(engine, "batch_jobs", ["successful_count"]) == [{"successful_count": 2}]
    story = counted(engine)
    assert (story["calculation_lost"], story["calculation_retry_scheduled"]) == (1, 3)


def test_two_retries_at_once_count_every_result_once(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    """Whoever of them has the result, the batch counts those of both."""
    lines = [f"{'C' * n} {n}" for n in range(1, 13)]
    campaign(
        engine,
        write(tmp_path / "slow.smi", lines),
        function="tests.support.runner_functions:nothing_is_in_time",
    )
    rows(engine, "calculations")

    process = retrying(database, "hydrogen")
    try:
        until(lambda: counted(engine)["calculation_retry_scheduled"] > 0, "the other has begun")
        retried(engine, "hydrogen")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()

    assert statuses(engine) == {"completed": 12}
    (batch,) = rows(engine, "batch_jobs", ("successful_count", "failed_count"))
    assert batch == {"successful_count": 12, "failed_count": 0}


def test_another_programs_calculation_is_left_alone(engine: Engine) -> None:
    """Nobody repeats with tblite or xtb what another program computed."""
    recorder = Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID))
    with recorder.calculation(None, method="GFN2-xTB", program="dftb+") as calculation:
        calculation.fail("too slow", error_type=ErrorType.TIMEOUT)

    done = retried(engine, "hydrogen")

    assert (done.attempts, done.scheduled) == (0, 0)
    assert list(done.impossible.values()) == [
        "it was computed by dftb+, which this program does not run"
    ]
    assert statuses(engine) == {"failed": 1}


def imported_failure(directory: Path, *, geometry: bool) -> None:
    """A folder of a job that failed, with or without the geometry that it began with."""
    job = directory / "job"
    job.mkdir(parents=True)
    state = {"job_id": "a", "status": "failed", "error_message": "out of time", "smiles": "[H][H]"}
    (job / "metadata.json").write_text(json.dumps(state))
    if geometry:
        (job / "input.xyz").write_text("\n".join(XYZ) + "\n")


def test_an_import_without_its_geometry_in_the_log_stays_failed_and_is_given_up(
    engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """Nothing is recorded of it; the plan and the run say the same, with a way forward."""
    imported_failure(tmp_path / "jobs", geometry=True)
    qforge_here("import", "jobs", str(tmp_path / "jobs"))
    before = counted(engine)

    planned = json.loads(qforge_here("retry", "--dry-run", "--json").stdout)
    done = json.loads(qforge_here("retry", "--first-delay", "0", "--jobs", "1", "--json").stdout)
    table = qforge_here("retry", "--first-delay", "0", "--jobs", "1").stdout

    (plan,) = planned
    assert plan["decision"].startswith("given up: its geometry is not in the log; calculate")
    assert "qforge run" in plan["decision"]
    assert (done["scheduled"], done["attempts"], done["waiting"]) == (0, 0, [])
    assert f"given up: {done['impossible'][plan['id']]}" == plan["decision"]
    assert [each["calculation_id"] for each in done["given_up"]] == [plan["id"]]
    assert plan["decision"] in table
    assert counted(engine) == before
    assert statuses(engine) == {"failed": 1}


def test_an_import_that_had_no_geometry_is_repeated_from_its_smiles(
    engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """The log holds all that the job began with."""
    imported_failure(tmp_path / "jobs", geometry=False)
    qforge_here("import", "jobs", str(tmp_path / "jobs"))

    done = retried(engine, "hydrogen")

    assert (done.attempts, done.completed, done.impossible) == (1, 1, {})
    assert statuses(engine) == {"completed": 1}


@pytest.mark.parametrize("arguments", [("--dry-run",), ()])
def test_without_failures_there_is_nothing_to_do(
    qforge_here: Qforge, arguments: tuple[str, ...]
) -> None:
    """The empty case is a table without rows."""
    done = qforge_here("retry", "--jobs", "1", *arguments)

    assert len(done.stdout.splitlines()) == 1


def test_a_dry_run_cannot_follow(qforge_here: Qforge) -> None:
    """It would wait for what it does not do."""
    qforge_here("retry", "--dry-run", "--follow", status=2)


def test_what_was_asked_for_is_computed(engine: Engine) -> None:
    """A SMILES and a geometry that were submitted are begun at once, each under its own id."""
    asked = []
    with Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID)) as recorder:
        for text in ("C", "\n".join(XYZ)):
            first = submit(recorder, read_structure(text), Plan(batch="editor"))
            again = submit(recorder, read_structure(text), Plan(batch="editor"))
            assert (first.is_new, again.is_new) == (True, False)
            assert first.calculation_id == again.calculation_id
            asked.append(first.calculation_id)
    rows(engine, "calculations")

    with Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID, more=identity())) as recorder:
        done = Retries(recorder, Backoff(), jobs=1).run()

    assert (done.attempts, done.completed, done.scheduled) == (2, 2, 0)
    found = {row["id"]: row for row in rows(engine, "calculations")}
    assert {id_: found[id_]["status"] for id_ in asked} == dict.fromkeys(asked, "completed")
    assert found[asked[1]]["energy"] == pytest.approx(-0.98, abs=0.01)
