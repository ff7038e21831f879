"""The bytes of a job's files, read without trusting that they are what their names say."""

import hashlib
import os
import stat
from datetime import UTC, datetime

from quantum_forge.runner.jobs.reading.folders import STDOUT, Folder, open_inside

FILE_LIMIT = 64 * 2**20
"""Bytes; no job has a larger file, and memory must not depend on what lies about."""


FOLDER_LIMIT = 128 * 2**20
"""Bytes of all files of a job together, which are in memory at once."""


class BrokenJob(Exception):
    """A job that cannot be read; `file` and `reason` say where and why."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = " ".join(reason.split())


class SkippedJob(Exception):
    """A folder with nothing to import: no result yet, or not of xtb."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FolderContents:
    """The files of a folder; each is read once.

    `sha256` (hexadecimal) is of the names and bytes of all but the witnesses; `modified` is when
    the newest was written.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._files: dict[str, bytes] = {}
        self._preferred: set[str] = set()
        newest = 0.0
        digest = hashlib.sha256()
        self._room = FOLDER_LIMIT
        for name in sorted(folder.files):
            data, modified = self._read(name)
            newest = max(newest, modified)
            self._files[name] = data
            digest.update(b"%d %s\0%d\0" % (len(name), os.fsencode(name), len(data)))
            digest.update(data)
        self.sha256 = digest.hexdigest()
        for name in folder.witnesses:
            self._files[name], _ = self._read(name)
        self.modified = datetime.fromtimestamp(newest, UTC)

    def _read(self, name: str) -> tuple[bytes, float]:
        """The bytes of a file, and when it was written, while there is room for it."""
        data, modified = _read(self.folder.path, name, self._room)
        self._room -= len(data)
        return data, modified

    @property
    def logs(self) -> tuple[str, ...]:
        """The names that the log of the run may have."""
        return (*STDOUT, *self.folder.logs)

    def prefer(self, name: str) -> None:
        """Return this file before all others that are asked for together with it."""
        self._preferred.add(name)

    def get(self, *names: str) -> bytes | None:
        """The first of these files that there is."""
        for name in self._ordered(names):
            if (data := self._files.get(name)) is not None:
                return data
        return None

    def names(self, *names: str) -> list[str]:
        """Those of these files that there are."""
        return [name for name in names if name in self._files]

    def called(self, *names: str) -> str:
        """The name of the first of these files that there is, or else of the first."""
        return next((name for name in self._ordered(names) if name in self._files), names[0])

    def _ordered(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if self._preferred.isdisjoint(names):
            return names
        return tuple(sorted(names, key=lambda name: name not in self._preferred))


def _read(folder: str, name: str, room: int) -> tuple[bytes, float]:
    """The bytes of a regular file, which has at most `room`, and when it was written."""
    try:
        descriptor = open_inside(folder, name)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise BrokenJob(name, "is not a regular file")
            if facts.st_size > FILE_LIMIT:
                raise BrokenJob(name, f"is larger than {FILE_LIMIT // 2**20} MB")
            if facts.st_size > room:
                raise BrokenJob(
                    name, f"with it the job's files have more than {FOLDER_LIMIT // 2**20} MB"
                )
            data = os.read(descriptor, facts.st_size + 1)
            while len(data) < facts.st_size and (more := os.read(descriptor, FILE_LIMIT)):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BrokenJob(name, f"cannot be read: {error.strerror or error}") from error
    return data, facts.st_mtime
