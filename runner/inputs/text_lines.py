"""Text lines of a file in any encoding, with any line ends, gzip-compressed or not."""

import codecs
import os
import re
import zlib
from collections.abc import Generator, Iterable, Iterator
from typing import IO

import msgspec

LINE_LIMIT = 2 * 2**20
"""Bytes of one line; what follows up to its end is dropped, and the line's record is refused."""

RECORD_LIMIT = 64 * 2**20
"""Characters of one record; what follows is dropped, and the record is refused."""

_CHUNK = 2**14
_SHOWN = 16
_PENDING_LIMIT = 2**12  # carriage returns at the end of a chunk; more are blank lines

_GZIP = b"\x1f\x8b"
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"%PDF-": "a PDF document",
}
_BYTE_ORDER_MARKS = {  # the longer ones first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}
_LINE_END = re.compile(rb"\r+\n|\r")


class UnreadableBytes(ValueError):
    """The bytes of a file are not those of a text, or its compression is damaged."""


class TrailingBytes(msgspec.Struct, frozen=True):
    """Bytes that follow the data of a gzip file: how many, and the first of them."""

    size: int
    first: bytes


class TextLines:
    """The lines of a binary file, without their ends; `count` are those returned so far.

    UTF-8, or Latin-1 for a line that is not valid UTF-8; UTF-16 and UTF-32 by their byte-order
    marks, and UTF-16 without one by its NUL bytes. Lines end with LF, CR LF or CR, also mixed. A
    gzip-compressed file is recognised by its first bytes; at the end, `trailing` tells which bytes
    follow its data, but for zeros, which are padding. Memory does not depend on the length of the
    file or of a line: of a line longer than LINE_LIMIT, the first LINE_LIMIT + 1 bytes are
    returned.

    Raises:
        UnreadableBytes: while iterating, for an archive or damaged compression.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.count = 0
        self.trailing: TrailingBytes | None = None
        self._lines = _decoded(_split(_transcoded(self._uncompressed(file))))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        return line

    def _uncompressed(self, file: IO[bytes]) -> Iterator[bytes]:
        chunk = file.read(_CHUNK)
        if chunk.startswith(_GZIP):
            self.trailing = yield from _gunzipped(file, chunk)
            return
        for magic, kind in _ARCHIVES.items():
            if chunk.startswith(magic):
                raise UnreadableBytes(f"is {kind}; extract the text file (or use gzip)")
        while chunk:
            yield chunk
            chunk = file.read(_CHUNK)


def refuse_long(line: str) -> None:
    """Raise ValueError for a line of which TextLines returned only the beginning."""
    if len(line) > LINE_LIMIT // 4 and len(line.encode("utf-8", "replace")) > LINE_LIMIT:
        raise ValueError(f"a line is longer than {LINE_LIMIT:,} bytes")


def _gunzipped(file: IO[bytes], pending: bytes) -> Generator[bytes, None, TrailingBytes | None]:
    """Yield the data of all members in small parts, and return what follows the last."""
    while True:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not member.eof:
            try:
                part = member.decompress(pending, _CHUNK)
            except zlib.error as error:
                raise UnreadableBytes(f"is a damaged gzip file ({error}); copy it again") from error
            if part:
                yield part
            pending = member.unconsumed_tail
            if not (pending or member.eof):
                pending = file.read(_CHUNK)
                if not (pending or part):
                    raise UnreadableBytes("is a truncated gzip file; copy it again")
        pending = member.unused_data.lstrip(b"\0")
        while not pending and (chunk := file.read(_CHUNK)):
            pending = chunk.lstrip(b"\0")
        if len(pending) < len(_GZIP):
            pending += file.read(_CHUNK)
        if not pending:
            return None
        if not pending.startswith(_GZIP):
            read = file.tell()
            return TrailingBytes(len(pending) + file.seek(0, os.SEEK_END) - read, pending[:_SHOWN])


def _transcoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same text as UTF-8 (or what should be UTF-8) without a byte-order mark."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 4:
            break
    encoding = None
    for mark, name in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            head, encoding = head.removeprefix(mark), name
            break
    else:
        encoding = _utf_16_without_mark(head)
    if encoding is None or encoding == "utf-8":
        yield head
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield decoder.decode(head).encode()
    for chunk in chunks:
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", True).encode()


def _utf_16_without_mark(head: bytes) -> str | None:
    """Return the encoding of a text in which nearly every second byte is NUL, else None."""
    pairs = len(head) // 2
    if pairs == 0:
        return None
    first = head[: 2 * pairs : 2].count(0) / pairs
    second = head[1 : 2 * pairs : 2].count(0) / pairs
    if second > 0.7 and first < 0.05:
        return "utf-16-le"
    if first > 0.7 and second < 0.05:
        return "utf-16-be"
    return None


def _split(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield whole lines without their ends, a list for each chunk."""
    rest = b""  # of the line that the next chunk goes on with
    is_dropping = False  # the line was too long, and was yielded
    pending = b""  # carriage returns that a line feed may follow
    for chunk in chunks:
        chunk = pending + chunk
        pending = b""
        if b"\r" in chunk:
            body = chunk.rstrip(b"\r")
            if len(chunk) - len(body) < _PENDING_LIMIT:
                chunk, pending = body, chunk[len(body) :]
            chunk = _LINE_END.sub(b"\n", chunk)
        first, *others = chunk.split(b"\n")
        if not is_dropping:
            rest += first
        if others:
            lines = [] if is_dropping else [_shortened(rest)]
            lines += others[:-1]
            yield lines
            rest, is_dropping = others[-1], False
        if len(rest) > LINE_LIMIT:
            yield [_shortened(rest)]
            rest, is_dropping = b"", True
    last = [] if is_dropping else [rest]
    if pending:
        last += [b""] * len(pending)
    if last and not last[-1]:
        last.pop()
    yield last


def _shortened(line: bytes) -> bytes:
    return line if len(line) <= LINE_LIMIT else line[: LINE_LIMIT + 1]


def _decoded(blocks: Iterable[list[bytes]]) -> Iterator[str]:
    for lines in blocks:
        try:
            texts = b"\n".join(lines).decode().split("\n") if lines else []
        except UnicodeDecodeError:
            texts = [_line(line) for line in lines]
        yield from texts


def _line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
