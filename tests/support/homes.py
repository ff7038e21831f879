"""Where the servers of tests keep their data: in memory, where there is room for it."""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes that must be free there: several servers run at once, each with its own log."""


def new_home(prefix: str) -> Path:
    """Make a directory for a server of tests, which the caller removes.

    A database takes four times as long to make on a disk, and nobody misses it after the test.
    What is killed keeps what it has written, as on a disk; a loss of power is not tried.
    """
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if usable else None))
