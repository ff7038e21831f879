"""What the workers of the pool's tests run in place of chemistry; the task's SMILES says which."""

import ctypes
import os
import signal
import sys
import time

from runner.errors import EngineError, InputError
from runner.failures import classify
from runner.tasks import Failed, Outcome, Task


def misbehave(task: Task) -> Outcome:
    """Do what `task.smiles` says: `ok`, `sleep:5`, `signal:9`, `exit:3`, `segfault`, `raise`, …."""
    what, _, argument = task.smiles.partition(":")
    if what == "sleep":
        time.sleep(float(argument))
    elif what == "signal":
        os.kill(os.getpid(), int(argument))
        time.sleep(60)
    elif what == "ignore-signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(60)
    elif what == "segfault":
        ctypes.string_at(0)
    elif what == "exit":
        os._exit(int(argument))
    elif what == "starve":
        os.write(2, b"Error allocating 1234567890 bytes\nError termination.\n")
        os._exit(1)
    elif what == "memory":
        bytearray(1 << 62)
    elif what == "raise":
        raise InputError("the task said so")
    elif what == "complain":
        print("a complaint", file=sys.stderr, flush=True)
    # A good end: recognisable, and without the cost of a real result.
    return Failed(task_id=task.id, failure=classify(InputError(f"did {task.smiles}")))


def methane_hangs(task: Task) -> Outcome:
    """Take for ever over methane, and fail at once, as input, at everything else."""
    if task.smiles == "C":
        time.sleep(600)
    return Failed(task_id=task.id, failure=classify(InputError(f"refused {task.smiles}")))


def nothing_converges(task: Task) -> Outcome:
    """Fail at everything, as a calculation that does not converge."""
    failure = classify(EngineError("SCF not converged", stdout_log="", scf_iterations=250))
    return Failed(task_id=task.id, failure=failure)
