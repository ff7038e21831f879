"""What the workers of the pool's tests run in place of chemistry; the task's SMILES says which."""

import ctypes
import os
import resource
import signal
import sys
import time

from quantum_forge.datasets.formats.mol_blocks import Structure
from quantum_forge.runner.campaign.identification import Unidentified, identify_record
from quantum_forge.runner.campaign.triage import Identified
from quantum_forge.runner.engines.failures import classify, timed_out
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.tasks import Completed, Failed, Outcome, Task
from quantum_forge.runner.errors import EngineError, InputError
from quantum_forge.runner.inputs.files import interpret
from quantum_forge.runner.molecules.geometry import Geometry


def misbehave(task: Task) -> Outcome:
    """Do what `task.smiles` says: `ok`, `sleep:5`, `signal:9`, `exit:3`, `segfault`, `raise`, …."""
    what, _, argument = (task.smiles or "").partition(":")
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
    elif what == "limit":
        raise InputError(f"the limit is {memory_limit()}")
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


def hydrogen_but_for_methane(task: Task) -> Outcome:
    """Take for ever over methane, and give hydrogen's result for everything else."""
    if task.smiles == "C":
        time.sleep(600)
    return hydrogen(task)


def nothing_converges(task: Task) -> Outcome:
    """Fail at everything, as a calculation that does not converge."""
    failure = classify(EngineError("SCF not converged", stdout_log="", scf_iterations=250))
    return Failed(task_id=task.id, failure=failure)


def nothing_is_in_time(task: Task) -> Outcome:
    """Fail at everything, as a calculation that takes too long."""
    return Failed(task_id=task.id, failure=timed_out(task.timeout_s or 0.0))


def hydrogen(task: Task) -> Outcome:
    """Give hydrogen's result, whatever was asked for, at the geometry that was given."""
    bond = Geometry((1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74)))
    geometry = task.geometry or bond
    result = Result(
        method=task.method,
        solvent=task.solvent,
        charge=task.charge,
        multiplicity=task.multiplicity,
        energy=-1.0,
        homo=-16.0,
        lumo=4.0,
        gap=20.0,
        dipole=0.0,
        charges=(0.0,) * len(geometry),
        gradient=((0.0, 0.0, 0.0),) * len(geometry),
        gradient_norm=0.0,
        electron_count=2.0,
        orbital_count=2,
        scf_iterations=5,
        is_converged=True,
        wall_time_seconds=0.01,
        cpu_time_seconds=0.01,
        memory_peak_mb=1.0,
        program="tblite",
        program_version="0.0",
        stdout_log="",
    )
    return Completed(task_id=task.id, result=result, geometry=geometry)


def never_ends(item: object) -> object:
    """Take for ever over an item of a portion, whatever it is."""
    time.sleep(600)
    return item


def crashes_or_hangs(structure: Structure) -> str:
    """Crash for the title `crash`, take for ever for `hang`, and write the title otherwise."""
    if structure.title == "crash":
        ctypes.string_at(0)
    if structure.title == "hang":
        time.sleep(600)
    return structure.title


def memory_limit(_: object = None) -> str:
    """Return the limit of the process's address space in bytes; -1 for none."""
    return str(resource.getrlimit(resource.RLIMIT_AS)[0])


def echo(item: str) -> str:
    """Return the item, unless it says `crash`, `hang`, `slow`, `memory` or `raise`."""
    if item == "crash":
        ctypes.string_at(0)
    elif item == "hang":
        time.sleep(600)
    elif item == "slow":
        time.sleep(1.0)
    elif item == "memory":
        bytearray(3 * 2**30)
    elif item == "raise":
        raise InputError("the item said so")
    return item


def identify_but_for_poison(item: Unidentified) -> Identified:
    """Identify a record as campaigns do; crash over the name `crash`, hang over `hang`."""
    name = interpret(item.record).name or ""
    echo(name)
    return identify_record(item)
