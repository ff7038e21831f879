"""The keeper of the embedded server (keeper.py), as the processes that use the server see it."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from quantum_forge.eventstore.server import keeper


def start_keeper(directory: Path, sockets: Path) -> bool:
    """Start the keeper unless it runs; return whether one runs now."""
    lock = keeper.try_lock(directory, keeper.KEEPER)
    if lock is None:
        return True
    # Root has no need of its rights here, in a directory that is another user's.
    owner = directory.stat()
    lowered = os.geteuid() == 0 and owner.st_uid != 0
    user, group = (owner.st_uid, owner.st_gid) if lowered else (None, None)
    try:
        keeper.write_lock(lock, "")
        # It forks and returns: this process need not wait for its end.
        subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                Path(keeper.__file__).absolute(),
                directory,
                sockets,
                str(lock),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            pass_fds=(lock,),
            start_new_session=True,
            check=True,
            user=user,
            group=group,
            extra_groups=() if lowered else None,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        os.close(lock)
    return True


def is_kept(directory: Path) -> bool:
    """Return whether a keeper runs."""
    lock = keeper.try_lock(directory, keeper.KEEPER)
    if lock is not None:
        os.close(lock)
    return lock is None


def stops_at(directory: Path) -> datetime | None:
    """Return when the keeper stops the server, if it has begun to wait for that."""
    if not is_kept(directory):
        return None
    try:
        at = float(keeper.read_lock(directory, keeper.KEEPER))
    except ValueError:
        return None
    return datetime.fromtimestamp(at, UTC)
