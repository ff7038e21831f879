"""Files that appear complete or not at all."""

import fcntl
import os
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
        reason = error.strerror or error
        super().__init__(f"{path} cannot be written ({reason}); give another place")


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give the path to write to; it gets its own name, and is on the disk, when the block ends.

    When the block fails, what was written is gone. What a killed process left beside the file, as
    `.NAME.partial`, the next writer of the same file starts again.

    Raises:
        TargetExists: unless it may be replaced.
        TargetBusy: while another process writes it.
        TargetUnwritable: when the folder is missing, full or closed.
    """
    if path.exists() and not replace:
        raise TargetExists(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        lock = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise TargetUnwritable(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TargetBusy(path) from None
        try:
            os.ftruncate(lock, 0)
            yield partial
            os.fsync(lock)
            partial.replace(path)
            _sync_folder(path.parent)
        except BaseException as error:
            with suppress(FileNotFoundError):
                partial.unlink()
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                raise TargetUnwritable(path, error) from error
            raise
    finally:
        os.close(lock)


def write_whole(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file as `whole_file` does."""
    with whole_file(path, replace=replace) as partial:
        partial.write_bytes(content)


def _sync_folder(folder: Path) -> None:
    """Make the file's name last, too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
