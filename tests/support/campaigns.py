"""Files of molecules, runs over them that can be disturbed, and what they leave behind."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rdkit import RDConfig
from sqlalchemy import Engine, select

from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.runner.campaign.campaign import Campaign
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.tally import Tally
from quantum_forge.runner.inputs.files import MoleculeFile
from quantum_forge.runner.workers.liveness import identity
from quantum_forge.schema.tables import event_logs
from tests.conftest import OTHERS_VARIABLES

NCI = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"

BAD_LINES = (2098, 2898, 3227)
"""Lines of NCI that RDKit refuses."""

OTHER_BAD = (
    "nonsense not-a-smiles",
    "[H+] proton",
    "[Si][Si][Uuo] no-such-element",
    "[H-3] too-many-electrons",
)


def nci(count: int) -> list[str]:
    """The first lines of NCI."""
    return NCI.read_text().splitlines()[:count]


def nci_with_bad_ones() -> list[str]:
    """60 good lines, 3 that RDKit refuses, 4 impossible ones, and 2 that repeat others."""
    lines = NCI.read_text().splitlines()
    bad = [lines[number - 1] for number in BAD_LINES]
    return [*lines[:30], *bad, *OTHER_BAD, lines[4], *lines[30:60], OTHER_BAD[0]]


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write lines to a file."""
    path.write_text("\n".join(lines) + "\n")
    return path


class Running:
    """A `qforge` in a process group of its own, as a terminal would start it."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(OTHERS_VARIABLES)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quantum_forge.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env={
                **kept,
                "QFORGE_HOME": str(directory / "home"),
                "QFORGE_SERVER_LINGER": "0",
                **variables,
            },
            start_new_session=True,
        )

    def workers(self) -> list[int]:
        """The process ids of its children."""
        pid = self.process.pid
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def signal_group(self, number: int) -> None:
        """Send a signal to the whole group, as Ctrl-C does."""
        os.killpg(self.process.pid, number)

    def end(self, timeout: float = 60) -> tuple[int, str, str]:
        """Wait for its end; return exit status, stdout and stderr."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


@contextlib.contextmanager
def running(directory: Path, *arguments: str, **variables: str) -> Iterator[Running]:
    """Start a `qforge`, and see to it that nothing of it outlives the test."""
    started = Running(directory, *arguments, **variables)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                started.signal_group(signal.SIGKILL)
        started.process.communicate()


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)


def campaign(
    engine: Engine,
    file: Path,
    *,
    function: str,
    on_input: Callable[[bool], None] = lambda _: None,
    **settings: Any,
) -> Tally:
    """Run a file in this process, with a function in place of chemistry."""
    recorder = Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID, more=identity()))
    return Campaign(
        recorder,
        Plan(batch=file.stem, **settings),
        MoleculeFile(file),
        jobs=2,
        function=function,
        on_input=on_input,
    ).run()


def counted(engine: Engine) -> Counter[str]:
    """How many events of each type the log has."""
    with engine.connect() as connection:
        return Counter(connection.scalars(select(event_logs.c.event_type)))


def completed_more_than(engine: Engine, number: int) -> Callable[[], bool]:
    """Whether more than so many calculations have completed by now."""
    return lambda: counted(engine)["calculation_completed"] > number


def rows(engine: Engine, table: str, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a read model that is up to date, or some of its columns, in order of its key."""
    catch_up(engine, PROJECTIONS.values())
    projection = PROJECTIONS[table]
    every = projection.table
    chosen = [every.c[name] for name in columns] or list(every.c)
    query = select(*chosen).order_by(*(every.c[name] for name in projection.key))
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


CALCULATION = (
    *("id", "molecule_id", "status", "method", "solvation_model", "charge", "multiplicity"),
    *("energy", "homo", "lumo", "gap", "dipole", "xyz_sha256", "error_type", "error_message"),
)
ATOM = (
    *("calculation_id", "atom_index", "element", "partial_charge"),
    *("position_x", "position_y", "position_z", "force_x", "force_y", "force_z"),
)
MOLECULE = ("id", "smiles", "name", "formula", "inchikey", "charge", "multiplicity")


def chemistry(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """What must be the same however often a run was disturbed."""
    return {
        "molecules": rows(engine, "molecules", MOLECULE),
        "calculations": rows(engine, "calculations", CALCULATION),
        "atomic_properties": rows(engine, "atomic_properties", ATOM),
        "batch_items": rows(
            engine, "batch_items", ("batch_id", "molecule_id", "calculation_id", "status")
        ),
        "batch_jobs": rows(
            engine, "batch_jobs", ("id", "status", "successful_count", "failed_count")
        ),
    }


def statuses(engine: Engine) -> Counter[str]:
    """How many calculations have each status."""
    return Counter(row["status"] for row in rows(engine, "calculations", ["status"]))


def different(
    found: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> list[tuple[object, object]]:
    """The values that differ between two tables, with their column, for a readable failure."""
    nothing: dict[str, Any] = {}
    pairs = itertools.zip_longest(found, expected, fillvalue=nothing)
    return [
        ({name: one.get(name)}, {name: other.get(name)})
        for one, other in pairs
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    ]
