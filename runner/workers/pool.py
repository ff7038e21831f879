"""A pool of worker processes that survives calculations that hang, crash, or are killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import IO, Self

from quantum_forge.runner.engines import failures
from quantum_forge.runner.engines.tasks import Failed, Lost, Outcome, Task
from quantum_forge.runner.errors import WorkerStartError
from quantum_forge.runner.workers.process import READY, stderr_text
from quantum_forge.schema.domains.calculations import ErrorType

# The child takes this process's import path, so that it finds what this process finds. Not
# multiprocessing: its spawn runs the user's main script again, its fork copies open connections.
_BOOT = (
    "import json, sys; "
    "given = json.loads(sys.argv[1]); "
    "sys.path[:] = given.pop('path'); "
    "from quantum_forge.runner.workers.process import main; "
    "main(**given)"
)
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
_START_LIMIT = 120.0  # s from a start to readiness: a slow disk, a cold cache
_FAILED_STARTS = 3  # in a row, of one pool
_END_LIMIT = 10.0  # s that a killed process may take: on busy cores, its memory is freed slowly


class _Worker:
    """One process, its socket, its stderr file, and the task that it has."""

    def __init__(self, function: str) -> None:
        ours, theirs = socket.socketpair()
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        given = {
            "path": sys.path,
            "descriptor": theirs.fileno(),
            "parent": os.getpid(),
            "function": function,
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(given)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                pass_fds=[theirs.fileno()],
                env=os.environ | _ONE_THREAD,
                process_group=0,  # a Ctrl-C at the terminal goes to the parent alone
            )
        self.connection = Connection(ours.detach())
        self.ready = False
        self.served = 0
        self.task: Task | None = None
        self.since = time.monotonic()
        self.deadline: float | None = self.since + _START_LIMIT

    def give(self, task: Task) -> None:
        """Send a task; raises OSError when the process is gone."""
        self.connection.send(task)
        self.task = task
        self.since = time.monotonic()
        self.deadline = None if task.timeout_s is None else self.since + task.timeout_s

    def kill(self) -> None:
        """Kill the process, and whatever program it runs, which is in the same group."""
        if self.process.poll() is None:  # after that, its number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def close(self) -> None:
        """Hang up; an idle process ends by itself."""
        self.connection.close()
        self.errors.close()

    def last_words(self) -> str:
        """Return what the process wrote to stderr during its task."""
        return stderr_text(self.errors.fileno())


class WorkerPool:
    """N processes that each run one task at a time; for one thread of the parent.

    Workers import their libraries once, run single-threaded, and are replaced when they die, when
    they are killed at a task's timeout, and after `recycle_after` tasks. A pool without work waits
    without using CPU. Every task submitted comes back from `wait` or `kill_all` as
    exactly one outcome, except those still queued at `kill_all`, which never started.

    `function` is `module:name` of a Task → Outcome that the workers import.
    """

    def __init__(
        self,
        size: int,
        *,
        function: str = "quantum_forge.runner.engines.calculation:calculate",
        recycle_after: int = 1_000,
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least one worker, not {size}")
        self._function = function
        self._recycle_after = recycle_after
        self._queue: deque[Task] = deque()
        self._outcomes: list[Outcome] = []
        self._retired: list[subprocess.Popen[bytes]] = []
        self._failed_starts = 0
        self._closed = False
        self._workers = [_Worker(function) for _ in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_all()

    def submit(self, task: Task) -> None:
        """Queue a task; it starts at once where a worker is free."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        self._queue.append(task)
        self._dispatch()

    def in_flight(self) -> list[Task]:
        """Return the tasks that workers have now."""
        return [worker.task for worker in self._workers if worker.task is not None]

    def queued(self) -> int:
        """Return how many tasks no worker has taken yet."""
        return len(self._queue)

    def pids(self) -> list[int]:
        """Return the process ids of the workers, ready or starting."""
        return [worker.process.pid for worker in self._workers]

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Return outcomes as soon as there is one; none after `timeout` s, or when all is done.

        Raises WorkerStartError when workers cannot start.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._dispatch()
            if self._outcomes or not (self._queue or self.in_flight()):
                return self._taken()
            deadlines = [w.deadline for w in self._workers if w.deadline is not None]
            until = min([*deadlines, *([] if end is None else [end])], default=None)
            pause = None if until is None else max(0.0, until - time.monotonic())
            arrived = wait([worker.connection for worker in self._workers], pause)
            for worker in [w for w in self._workers if w.connection in arrived]:
                self._receive(worker)
            self._end_late()
            self._reap()
            if end is not None and time.monotonic() >= end:
                return self._taken()

    def kill_all(self) -> list[Outcome]:
        """End the pool and its workers; return what has arrived, and Lost for what is in flight."""
        self._closed = True
        self._queue.clear()
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.kill()
        for worker in workers:
            # What it had sent is still to be read; a Ctrl-C may have cut an earlier read in two.
            with contextlib.suppress(Exception):
                while worker.task is not None and worker.connection.poll():
                    self._take(worker)
            if worker.task is not None:
                self._outcomes.append(_lost(worker.task, worker, "stopped", "STOPPED", "SIGKILL"))
            self._retire(worker)
        end = time.monotonic() + _END_LIMIT
        for process in self._retired:
            process.kill()
            # Only one in uninterruptible sleep outlives this; waiting for it gains nothing.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, end - time.monotonic()))
        self._retired.clear()
        return self._taken()

    def _taken(self) -> list[Outcome]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _dispatch(self) -> None:
        for worker in list(self._workers):
            if not self._queue:
                return
            if worker.ready and worker.task is None:
                task = self._queue.popleft()
                try:
                    worker.give(task)
                except OSError:  # it died idle; the task never started
                    self._queue.appendleft(task)
                    self._replace(worker)

    def _take(self, worker: _Worker) -> None:
        """Read one message; raises EOFError or OSError when the process is gone."""
        message = worker.connection.recv()
        if message == READY:
            worker.ready = True
            worker.deadline = None
            self._failed_starts = 0
            return
        self._outcomes.append(message)
        worker.task = None
        worker.deadline = None
        worker.served += 1

    def _receive(self, worker: _Worker) -> None:
        try:
            self._take(worker)
        except (EOFError, OSError):
            self._died(worker)
            return
        if worker.served >= self._recycle_after:
            self._retire(worker)
            self._workers[self._workers.index(worker)] = _Worker(self._function)

    def _died(self, worker: _Worker) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(timeout=_END_LIMIT)
        status = worker.process.poll()
        words = worker.last_words()
        if not worker.ready:
            self._start_failed(words, status)
        elif worker.task is not None:
            name = _signal_name(status)
            reason = _cause(status, name, words)
            code = "WORKER_DIED" if name is None else f"WORKER_{name}"
            outcome = _lost(worker.task, worker, reason, code, name)
            if outcome.failure.error_type is not ErrorType.COMPUTE_LOST:
                self._outcomes.append(
                    Failed(
                        task_id=outcome.task_id,
                        failure=outcome.failure,
                        stderr_log=words,
                        pid=outcome.pid,
                        wall_time_seconds=outcome.wall_time_seconds,
                    )
                )
            else:
                self._outcomes.append(outcome)
        self._replace(worker)

    def _start_failed(self, words: str, status: int | None) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            self.kill_all()
            raise WorkerStartError(_last_line(words) or _cause(status, _signal_name(status), ""))

    def _end_late(self) -> None:
        """Kill the workers whose task (or start) has taken too long, unless it has just ended."""
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.deadline is None or now < worker.deadline or worker.connection.poll():
                continue
            if worker.task is None:
                self._start_failed("", None)
            else:
                self._outcomes.append(
                    Failed(
                        task_id=worker.task.id,
                        failure=failures.timed_out(worker.task.timeout_s or 0.0),
                        stderr_log=worker.last_words(),
                        pid=worker.process.pid,
                        wall_time_seconds=now - worker.since,
                    )
                )
            self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        worker.kill()
        self._retire(worker)
        self._workers[self._workers.index(worker)] = _Worker(self._function)

    def _retire(self, worker: _Worker) -> None:
        """Hang up, and remember the process until it is gone."""
        worker.close()
        self._retired.append(worker.process)

    def _reap(self) -> None:
        self._retired = [process for process in self._retired if process.poll() is None]


def _lost(task: Task, worker: _Worker, reason: str, code: str, signal_name: str | None) -> Lost:
    words = worker.last_words()
    return Lost(
        task_id=task.id,
        reason=reason,
        failure=failures.lost(reason, code=code, stack_trace=words or None),
        signal_name=signal_name,
        stderr_log=words,
        pid=worker.process.pid,
        wall_time_seconds=time.monotonic() - worker.since,
    )


def _signal_name(status: int | None) -> str | None:
    if status is None or status >= 0:
        return None
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _cause(status: int | None, signal_name: str | None, words: str) -> str:
    if signal_name == "SIGKILL":
        return "the worker was killed (SIGKILL): by a user, or by the kernel for lack of memory"
    if signal_name is not None:
        return f"the worker crashed ({signal_name})"
    last = _last_line(words)
    ended = "hung up" if status is None else f"exited with status {status}"
    return f"the worker {ended}" + (f": {last}" if last else "")


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
