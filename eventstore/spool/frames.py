"""Frames of a segment: each is one append behind a header, found again behind damage."""

import os
import struct
import zlib
from collections.abc import Iterator

import msgspec

from quantum_forge.eventstore.base.size import LARGEST_APPEND
from quantum_forge.eventstore.spool.entries import events_of

MAGIC = b"\xffQF1"
HEADER = struct.Struct(">4sIII")
CHUNK = 1 << 20


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
    if magic != MAGIC or of_header != zlib.crc32(header[:12]) or length > LARGEST_APPEND:
        return None
    wire = read_bytes(descriptor, offset + HEADER.size, length)
    if len(wire) < length or zlib.crc32(wire) != checksum:
        return None
    return Frame(offset, offset + HEADER.size + length, wire)


def _next_frame(descriptor: int, offset: int, size: int) -> int | None:
    while offset < size:
        chunk = read_bytes(descriptor, offset, CHUNK)
        at = chunk.find(MAGIC)
        while at >= 0:
            if _frame_at(descriptor, offset + at) is not None:
                return offset + at
            at = chunk.find(MAGIC, at + 1)
        # A magic number may lie across the border of two chunks.
        offset += max(len(chunk) - len(MAGIC) + 1, 1)
    return None


def read_bytes(descriptor: int, offset: int, length: int) -> bytes:
    """As many bytes as there are: one pread gives at most 2 GB, and may give less."""
    parts = []
    while length and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts)
