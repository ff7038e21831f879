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
import errno
import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import SpoolEntryUnusable, SpoolUnwritable

MAGIC = b"\xffQF1"
HEADER = struct.Struct(">4sIII")
SUFFIX = ".spool"
TORN = ".torn-"
"""Follows a segment's name in the name of the file that keeps a cut-off last frame."""

DAMAGED = ".damaged-"
"""The same for damaged bytes from the middle."""

NO_SEGMENT = "it is not a segment: move it out of the spool"

_CHUNK = 1 << 20


class Frame(msgspec.Struct, frozen=True):
    """An intact append of a segment: the bytes from `offset` up to `end`."""

    offset: int
    end: int
    wire: bytes


class Damage(msgspec.Struct, frozen=True):
    """Bytes that are no frame; `is_tail` where no intact frame follows, as after a power loss."""

    offset: int
    end: int
    is_tail: bool


class Spooled(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event in the spool, as far as handling it needs to know.

    rules: the lifecycle of its entity is to be checked before it is appended.
    """

    event_id: UUID
    tenant_id: UUID
    entity_type: str
    entity_id: UUID
    event_type: str
    occurred_at: datetime | None = None
    expected_version: int | None = None
    rules: bool = False

    @property
    def stream(self) -> Stream:
        """Where it goes."""
        return Stream(self.tenant_id, self.entity_type, self.entity_id)


_spooled = msgspec.json.Decoder(list[Spooled])


def events_of(wire: bytes) -> list[Spooled]:
    """The events of one append.

    Raises:
        ValueError: when it is no append, which no recorder writes.
    """
    try:
        events = _spooled.decode(wire)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not events:
        raise ValueError("an append of no event")
    return events


def spool_directory(home: Path) -> Path:
    """Where the segments of a QFORGE_HOME are."""
    return home / "spool"


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
            advice = "see to the file system, then repeat the command"
    return SpoolEntryUnusable(path, error.strerror or str(error), advice)


def open_file(path: Path, flags: int) -> int:
    """Open an entry of the spool, which must be a regular file; return its descriptor.

    Raises:
        FileNotFoundError: when it is gone.
        SpoolEntryUnusable: when it cannot be opened, or is something else.
    """
    try:
        # Not blocking: a named pipe would wait for a process at its other end.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unusable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SpoolEntryUnusable(path, "it is not a regular file", NO_SEGMENT)
    return descriptor


def frame(wire: bytes) -> bytes:
    """An append as it stands in a segment."""
    start = HEADER.pack(MAGIC, len(wire), zlib.crc32(wire), 0)[:12]
    return start + zlib.crc32(start).to_bytes(4) + wire


def scan(descriptor: int, offset: int = 0) -> Iterator[Frame | Damage]:
    """Read a segment from a frame's offset on: its frames, and what is damaged between them.

    Bytes are never left out: each yield begins where the one before ended.
    """
    size = os.fstat(descriptor).st_size
    while offset < size:
        found: Frame | Damage | None = _frame_at(descriptor, offset)
        if found is None:
            following = _next_frame(descriptor, offset + 1, size)
            found = Damage(offset, following or size, is_tail=following is None)
        yield found
        offset = found.end


def appends(descriptor: int, offset: int = 0) -> Iterator[Frame | Damage]:
    """As `scan`, and a frame whose content is no append is damage, too: somebody else wrote it."""
    for found in scan(descriptor, offset):
        if isinstance(found, Frame):
            try:
                events_of(found.wire)
            except ValueError:
                yield Damage(found.offset, found.end, is_tail=False)
                continue
        yield found


def _frame_at(descriptor: int, offset: int) -> Frame | None:
    header = os.pread(descriptor, HEADER.size, offset)
    if len(header) < HEADER.size:
        return None
    magic, length, checksum, of_header = HEADER.unpack(header)
    if magic != MAGIC or of_header != zlib.crc32(header[:12]):
        return None
    wire = _read(descriptor, offset + HEADER.size, length)
    if len(wire) < length or zlib.crc32(wire) != checksum:
        return None
    return Frame(offset, offset + HEADER.size + length, wire)


def _next_frame(descriptor: int, offset: int, size: int) -> int | None:
    while offset < size:
        chunk = _read(descriptor, offset, _CHUNK)
        at = chunk.find(MAGIC)
        while at >= 0:
            if _frame_at(descriptor, offset + at) is not None:
                return offset + at
            at = chunk.find(MAGIC, at + 1)
        # A magic number may lie across the border of two chunks.
        offset += max(len(chunk) - len(MAGIC) + 1, 1)
    return None


def _read(descriptor: int, offset: int, length: int) -> bytes:
    """As many bytes as there are: one pread gives at most 2 GB, and may give less."""
    parts = []
    while length and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts)


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
        try:
            named = self.path.lstat()
        except OSError:
            return True
        own = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino)

    def copied(self, directory: Path, offset: int) -> Self:
        """A new segment with everything from a frame's offset on, as durable as an append.

        Raises:
            OSError: when it cannot be made; this one is as it was.
        """
        copy = type(self).create(directory)
        try:
            while copy.size < self.size - offset:
                content = os.pread(self._descriptor, _CHUNK, offset + copy.size)
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
        content = _read(self._descriptor, damage.offset, damage.end - damage.offset)
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


def described(wire: bytes) -> str:
    """An append in words: `calculation_completed of calculation 0199…`."""
    events = events_of(wire)
    first = f"{events[0].event_type} of {events[0].stream}"
    return first if len(events) == 1 else f"{first} (and {len(events) - 1} more of one append)"


def write_durably(path: Path, content: bytes) -> None:
    """Make a file that has, after whatever crash, all of its content or does not exist.

    Raises:
        SpoolUnwritable: when it cannot be made.
    """
    unfinished = path.with_name(f".{path.name}.new")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise SpoolUnwritable(path, error.strerror or str(error), "what a drain found") from error


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
