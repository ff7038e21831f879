"""Imports the jobs below a directory with several processes, every folder accounted for."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import cast

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.runner.engines.tasks import Failed, Invalidated, Lost, Outcome, Task
from quantum_forge.runner.errors import ImportInterrupted, ImportStopped, InputFileError
from quantum_forge.runner.jobs.outcome import FAILED, SKIPPED, FolderOutcome, Imported
from quantum_forge.runner.jobs.reading.folders import Folder, Passed, discover
from quantum_forge.runner.jobs.worker import Chunk, ChunkDone, Target, readable
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.runner.workers.stopping import ATTENTION_SECONDS, StopRequest

CHUNK = 64
"""Jobs that share a round trip to the database."""

TIMEOUT_SECONDS = 120.0
"""For a chunk, which takes a tenth of a second: neither a disk that hangs nor a search of RDKit
without end stops an import. Its folders are then imported one by one."""

FOLDER_SECONDS = 60.0
"""Seconds for a folder that is imported alone."""

MEMORY_BYTES = 4 * 2**30
"""Bytes of memory for a chunk: files of 64 MB may be ten times as large when decoded."""

AHEAD = 2
"""Chunks for each process: the one that it has, and the next."""

APART = 4
"""Number of chunks between those that two processes work on at the same time."""


def count_folders(directory: Path, limit: int | None = None) -> int:
    """Return the number of folders that `import_jobs` will account for."""
    return sum(1 for _ in _limited(discover(directory), limit))


def import_jobs(
    target: Target,
    directory: Path,
    *,
    jobs: int,
    limit: int | None = None,
    on_folder: Callable[[FolderOutcome], None] = lambda _: None,
    function: str = "quantum_forge.runner.jobs.worker:import_chunk",
) -> Imported:
    """Append what the jobs in and below a directory tell, as events with their original times.

    Each job is all or none, and again or never: run it twice, or kill it at any time and run it
    again, and the log has every job once. A job that cannot be read stops no other.

    Args:
        target: where to, and on whose behalf.
        directory: read in the order of `discover`.
        jobs: processes.
        limit: import at most so many jobs.
        on_folder: called with what became of each folder.
        function: what the processes run, as `module:name`.

    Raises:
        InputFileError: when there is no such directory.
        ImportInterrupted: on Ctrl-C or SIGTERM, after what was begun is done.
        ImportStopped: when the database goes away; what is imported stays.
    """
    require_directory(directory)
    done = Imported()

    def account(outcome: FolderOutcome) -> None:
        done.add(outcome)
        on_folder(outcome)

    source = _in_turn(_chunks(_limited(discover(directory), limit), account), jobs)
    chunks: deque[tuple[Folder, ...]] = deque()
    with (
        StopRequest() as stop,
        WorkerPool(jobs, function=function) as pool,
    ):
        given: dict[object, tuple[Folder, ...]] = {}

        def give() -> None:
            while len(given) < AHEAD * jobs and not stop:
                folders = chunks.popleft() if chunks else next(source, ())
                if not folders:
                    return
                chunk = Chunk(
                    id=uuid7(),
                    target=target,
                    folders=folders,
                    timeout_s=TIMEOUT_SECONDS if len(folders) > 1 else FOLDER_SECONDS,
                    memory_bytes=MEMORY_BYTES,
                )
                given[chunk.id] = folders
                # A pool runs any function; it looks at a task's id and timeout only.
                pool.submit(cast(Task, chunk))

        give()
        while given:
            for outcome in pool.wait(timeout=ATTENTION_SECONDS):
                folders = given.pop(outcome.task_id)
                result = cast("ChunkDone | Outcome", outcome)
                if isinstance(result, ChunkDone):
                    if result.away is not None:
                        raise ImportStopped(done.folders, result.away)
                    for each in result.outcomes:
                        account(each)
                elif len(folders) > 1:
                    # One of them ended the process: which?
                    chunks.extend((folder,) for folder in folders)
                else:
                    account(FolderOutcome(readable(folders[0].path), FAILED, reason=_why(result)))
            give()
        if stop.signal is not None:
            raise ImportInterrupted(done.folders, signal=stop.signal)
    return done


def require_directory(directory: Path) -> None:
    """Raise InputFileError unless there is such a directory."""
    if not directory.exists():
        raise InputFileError(directory, "no such directory")
    if not directory.is_dir():
        raise InputFileError(directory, "is not a directory; give the one that holds the jobs")


def _limited(found: Iterator[Folder | Passed], limit: int | None) -> Iterator[Folder | Passed]:
    left = limit
    for each in found:
        if isinstance(each, Folder) and left is not None:
            if left == 0:
                return
            left -= 1
        yield each


def _chunks(
    source: Iterator[Folder | Passed], account: Callable[[FolderOutcome], None]
) -> Iterator[tuple[Folder, ...]]:
    def folders() -> Iterator[Folder]:
        for each in source:
            if isinstance(each, Folder):
                yield each
            else:
                outcome = FAILED if each.is_error else SKIPPED
                account(FolderOutcome(readable(each.path), outcome, reason=each.reason))

    found = folders()
    while chunk := tuple(islice(found, CHUNK)):
        yield chunk


def _in_turn(chunks: Iterator[tuple[Folder, ...]], jobs: int) -> Iterator[tuple[Folder, ...]]:
    """The chunks in another order, so that processes work on neighbours one after the other.

    Neighbours share a molecule, often; who creates it at the same moment as another has to append
    its chunk again.
    """
    while some := list(islice(chunks, jobs * APART)):
        step = -(-len(some) // jobs)
        for start in range(step):
            yield from some[start::step]


def _why(outcome: Outcome) -> str:
    match outcome:
        case Failed(failure=failure) | Lost(failure=failure):
            return failure.message
        case Invalidated(reason=reason):
            return reason
    return "no outcome"
