"""The directory of the spool: its entries, opened and written so that they survive a power loss."""

import errno
import os
import re
import stat
from pathlib import Path

from quantum_forge.eventstore.base.errors import SpoolEntryUnusable, SpoolUnwritable
from quantum_forge.eventstore.base.ownership import is_trusted
from quantum_forge.eventstore.base.whole_file import TargetUnwritable, write_whole

SUFFIX = ".spool"
NO_SEGMENT = "it is not a segment: move it out of the spool"


def spool_directory(home: Path) -> Path:
    """Where the segments of a QFORGE_HOME are."""
    return home / "spool"


def served_spool_directory(home: Path, url: str) -> Path:
    """Where the segments for a store are that is reached by HTTPS.

    Each store has its own, so that what was recorded for one never gets into the log of another.
    """
    address = re.sub(r"[^a-z0-9.-]+", "_", url.lower().partition("://")[2])
    return home / "spools" / address


def segment_paths(directory: Path) -> list[Path]:
    """Every segment, oldest first, and whatever else has the name of one.

    Raises:
        SpoolEntryUnusable: when the directory cannot be read.
    """
    return [path for path in spool_files(directory) if path.suffix == SUFFIX]


def spool_files(directory: Path) -> list[Path]:
    """Everything in a spool, in the order of the names; nothing where there is none.

    Raises:
        SpoolEntryUnusable: when the directory cannot be read.
    """
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        advice = "set QFORGE_HOME to a directory"
        raise SpoolEntryUnusable(directory, "it is below a file, or a file", advice) from error
    except OSError as error:
        raise unusable(directory, error) from error


def unusable(path: Path, error: OSError) -> SpoolEntryUnusable:
    """What the operating system refused, as an error that says what to do."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            try:
                whose = f"user {path.lstat().st_uid}"
            except OSError:
                whose = "another user"
            advice = f"run the command as its owner ({whose}), or as root"
        case errno.ELOOP:
            return SpoolEntryUnusable(path, "it is a symbolic link", NO_SEGMENT)
        case errno.EISDIR | errno.ENXIO | errno.ENOTDIR:
            return SpoolEntryUnusable(path, "it is not a regular file", NO_SEGMENT)
        case _:
            advice = "check the file system, then repeat the command"
    return SpoolEntryUnusable(path, error.strerror or str(error), advice)


def open_file(path: Path, flags: int) -> int:
    """Open an entry of the spool, which must be a regular file; return its descriptor.

    Raises:
        FileNotFoundError: when it is gone.
        SpoolEntryUnusable: when it cannot be opened, is something else, or is of another user.
    """
    try:
        # Not blocking: a named pipe would wait for a process at its other end.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unusable(path, error) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise SpoolEntryUnusable(path, "it is not a regular file", NO_SEGMENT)
    if not is_trusted(facts.st_uid, path):
        os.close(descriptor)
        advice = "run the command as its owner, or move it out of the spool"
        raise SpoolEntryUnusable(path, f"it belongs to user {facts.st_uid}", advice)
    return descriptor


def write_durably(path: Path, content: bytes) -> None:
    """Make a file that has, after whatever crash, all of its content or does not exist.

    Raises:
        SpoolUnwritable: when it cannot be made.
    """
    try:
        write_whole(path, content, replace=True)
    except TargetUnwritable as error:
        raise SpoolUnwritable(path, error.reason, "what a drain found") from error
