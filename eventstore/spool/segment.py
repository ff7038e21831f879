"""The spool: a local, fsynced, append-only file of appends that the database has yet to take.

QFORGE_HOME/spool holds a segment per recording process, named by the time of its first append. The
process has its segment locked (flock), until it ends in whatever way; who can take the lock knows
that nobody writes there any more.

A segment is a sequence of frames, each one atomic append: the JSON array that append_events takes,
behind a header of four 32-bit big-endian numbers: a magic number, the length of the JSON, its
CRC-32, and the CRC-32 of the header so far. The magic number begins with a byte that UTF-8 does not
have, so that the next intact frame can be found behind damage.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from quantum_forge.eventstore.base.errors import SpoolUnwritable
from quantum_forge.eventstore.base.whole_file import is_named, sync_directory
from quantum_forge.eventstore.spool.directory import (
    SUFFIX,
    open_file,
    unusable,
    write_durably,
)
from quantum_forge.eventstore.spool.entries import described
from quantum_forge.eventstore.spool.frames import CHUNK, Damage, Frame, appends, frame, read_bytes

TORN = ".torn-"
"""Follows a segment's name in the name of the file that keeps a cut-off last frame."""

DAMAGED = ".damaged-"
"""The same for damaged bytes from the middle."""


class Segment:
    """A segment locked by this process until it is closed."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Make a segment for this process, which is there after a power loss, too.

        Raises:
            OSError: when it cannot be made.
        """
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The name of a new directory, and of each that had to be made for it, is in its parent.
            for parent in (directory.parent, directory.parent.parent):
                sync_directory(parent)
        while True:
            now = datetime.now(UTC)
            name = f"{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{os.urandom(2).hex()}{SUFFIX}"
            path = directory / name
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                sync_directory(directory)
                return cls(path, descriptor)
            os.close(descriptor)  # a drain took it for a dead process's in between

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Take the segment of a process that has ended; None while anyone has it, or it is gone.

        Raises:
            SpoolEntryUnusable: when it cannot be opened or locked, or is not a regular file.
        """
        try:
            descriptor = open_file(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise unusable(path, error) from error
        if not os.fstat(descriptor).st_nlink:
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def append(self, wire: bytes) -> None:
        """Write an append down; on return it survives kill -9 and power loss.

        Raises:
            SpoolUnwritable: when it cannot be; the segment is as it was before.
        """
        content = frame(wire)
        try:
            written = 0
            while written < len(content):
                written += os.pwrite(self._descriptor, content[written:], self.size + written)
            os.fsync(self._descriptor)
        except OSError as error:
            # What stands behind the last good frame must not be taken for one, nor for damage.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise SpoolUnwritable(
                self.path, error.strerror or str(error), described(wire)
            ) from error
        self.size += len(content)

    def scan(self, offset: int = 0) -> Iterator[Frame | Damage]:
        """Read it from a frame's offset on; see `appends`."""
        return appends(self._descriptor, offset)

    @property
    def is_lost(self) -> bool:
        """Whether its name is gone or names another file: what is written to it would be lost."""
        return not is_named(self._descriptor, self.path)

    def copied(self, directory: Path, offset: int) -> Self:
        """A new segment with everything from a frame's offset on, as durable as an append.

        Raises:
            OSError: when it cannot be made; this one is as it was.
        """
        copy = type(self).create(directory)
        try:
            while copy.size < self.size - offset:
                content = os.pread(self._descriptor, CHUNK, offset + copy.size)
                copy.size += os.pwrite(copy._descriptor, content, copy.size)
            os.fsync(copy._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                copy.remove()
            raise
        return copy

    def set_aside(self, damage: Damage) -> Path:
        """Keep damaged bytes in a file of their own; a torn end is then cut off."""
        kind = TORN if damage.is_tail else DAMAGED
        kept = self.path.with_name(f"{self.path.name}{kind}{damage.offset}")
        content = read_bytes(self._descriptor, damage.offset, damage.end - damage.offset)
        write_durably(kept, content)
        if damage.is_tail:
            os.ftruncate(self._descriptor, damage.offset)
            os.fsync(self._descriptor)
            self.size = damage.offset
        return kept

    def remove(self) -> None:
        """Delete the segment, of which everything has been dealt with, and close it."""
        try:
            # Another file of its name is not its own, and may hold something.
            if not self.is_lost:
                self.path.unlink()
                sync_directory(self.path.parent)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the segment."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()
