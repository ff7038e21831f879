"""The inside of a worker process: take a task, run it, send the outcome, again and again."""

import ctypes
import faulthandler
import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, cast

from msgspec.structs import replace

from quantum_forge.runner.engines.failures import classify
from quantum_forge.runner.engines.memory import virtual_bytes
from quantum_forge.runner.engines.tasks import Failed, Outcome, Portion, PortionDone, Task

READY = "ready"

_PR_SET_PDEATHSIG = 1  # prctl(2)
_STDERR = 2
_STDERR_LIMIT = 20_000  # bytes kept of what one calculation writes to stderr


def main(descriptor: int, parent: int, function: str) -> None:
    """Serve tasks from a socket until it closes; `function` is `module:name`, Task → Outcome.

    A portion brings a function of its own.

    Ctrl-C is the parent's business and ignored. On Linux the kernel ends this process when the
    parent's thread that started it ends; elsewhere it ends by itself when the socket closes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent(parent)
    faulthandler.enable()
    # A crash is reported; a core file in the chemist's folder is not what they asked for.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run = _imported(function)
    connection = Connection(descriptor)
    connection.send(READY)
    while True:
        try:
            task = cast(Task | Portion, connection.recv())
        except (EOFError, OSError):
            return
        outcome = _outcome(run, task)
        try:
            connection.send(outcome)
        except OSError:
            return


def _outcome(run: Callable[[Task], Outcome], task: Task | Portion) -> Outcome | PortionDone:
    _forget_stderr()
    start = time.perf_counter()
    outcome: Outcome | PortionDone
    try:
        with _limited_memory(task.memory_bytes):
            outcome = _portion_done(task) if isinstance(task, Portion) else run(task)
    except Exception as error:
        outcome = Failed(task_id=task.id, failure=classify(error))
    return replace(
        outcome,
        pid=os.getpid(),
        wall_time_seconds=time.perf_counter() - start,
        stderr_log=outcome.stderr_log or stderr_text(_STDERR),
    )


def _portion_done(portion: Portion) -> PortionDone:
    run = _imported(portion.function)
    return PortionDone(task_id=portion.id, results=tuple([run(item) for item in portion.items]))


@contextmanager
def _limited_memory(more_bytes: int | None) -> Iterator[None]:
    """Let allocations fail beyond what the process has and so much more; where Linux tells that."""
    present = virtual_bytes()
    if more_bytes is None or present is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [present + more_bytes, *(each for each in (soft, hard) if each >= 0)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@cache
def _imported(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), name))


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before the line above.
    if os.getppid() != parent:
        os._exit(0)


def _forget_stderr() -> None:
    """Empty the file that the pool has put under stderr, so that each task has its own."""
    sys.stderr.flush()
    os.ftruncate(_STDERR, 0)
    os.lseek(_STDERR, 0, os.SEEK_SET)


def stderr_text(descriptor: int) -> str:
    """Return what the file under a worker's stderr holds: its last 20,000 bytes."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _STDERR_LIMIT)
    return os.pread(descriptor, _STDERR_LIMIT, start).decode(errors="replace").replace("\0", "")
