"""Every task that is submitted comes back exactly once, whatever becomes of its process."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.tasks import Completed, Failed, Invalidated, Lost, Outcome, Task
from quantum_forge.runner.errors import WorkerStartError
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.workers.pool import WorkerPool

HERE = Path(__file__).parents[3]
MISBEHAVE = "tests.support.runner_functions:misbehave"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, function=MISBEHAVE) as pool:
        yield pool


def task(what: str, timeout_s: float | None = None) -> Task:
    return Task(id=uuid4(), smiles=what, timeout_s=timeout_s)


def all_outcomes(pool: WorkerPool) -> dict[UUID, Outcome]:
    """Wait until nothing is left; a task that ends twice is an error."""
    outcomes: dict[UUID, Outcome] = {}
    end = time.monotonic() + 60
    while pool.queued() or pool.in_flight():
        for outcome in pool.wait(timeout=60):
            assert outcome.task_id not in outcomes, "one outcome per task"
            outcomes[outcome.task_id] = outcome
        assert time.monotonic() < end
    return outcomes


def until_in_flight(pool: WorkerPool, count: int) -> None:
    end = time.monotonic() + 30
    while len(pool.in_flight()) < count:
        assert pool.wait(timeout=0.05) == []
        assert time.monotonic() < end


def gone(pid: int) -> bool:
    """Tell whether a process has ended: a zombie, once its last thread has closed its files."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(threads) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def until_gone(pid: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not gone(pid):
        assert time.monotonic() < end, f"process {pid} still runs"
        time.sleep(0.01)


def test_a_task_comes_back_with_its_pid_and_time(pool: WorkerPool) -> None:
    asked = task("ok")
    pool.submit(asked)

    (outcome,) = all_outcomes(pool).values()

    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "did ok"
    assert outcome.pid in pool.pids()
    assert 0 < outcome.wall_time_seconds < 5


def test_good_and_bad_tasks_all_come_back_and_the_pool_goes_on(pool: WorkerPool) -> None:
    names = ["ok", "signal:9", "ok", "segfault", "exit:3", "raise", "memory", "starve", "ok"]
    tasks = [task(name) for name in names]
    for asked in tasks:
        pool.submit(asked)

    outcomes = all_outcomes(pool)

    ended = [outcomes[asked.id] for asked in tasks]
    assert [type(outcome).__name__ for outcome in ended] == [
        *("Failed", "Lost", "Failed", "Lost", "Lost", "Failed", "Failed", "Failed", "Failed"),
    ]
    killed, crashed, exited = ended[1], ended[3], ended[4]
    assert isinstance(killed, Lost)
    assert isinstance(crashed, Lost)
    assert isinstance(exited, Lost)
    assert killed.signal_name == "SIGKILL"
    assert (killed.failure.error_type, killed.failure.error_code) == (
        "compute_lost",
        "WORKER_SIGKILL",
    )
    assert crashed.signal_name == "SIGSEGV"
    assert "Segmentation fault" in crashed.stderr_log
    assert exited.reason == "the worker exited with status 3"
    types = [o.failure.error_type for o in ended[5:8] if isinstance(o, Failed)]
    assert types == ["input_error", "resource_error", "resource_error"]


def test_a_hung_worker_is_killed_at_the_timeout_and_replaced(pool: WorkerPool) -> None:
    hung, good = task("ignore-signals", timeout_s=0.3), task("ok")
    pool.submit(hung)
    until_in_flight(pool, 1)
    before = set(pool.pids())

    outcomes = all_outcomes(pool)  # of one that would never end

    outcome = outcomes[hung.id]
    assert isinstance(outcome, Failed)
    assert outcome.failure.error_type == "timeout"
    assert outcome.failure.message == "killed after 0.3 s"
    assert outcome.wall_time_seconds >= 0.3
    until_gone(outcome.pid, 30)
    assert len(set(pool.pids()) - before) == 1
    pool.submit(good)
    assert good.id in all_outcomes(pool)


def test_a_worker_killed_from_outside_loses_only_its_own_task(pool: WorkerPool) -> None:
    tasks = [task("sleep:4") for _ in range(2)]
    for asked in tasks:
        pool.submit(asked)
    until_in_flight(pool, 2)
    os.kill(pool.pids()[0], signal.SIGKILL)

    outcomes = all_outcomes(pool).values()

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Failed", "Lost"]


def test_a_worker_that_dies_idle_costs_no_task(pool: WorkerPool) -> None:
    pool.submit(task("ok"))
    all_outcomes(pool)
    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)
        until_gone(pid, 30)
    tasks = [task("ok") for _ in range(4)]
    for asked in tasks:
        pool.submit(asked)

    outcomes = all_outcomes(pool)

    assert all(isinstance(outcomes[asked.id], Failed) for asked in tasks)


def test_workers_ignore_ctrl_c(pool: WorkerPool) -> None:
    pool.submit(task("sleep:0.5"))
    until_in_flight(pool, 1)
    for pid in pool.pids():
        os.kill(pid, signal.SIGINT)

    (outcome,) = all_outcomes(pool).values()

    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "did sleep:0.5"


def test_kill_all_returns_at_once_with_what_was_in_flight() -> None:
    pool = WorkerPool(2, function=MISBEHAVE)
    tasks = [task("ignore-signals") for _ in range(5)]
    for asked in tasks:
        pool.submit(asked)
    until_in_flight(pool, 2)
    pids = pool.pids()

    outcomes = pool.kill_all()  # of tasks that would never end

    assert {outcome.task_id for outcome in outcomes} == {asked.id for asked in tasks[:2]}
    assert all(isinstance(outcome, Lost) for outcome in outcomes)
    assert all(gone(pid) for pid in pids)
    assert pool.kill_all() == []
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(task("ok"))


def test_processes_that_take_a_while_to_die_leave_no_zombies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On busy cores, half a second after its SIGKILL a process may still be there."""
    really = subprocess.Popen.wait

    def wait(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout is not None and timeout < 2:
            raise subprocess.TimeoutExpired(process.args, timeout)
        return really(process, timeout)

    pool = WorkerPool(2, function=MISBEHAVE)
    pids = pool.pids()
    pool.submit(task("ignore-signals", timeout_s=0.2))
    all_outcomes(pool)  # one is replaced
    pids += pool.pids()
    monkeypatch.setattr(subprocess.Popen, "wait", wait)

    pool.kill_all()

    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "reaped, not only dead"


def test_kill_all_keeps_a_result_that_had_arrived(pool: WorkerPool) -> None:
    pool.submit(task("sleep:0.2"))
    until_in_flight(pool, 1)
    time.sleep(0.6)

    (outcome,) = pool.kill_all()

    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "did sleep:0.2"


def test_workers_are_recycled_and_no_task_is_lost_by_it() -> None:
    with WorkerPool(1, function=MISBEHAVE, recycle_after=2) as pool:
        for _ in range(5):
            pool.submit(task("ok"))
        outcomes = all_outcomes(pool)

        assert len({outcome.pid for outcome in outcomes.values()}) == 3
        for pid in {outcome.pid for outcome in outcomes.values()} - set(pool.pids()):
            until_gone(pid, 30)


def test_an_idle_pool_uses_no_cpu(pool: WorkerPool) -> None:
    pool.submit(task("sleep:1.5"))
    until_in_flight(pool, 1)
    before = time.process_time()

    all_outcomes(pool)

    assert time.process_time() - before < 0.1
    assert pool.wait() == [], "nothing is left to wait for"


def test_stderr_belongs_to_the_task_that_wrote_it() -> None:
    with WorkerPool(1, function=MISBEHAVE) as pool:
        loud, quiet = task("complain"), task("ok")
        pool.submit(loud)
        pool.submit(quiet)
        outcomes = all_outcomes(pool)

    assert outcomes[loud.id].stderr_log == "a complaint\n"
    assert outcomes[quiet.id].stderr_log == ""


def test_workers_that_cannot_start_say_why() -> None:
    with WorkerPool(2, function="no_such_module:run") as pool:
        pool.submit(task("ok"))

        with pytest.raises(WorkerStartError, match="No module named 'no_such_module'"):
            all_outcomes(pool)


def test_workers_die_with_their_parent() -> None:
    script = textwrap.dedent(
        f"""
        import sys, time, uuid
        sys.path.insert(0, {str(HERE)!r})
        from quantum_forge.runner.engines.tasks import Task
        from quantum_forge.runner.workers.pool import WorkerPool
        pool = WorkerPool(2, function={MISBEHAVE!r})
        for _ in range(2):
            pool.submit(Task(id=uuid.uuid4(), smiles="ignore-signals"))
        while len(pool.in_flight()) < 2:
            pool.wait(timeout=0.05)
        print(*pool.pids(), flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()

    with contextlib.suppress(ProcessLookupError):
        for pid in pids:
            until_gone(pid, 30)


def test_real_chemistry_completes_is_invalidated_or_fails_by_its_type() -> None:
    hydrogen = Geometry((1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74)))
    water = Task(id=uuid4(), smiles="O", timeout_s=60)
    impossible = Task(id=uuid4(), smiles="[H][H]", geometry=hydrogen, charge=5)
    unknown = Task(id=uuid4(), smiles="O", solvent="beer")
    with WorkerPool(2) as pool:
        for asked in (water, impossible, unknown):
            pool.submit(asked)
        outcomes = all_outcomes(pool)

    completed = outcomes[water.id]
    assert isinstance(completed, Completed)
    assert isinstance(completed.result, Result)
    assert completed.result.energy == pytest.approx(-5.07, abs=0.01)
    assert completed.geometry.numbers == (8, 1, 1)
    invalidated = outcomes[impossible.id]
    assert isinstance(invalidated, Invalidated)
    assert invalidated.reason == "-3 electrons at charge +5"
    failed = outcomes[unknown.id]
    assert isinstance(failed, Failed)
    assert failed.failure.error_code == "UNKNOWN_SOLVENT"
