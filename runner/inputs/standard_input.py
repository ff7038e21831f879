"""Molecules from standard input, copied to a file that can be read twice."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

_CHUNK = 2**20


class Copy(msgspec.Struct, frozen=True):
    """A copy of what was read, and its SHA-256."""

    path: Path
    sha256: str


@contextlib.contextmanager
def copied(stream: IO[bytes]) -> Iterator[Copy]:
    """Copy a stream to its end into a file that only this user can read, for the time of a run."""
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(prefix="qforge-stdin-") as file:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        yield Copy(Path(file.name), digest.hexdigest())
