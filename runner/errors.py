"""Errors of the runner: unreadable files, impossible molecules, an engine that gave up."""

from pathlib import Path

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import QuantumForgeError


class RunnerError(QuantumForgeError):
    """Base of all errors of the runner."""


class InputFileError(RunnerError):
    """A file of molecules cannot be used at all; `path` and `reason` say which and why."""

    exit_status = 2

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class InputError(RunnerError):
    """One molecule cannot be calculated as it was given; a retry would fail again.

    `reason` is for a chemist, `code` for a program.
    """

    exit_status = 2

    def __init__(self, reason: str, *, code: str = "BAD_INPUT") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class NoConformerError(InputError):
    """RDKit found no three-dimensional structure for a SMILES."""

    def __init__(self, smiles: str, reason: str) -> None:
        super().__init__(
            f"no conformer: {reason} ({smiles}); give coordinates in an .sdf or .xyz file",
            code="NO_CONFORMER",
        )
        self.smiles = smiles


class EngineError(RunnerError):
    """The engine ended a calculation with an error of its own.

    `stdout_log` is what it printed until then, `scf_iterations` how many SCF cycles it had done.
    """

    def __init__(self, reason: str, *, stdout_log: str, scf_iterations: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stdout_log = stdout_log
        self.scf_iterations = scf_iterations


class ProgramMissing(RunnerError):
    """A program that was asked for is not installed, or does not start."""

    exit_status = 2

    def __init__(self, program: str, detail: str = "") -> None:
        super().__init__(
            f"{program} is not installed or not in the PATH"
            + (f" ({detail})" if detail else "")
            + f": apt-get install {program}, or conda install -c conda-forge {program}; "
            "or leave out --engine"
        )
        self.program = program


class WorkerStartError(RunnerError):
    """Worker processes die before they can take a task, again and again."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the worker processes do not start: {reason}; "
            "try `pip install 'quantum-forge[xtb]'` in this environment"
        )
        self.reason = reason


class CampaignInterrupted(RunnerError):
    """Somebody stopped a run; what was in flight is recorded as lost. `signal` is what did it."""

    def __init__(self, done: int, total: int, *, signal: int) -> None:
        super().__init__(
            f"stopped after {done} of {total} inputs; run the same command again to continue"
        )
        self.done = done
        self.total = total
        self.signal = signal
        self.exit_status = 128 + signal


class DatabaseStayedAway(RunnerError):
    """The database went away during a run, and was not back in time."""

    exit_status = 2

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(
            f"the database has been unreachable for {seconds:.0f} s ({reason}); run the same "
            "command again when it is back"
        )
        self.seconds = seconds
        self.reason = reason


class ResultsInSpool(RunnerError):
    """A run did all its work, and the database has not taken all of it yet."""

    exit_status = 2

    def __init__(self, events: int) -> None:
        super().__init__(
            f"everything is computed, and the spool has {counted(events, 'event')}, because the "
            "database is unreachable; when it is back: qforge spool drain, or the same command "
            "again"
        )
        self.events = events


class ImportInterrupted(RunnerError):
    """Somebody stopped an import; `folders` were accounted for until then."""

    def __init__(self, folders: int, *, signal: int) -> None:
        super().__init__(
            f"stopped after {counted(folders, 'folder')}; run the same command again to continue, "
            "nothing is imported twice"
        )
        self.folders = folders
        self.signal = signal
        self.exit_status = 128 + signal


class ImportStopped(RunnerError):
    """The database went away during an import; `folders` were accounted for until then."""

    exit_status = 2

    def __init__(self, folders: int, reason: str) -> None:
        super().__init__(
            f"the database stopped accepting events after {counted(folders, 'folder')} "
            f"({reason}); run the same command again when it is back, nothing is imported twice"
        )
        self.folders = folders
        self.reason = reason


class EngineMissing(QuantumForgeError):
    """RDKit or tblite is not installed, or not usable."""

    exit_status = 2

    def __init__(self, error: ImportError) -> None:
        what = (
            f"{error.name} is not installed"
            if isinstance(error, ModuleNotFoundError)
            else f"{error.name or 'a library'} cannot be loaded ({error})"
        )
        super().__init__(f"{what}: pip install 'quantum-forge[xtb]'")
