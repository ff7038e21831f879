"""Discovery of job folders below a directory, by the names of their files."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path

import msgspec
from msgspec.structs import replace

METADATA, RESULTS = "metadata.json", "results.json"
DUMP, CHARGES, GRADIENT = "xtbout.json", "charges", "gradient"
OPTIMISED = ("xtbopt.xyz", "xtbopt.log")
STDOUT = (
    *("xtb_stdout.log", "xtb.out", "xtb.log", "xtb_output.log", "stdout.log", "stdout.txt"),
    *("stdout", "output.log"),
)
ENERGY, ENGRAD, TOPOLOGY = "energy", ".engrad", "xtbtopo.mol"
CHARGE_FILE, SPIN_FILE = ".CHRG", ".UHF"
STDERR = ("xtb_stderr.log", "xtb.err", "stderr.log", "stderr.txt", "stderr")

_SIGNS = frozenset((METADATA, RESULTS, DUMP, *STDOUT))
_PARTS = _SIGNS | {CHARGES, GRADIENT, *OPTIMISED, *STDERR}
_WITNESSES = frozenset((ENERGY, TOPOLOGY, CHARGE_FILE, SPIN_FILE, "coord"))
_MADE_BY_XTB = frozenset(("xtbopt.xyz", "xtblast.xyz", "xtbhess.xyz", "xtb.trj.xyz"))
_BESIDE = frozenset(
    (CHARGES, GRADIENT, ENERGY, TOPOLOGY, *OPTIMISED, "wbo", "xtbrestart", "xtbtopo.sdf")
)
_LOG_ENDINGS = (".out", ".log", ".txt")
_BANNER = re.compile(rb"\|\s+x T B\s+\|")
_HEAD_BYTES = 8_192
"""In which the banner stands, below what the shell or a queue may have written."""
_MOST_UNKNOWN = 100
"""Files of unknown names that are looked into, by folder."""
_NAME = attrgetter("name")
_MOST_GEOMETRIES = 100
_DEEPEST = 100
_SORTED = 4_096
"""Entries of a directory that are sorted at a time."""


class Folder(msgspec.Struct, frozen=True):
    """A folder that looks like a job, and which files of it matter.

    The content of `files` is part of the calculation's id. `witnesses` are files that results are
    checked against; earlier releases did not read them, and ids stay what they were. `logs` are
    the files among `files` that are logs of xtb by their content, under a name of no known log.
    `relative` is the path from the directory that is imported, the name of that directory for
    itself.
    """

    path: str
    files: tuple[str, ...]
    witnesses: tuple[str, ...] = ()
    relative: str = ""
    logs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.rstrip("/").rpartition("/")[2]

    def geometries(self) -> list[str]:
        """The .xyz files that xtb did not write."""
        return sorted(
            name for name in self.files if name.endswith(".xyz") and name not in _MADE_BY_XTB
        )


class Passed(msgspec.Struct, frozen=True):
    """A folder that is no job, and why; `is_error` where it could not be looked into."""

    path: str
    reason: str
    is_error: bool = False


def discover(directory: Path) -> Iterator[Folder | Passed]:
    """Yield the jobs in and below a directory, and what was passed by.

    In the order of their names as far as memory allows, which does not grow with their number:
    names begin with the molecule, mostly, and what is of one molecule is best read together. Links
    to directories are not followed: a link to a folder above it would never end. Folders that hold
    nothing but folders are not mentioned.
    """
    for found in _walk(os.fspath(directory), 0):
        if isinstance(found, Folder):
            inside = os.path.relpath(found.path, directory)
            relative = directory.resolve().name if inside == "." else inside
            found = replace(found, relative=relative)
        yield found


def _walk(path: str, depth: int) -> Iterator[Folder | Passed]:
    files: list[str] = []
    witnesses: list[str] = []
    unknown: list[str] = []
    geometries = entries = 0
    try:
        with os.scandir(path) as found:
            for entry in _sorted(found):
                entries += 1
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if depth == _DEEPEST:
                        yield Passed(entry.path, f"more than {_DEEPEST} folders deep")
                    else:
                        yield from _walk(entry.path, depth + 1)
                elif name in _PARTS:
                    files.append(name)
                elif name.endswith(".xyz"):
                    geometries += 1
                    if geometries <= _MOST_GEOMETRIES:
                        files.append(name)
                elif name in _WITNESSES or name.endswith(ENGRAD):
                    if len(witnesses) < _MOST_GEOMETRIES:
                        witnesses.append(name)
                elif entry.is_symlink() and entry.is_dir():
                    yield Passed(entry.path, "a link to a directory; import its target instead")
                elif len(unknown) < _MOST_UNKNOWN:
                    unknown.append(name)
    except OSError as error:
        yield Passed(path, error.strerror or str(error), is_error=True)
        return
    logs = () if not _SIGNS.isdisjoint(files) else _logs(path, unknown, (*files, *witnesses))
    if logs or not _SIGNS.isdisjoint(files):
        yield Folder(path, (*files, *logs), tuple(witnesses), logs=logs)
    elif entries == 0:
        yield Passed(path, "empty")
    elif geometries and depth:
        yield Passed(path, f"no {METADATA}, {RESULTS}, {DUMP} or log of xtb")


def _logs(path: str, unknown: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the files that are logs of xtb by their first bytes.

    All names are looked at where another file of xtb lies beside them, else those that end as logs
    do.
    """
    is_of_xtb = not _BESIDE.isdisjoint((*unknown, *known))
    return tuple(
        name
        for name in unknown
        if (is_of_xtb or name.endswith(_LOG_ENDINGS)) and _is_log(path, name)
    )


def open_inside(folder: str, name: str) -> int:
    """Return a descriptor of a job's file; the reader must still ask whether it is a regular one.

    A link to another file of the same folder is followed, every other one is refused: whoever
    wrote the folder could have any file read that the importer may read.

    Raises:
        OSError: ELOOP for a link that leads elsewhere.
    """
    # Without blocking: a named pipe would wait for somebody to write into it.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    path = os.path.join(folder, name)  # noqa: PTH118  # a Path takes longer to make than to open
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    target = Path(path).readlink()
    if target.name != str(target):
        raise OSError(errno.ELOOP, "it is a link out of the folder; put a copy there instead")
    try:
        return os.open(f"{folder}/{target}", flags)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "it is a link to a link; put a copy there instead") from None


def _is_log(folder: str, name: str) -> bool:
    """Whether a regular file begins with the banner of xtb; one that cannot be read does not."""
    try:
        descriptor = open_inside(folder, name)
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return is_file and _BANNER.search(os.read(descriptor, _HEAD_BYTES)) is not None
        finally:
            os.close(descriptor)
    except OSError:
        return False


def _sorted(found: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    while some := sorted(islice(found, _SORTED), key=_NAME):
        yield from some
