"""What the processes of an import run in its tests in place of the usual."""

import os
import signal
import time

from quantum_forge.runner.jobs import worker
from quantum_forge.runner.jobs.worker import Chunk, ChunkDone

FATAL = "fatal"
"""A folder of this name ends the process that opens it, as a fault in a library would."""

ENDLESS = "endless"
"""A folder of this name is never read to its end, as a search without a bound would not be."""


def import_unless_fatal(chunk: Chunk) -> ChunkDone:
    """Import, but die at a folder that is fatal, and stay at one that is endless."""
    if any(folder.name == FATAL for folder in chunk.folders):
        os.kill(os.getpid(), signal.SIGSEGV)
    if any(folder.name == ENDLESS for folder in chunk.folders):
        time.sleep(600)
    return worker.import_chunk(chunk)
