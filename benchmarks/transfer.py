"""Data in and out: importing job folders, exporting training sets, backing up and restoring."""

import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.leaving import export_parquet, restore
from benchmarks.measure import Comparison, compare, say
from benchmarks.server import BenchmarkServer
from benchmarks.workload import TENANT, USER
from quantum_forge.runner.jobs.importing import CHUNK, import_jobs
from quantum_forge.runner.jobs.outcome import FolderOutcome
from quantum_forge.runner.jobs.reading.folders import Folder, discover
from quantum_forge.runner.jobs.worker import Target
from tests.support.job_folders import write_job_folders

PROCESSES = 2


class Extent(msgspec.Struct, frozen=True):
    """How much is transferred: job folders, of which all are good; calculations; rounds."""

    folders: int
    calculations: int
    rounds: int


FULL = Extent(folders=10_000, calculations=40_000, rounds=5)
QUICK = Extent(folders=1_500, calculations=4_000, rounds=3)


def measure(server: BenchmarkServer, extent: Extent) -> tuple[list[Comparison], dict[str, Any]]:
    """Every comparison of data in and out."""
    return [
        _import(server, extent),
        export_parquet(server, extent.calculations, extent.rounds),
        restore(server, extent.calculations, extent.rounds),
    ], {}


def _import(server: BenchmarkServer, extent: Extent) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="qforge-bench-jobs-") as name:
        directory = Path(name)
        write_job_folders(directory, extent.folders, faults=0)
        say(f"{extent.folders:,} job folders are written")
        folders = [each for each in discover(directory) if isinstance(each, Folder)]
        chunks = [folders[start : start + CHUNK] for start in range(0, len(folders), CHUNK)]
        with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:

            def read() -> float:
                began = time.perf_counter()
                done = sum(pool.imap_unordered(_read_and_decode, chunks))
                return done / (time.perf_counter() - began)

            def ours() -> float:
                return _imported(server, directory, len(folders))

            read()  # the files are in memory from now on
            return compare(
                "import",
                unit="folders/s",
                target=0.25,
                ours=ours,
                reference=read,
                rounds=extent.rounds,
            )


def _imported(server: BenchmarkServer, directory: Path, expected: int) -> float:
    """Folders a second into a new database, from when the first chunk is done: then all run."""
    moments: list[float] = []

    def account(_: FolderOutcome) -> None:
        moments.append(time.perf_counter())

    with server.database() as url:
        target = Target(url.render_as_string(hide_password=False), TENANT, USER)
        done = import_jobs(target, directory, jobs=PROCESSES, on_folder=account)
    if done.imported != expected:
        raise RuntimeError(f"{done.imported} folders were imported, not {expected}")
    return (expected - CHUNK) / (moments[-1] - moments[0])


def _read_and_decode(folders: Sequence[Folder]) -> int:
    """The same files read, and JSON decoded, as a few lines of Python do it; nothing else."""
    for folder in folders:
        for name in folder.files:
            with open(f"{folder.path}/{name}", "rb") as file:  # noqa: PTH123 - a Path costs time
                data = file.read()
            if name.endswith(".json"):
                json.loads(data)
    return len(folders)
