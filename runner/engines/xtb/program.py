"""Runs of the xtb executable, each in a fresh folder.

The child belongs to the process group of the worker that runs it, which a pool ends as a whole when
the time is over; where the worker itself is killed, the kernel ends the child with it.
"""

import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from quantum_forge.runner.engines.methods import XTB, require_known
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.engines.solvents import name_in_xtb
from quantum_forge.runner.engines.xtb.axes import Turned
from quantum_forge.runner.engines.xtb.printout import Printout
from quantum_forge.runner.engines.xtb.reading import XtbRun, read_run, result_of
from quantum_forge.runner.errors import EngineError, ProgramMissing
from quantum_forge.runner.molecules.closeness import refuse_close_atoms
from quantum_forge.runner.molecules.geometry import Geometry

EXECUTABLE = "xtb"
_METHOD_NUMBERS = {"GFN2-xTB": "2", "GFN1-xTB": "1"}
_FOLDER = "qforge-xtb-"
_VARIABLES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "XTBPATH", "XTBHOME"),
        *("CONDA_PREFIX", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"),
    )
)
_PREFIXES = ("LC_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_")
_PR_SET_PDEATHSIG = 1  # prctl(2)
_VERSION = re.compile(r"xtb version\s+(\S+)")


def run(
    geometry: Geometry,
    *,
    charge: int = 0,
    multiplicity: int = 1,
    method: str = "GFN2-xTB",
    solvent: str | None = None,
    optimization_level: str | None = None,
) -> tuple[Result, Geometry]:
    """Return the result of xtb, and the geometry that it belongs to: the optimised one, if asked.

    Energies and charges are what xtb wrote. It calculates in another orientation, in which its
    gradient is right (`axes`); gradient and optimised geometry are rotated back. The times and the
    memory are those of the child, as the kernel counted them. An optimisation that did not converge
    is returned as such.

    Raises:
        ProgramMissing: when it is not installed.
        InputError: for a method or level that it does not have.
        EngineError: when it gave up, in its own words.
    """
    require_known(method, solvent, engine=XTB, optimization_level=optimization_level)
    refuse_close_atoms(geometry)
    words = [
        *(_executable(), "molecule.xyz", "--json", "--gfn", _METHOD_NUMBERS[method]),
        *("--chrg", str(charge), "--uhf", str(multiplicity - 1)),
        *(() if solvent is None else ("--alpb", name_in_xtb(solvent))),
        # The last decides what is done: --opt after --grad would be ignored.
        *(() if optimization_level is None else ("--opt", optimization_level)),
        "--grad",
    ]
    turned = Turned(geometry)
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as name:
        folder = Path(name)
        (folder / "molecule.xyz").write_text(turned.geometry.xyz_text())
        began = time.perf_counter()
        status, usage = _run_in(folder, words)
        wall = time.perf_counter() - began
        found = read_run(
            stdout=_left(folder, "xtb.out"),
            stderr=_left(folder, "xtb.err"),
            dump=_left(folder, "xtbout.json"),
            charges=_left(folder, "charges"),
            gradient=_left(folder, "gradient"),
            optimised=_left(folder, "xtbopt.xyz"),
        )
    if status != 0 and found.failure is None:
        raise _gave_up(found, status)
    optimised = found.printout is not None and found.printout.is_optimised is not None
    if optimization_level is not None and not optimised and len(geometry) > 1 and not found.failure:
        raise _gave_up(found, status, "xtb did not optimise the geometry, although --opt was given")
    final = geometry
    if found.optimised is not None:
        final = replace(geometry, positions=turned.back(found.optimised.geometry.positions))
    result = result_of(
        found, final, charge=charge, multiplicity=multiplicity, method=method, solvent=solvent
    )
    if result.gradient is not None:
        result = replace(result, gradient=turned.back(result.gradient))
    # The kernel counts kilobytes on Linux, bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return (
        replace(
            result,
            wall_time_seconds=wall,
            cpu_time_seconds=usage.ru_utime + usage.ru_stime,
            memory_peak_mb=usage.ru_maxrss / unit,
        ),
        final,
    )


def environment() -> dict[str, str]:
    """Return the variables that xtb and the loader need: passwords and keys are not among them."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _VARIABLES or name.startswith(_PREFIXES)
    }


def version() -> str:
    """Return the version of the installed xtb, as `6.5.1`; ProgramMissing when there is none."""
    return _version(_executable())


def _left(folder: Path, name: str) -> bytes | None:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        return None


def _executable() -> str:
    found = shutil.which(EXECUTABLE)
    if found is None:
        raise ProgramMissing(EXECUTABLE)
    return found


@cache
def _version(executable: str) -> str:
    try:
        said = subprocess.run(
            [executable, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramMissing(EXECUTABLE, str(error)) from error
    found = _VERSION.search(said.stdout + said.stderr)
    if found is None:
        raise ProgramMissing(EXECUTABLE, f"{executable} --version does not say what it is")
    return found[1]


def _run_in(folder: Path, words: list[str]) -> tuple[int, resource.struct_rusage]:
    """Run a command to its end, whatever that is; return its exit status and what it used."""
    with (folder / "xtb.out").open("wb") as out, (folder / "xtb.err").open("wb") as err:
        child = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment() | {"OMP_STACKSIZE": "1G"},
            # A worker has one thread.
            preexec_fn=_prepared,  # noqa: PLW1509
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage


def _prepared() -> None:
    """In the child, before it becomes xtb: end with the worker; have stack for large molecules."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _gave_up(found: XtbRun, status: int, reason: str = "") -> EngineError:
    printout = found.printout or Printout()
    if reason:
        pass
    elif status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        reason = f"xtb ended by {name}"
        if name == "SIGKILL":
            reason += ": by a user, or by the kernel for lack of memory"
    else:
        words = [line.strip() for line in found.stderr_log.splitlines() if line.strip()]
        reason = f"xtb exited with status {status}" + (f": {words[-1][:300]}" if words else "")
    return EngineError(
        reason, stdout_log=found.stdout_log, scf_iterations=printout.scf_iterations or 0
    )


@cache
def _sweep() -> None:
    """Remove, once, the folders of workers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
