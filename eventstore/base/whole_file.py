"""Files that appear complete or not at all."""

import fcntl
import glob
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quantum_forge.eventstore.base.errors import QuantumForgeError


class TargetExists(QuantumForgeError):
    """There is a file already where one is to be written."""

    exit_status = 2

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} exists already: give another name, or replace it with --force")


class TargetBusy(QuantumForgeError):
    """Another process writes the same file now."""

    exit_status = 2

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} is being written by another process: wait for it, or stop it")


class TargetUnwritable(QuantumForgeError):
    """The file cannot be written where it is wanted."""

    exit_status = 2

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.reason = error.strerror or str(error)
        super().__init__(f"{path} cannot be written ({self.reason}); give another place")


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give the path to write to; it gets its own name, and is on the disk, when the block ends.

    Only its owner can read the file (mode 0600). When the block fails, what was written is gone.
    What a killed process left beside the file, as `.NAME.RANDOM.partial`, the next writer of the
    same file removes.

    Raises:
        TargetExists: unless it may be replaced.
        TargetBusy: while another process writes it.
        TargetUnwritable: when the folder is missing, full or closed, or the partial file was
            exchanged.
    """
    if path.exists() and not replace:
        raise TargetExists(path)
    with _locked_partial(path) as (partial, descriptor):
        try:
            yield partial
            os.fsync(descriptor)
            if not is_named(descriptor, partial):
                raise TargetUnwritable(path, OSError(f"{partial} is another file now"))
            partial.replace(path)
            sync_directory(path.parent)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise TargetUnwritable(path, error) from error


@contextmanager
def _locked_partial(path: Path) -> Iterator[tuple[Path, int]]:
    """Make the partial file, which is gone at the end unless it was renamed, and its descriptor.

    A lock on it shows that its writer lives. The random name and O_EXCL keep others from having
    prepared the file, or a link, under its name.
    """
    while True:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
        try:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TargetUnwritable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not is_named(descriptor, partial):
                continue  # another writer took it for a remnant before it was locked
            try:
                _remove_remnants(path, partial)
                yield partial, descriptor
            finally:
                with suppress(FileNotFoundError):
                    partial.unlink()
            return
        finally:
            os.close(descriptor)


def _remove_remnants(path: Path, own: Path) -> None:
    """Remove what killed writers of the same file left.

    Raises:
        TargetBusy: when one of them lives.
    """
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if other == own:
            continue
        try:
            descriptor = os.open(other, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # gone, a link, or of another user: nothing of ours
        try:
            known = os.fstat(descriptor)
            if not stat.S_ISREG(known.st_mode) or known.st_uid != os.geteuid():
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                other.unlink()
        except BlockingIOError:
            raise TargetBusy(path) from None
        finally:
            os.close(descriptor)


def is_named(descriptor: int, path: Path) -> bool:
    """Whether an open file has that name still: it was neither deleted nor exchanged."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def write_whole(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file as `whole_file` does."""
    with whole_file(path, replace=replace) as partial:
        partial.write_bytes(content)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power loss.

    Raises:
        OSError: when it cannot be opened or written.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
