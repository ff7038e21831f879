"""What the processes of an import run in its tests in place of the usual."""

import os
import signal

from runner.jobs import worker
from runner.jobs.worker import Chunk, ChunkDone

FATAL = "fatal"
"""A folder of this name ends the process that opens it, as a fault in a library would."""


def import_unless_fatal(chunk: Chunk) -> ChunkDone:
    """Import, but die at a folder that is fatal."""
    if any(folder.name == FATAL for folder in chunk.folders):
        os.kill(os.getpid(), signal.SIGSEGV)
    return worker.import_chunk(chunk)
