"""Directories of the embedded server, for its data and its socket, closed to other users."""

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path

from quantum_forge.eventstore.base.errors import EmbeddedServerError

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's own limit is 107 on Linux and 103 elsewhere (sun_path)."""


def make_private(directory: Path) -> None:
    """Make the directory, or see to it that an existing one is this user's and closed to others.

    Raises:
        EmbeddedServerError: when it cannot be made or written to, or belongs to another user.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(
            f"cannot have its directory {directory} ({error.strerror})",
            "set QFORGE_HOME to a place that you can write to, or set DATABASE_URL",
        ) from error
    found = directory.lstat()
    if os.geteuid() not in (0, found.st_uid) or not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerError(
            f"cannot use {directory}, which is not your directory",
            "set QFORGE_HOME to a place of your own, or set DATABASE_URL",
        )
    try:
        if stat.S_IMODE(found.st_mode) & 0o077:
            directory.chmod(0o700)
        # Of the effective user, as every file is opened.
        if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise EmbeddedServerError(
            f"cannot write to its directory {directory} ({error.strerror})",
            "set QFORGE_HOME to a place that you can write to, or set DATABASE_URL",
        ) from error


def is_private(directory: Path, like: Path) -> bool:
    """Whether a folder is there, of the owner of another one, and closed to everybody else."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == like.stat().st_uid
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def socket_directory(directory: Path, name: str) -> Path:
    """Return where a socket of this name goes: the directory itself, or a short one if it is unfit.

    The short one depends on nothing but the path and the owner, so that a cron job and a login find
    the same; $XDG_RUNTIME_DIR, which goes away at logout, would not do.

    Raises:
        EmbeddedServerError: when another user made the short one.
    """
    path = os.fsencode(directory / name)
    # libpq and the server both take a comma for the end of a directory.
    if len(path) <= LONGEST_SOCKET_PATH and b"," not in path:
        return directory
    owner = directory.stat()
    digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    short = Path(f"/tmp/qforge-{owner.st_uid}-{digest}")
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(short, owner.st_uid, owner.st_gid)
    if not is_private(short, directory):
        raise EmbeddedServerError(
            f"needs {short} for its socket, but another user created it",
            "set QFORGE_HOME to a path of fewer than 80 characters",
        )
    return short
