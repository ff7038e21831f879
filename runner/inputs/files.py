"""Read molecules from a file: .smi, .csv, .tsv, .sdf, .mol, .xyz, also gzip-compressed."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from quantum_forge.runner.errors import InputFileError
from quantum_forge.runner.inputs.formats import FORMATS, SUFFIXES
from quantum_forge.runner.inputs.sdf_files import SdfRecord, read_sdf, sdf_records
from quantum_forge.runner.inputs.smiles_files import (
    NoColumnError,
    Row,
    SmilesLine,
    csv_rows,
    read_csv,
    read_smi,
    smi_lines,
)
from quantum_forge.runner.inputs.text_lines import TextLines, TrailingBytes
from quantum_forge.runner.inputs.xyz_files import XyzFrame, read_xyz, xyz_frames
from quantum_forge.runner.molecules.records import Input, shown

__all__ = [
    "AS_NAMED",
    "FORMATS",
    "SUFFIXES",
    "Count",
    "Input",
    "MoleculeFile",
    "Reading",
    "Record",
    "has_columns",
    "interpret",
    "read_inputs",
    "read_records",
    "refused",
    "text_of",
]

_TABLES = (".csv", ".tsv")


KEPT_CHARACTERS = 16 * 2**20
KEPT_RECORDS = 20_000
"""What is kept at most of a file that was read to its end, so that it need not be read again."""

_EMPTY = "no molecules in this file"
_DIRECTORY = "is a directory; name a file in it"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is read, where its name and its header do not say it.

    format: one of FORMATS, instead of the one that the suffix says. smiles_column, name_column: of
    a .csv or .tsv file, compared without regard to case. called: what errors call the file.
    """

    format: str | None = None
    smiles_column: str | None = None
    name_column: str | None = None
    called: str | None = None


AS_NAMED = Reading()
"""By the suffix and the header."""


class Count(msgspec.Struct, frozen=True):
    """Counts of a file: records, lines, and lines that belong to no record.

    Those are a header, comments of .smi files, blank lines.
    """

    inputs: int
    lines: int
    skipped: int


class Trailing(msgspec.Struct, frozen=True):
    """What follows the data of a gzip file, in place of a record; it has no lines."""

    number: int
    line: int
    bytes: TrailingBytes
    lines: int = 0


Record = SmilesLine | Row | SdfRecord | XyzFrame | Trailing
"""A record of a file, split off and not interpreted.

Splitting is plain text work in bounded memory; interpreting runs a toolkit over the text, which can
be done in another process.
"""


def text_of(record: Record) -> str:
    """Return what the file has there, but for delimiters and the ends of lines."""
    match record:
        case SmilesLine(text=text) | SdfRecord(text=text):
            return text
        case Row(fields=fields, source=source):
            return "\t".join(fields) if source is None else source
        case XyzFrame(comment=comment, atoms=atoms):
            return "\n".join([comment, *(line.rstrip() for line in atoms)])
        case Trailing(bytes=TrailingBytes(size=size, first=first)):
            return f"({size:,} bytes after the gzip data, beginning with {first.hex(' ')})"


def read_records(
    path: Path | str, *, limit: int | None = None, reading: Reading = AS_NAMED
) -> Iterator[Record]:
    """Yield the records of a file in its order, at most `limit` of them, in bounded memory.

    Raises InputFileError at once, not on the first `next`, when the file is missing, empty, of an
    unknown kind, or a .csv without a smiles column; while iterating, when its compression is
    damaged.
    """
    path = Path(path)
    records = _records(path, _Counter(), reading)
    first = next(records, None)
    if first is None:
        raise InputFileError(_called(path, reading), _EMPTY)
    return islice(chain([first], records), limit)


def interpret(record: Record) -> Input:
    """Return the molecule of a record; whatever its reader raises makes it an unreadable one."""
    try:
        return _INTERPRETERS[type(record)](record)
    except Exception as error:
        return refused(record, f"cannot be read: {_reason(error)}")


def refused(record: Record, error: str) -> Input:
    """Return the input of a record that is not interpreted, for this reason."""
    return Input(
        number=record.number,
        line=record.line,
        lines=record.lines,
        source=shown(text_of(record)),
        error=error,
    )


def read_inputs(
    path: Path | str, *, limit: int | None = None, reading: Reading = AS_NAMED
) -> Iterator[Input]:
    """Yield the molecules of a file as `read_records` does, interpreted in this process.

    A record that cannot be read is yielded with its `error`, and the others go on.
    """
    return map(interpret, read_records(path, limit=limit, reading=reading))


class MoleculeFile:
    """A file of molecules that was read to its end, so that its damage and its size are known.

    A gzip file is known to be whole at its last byte, and a batch states at its beginning how many
    inputs it has: both are needed before anything is computed. The records that were split off are
    kept for `records` as far as they fit in memory; those of a larger file are read again.

    Args:
        path: of the file.
        limit: use at most so many records; the others are counted.
        reading: how it is read.
        keeps: False where its records are wanted much later: they are then read a second time.
        on_read: told now and then how many bytes of the file have been read since the last time.

    Raises:
        InputFileError: as `read_records` does, for damage anywhere in the file, too.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        limit: int | None = None,
        reading: Reading = AS_NAMED,
        keeps: bool = True,
        on_read: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._path = Path(path)
        self._limit = limit
        self._reading = reading
        self._kept: deque[Record] | None = deque() if keeps else None
        counter = _Counter(on_read)
        inputs = within = characters = 0
        for record in _records(self._path, counter, reading):
            inputs += 1
            within += record.lines
            if self._kept is None or (limit is not None and inputs > limit):
                continue
            self._kept.append(record)
            characters += len(text_of(record))
            if characters > KEPT_CHARACTERS or len(self._kept) > KEPT_RECORDS:
                self._kept = None
        if not inputs:
            raise InputFileError(_called(self._path, reading), _EMPTY)
        self.count = Count(inputs, counter.lines, counter.lines - within)
        """Counts of the whole file."""
        self.total = inputs if limit is None else min(inputs, limit)
        """Records that are used."""

    def records(self) -> Iterator[Record]:
        """Yield the records that are used, in order; each is forgotten when it is taken."""
        if self._kept is None:
            yield from read_records(self._path, limit=self._limit, reading=self._reading)
            return
        while self._kept:
            yield self._kept.popleft()


class _Counter(msgspec.Struct):
    on_read: Callable[[int], object] = lambda _: None
    lines: int = 0


class _Observed(io.BufferedReader):
    """A file that tells of the bytes that are read."""

    def __init__(self, path: Path, on_read: Callable[[int], object]) -> None:
        super().__init__(io.FileIO(path))
        self._on_read = on_read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does."""
        chunk = super().read(size)
        self._on_read(len(chunk))
        return chunk


def _called(path: Path, reading: Reading) -> Path:
    return path if reading.called is None else Path(reading.called)


def _records(path: Path, counter: _Counter, reading: Reading) -> Iterator[Record]:
    """Yield the records; `counter` has the number of lines at the end."""
    called = _called(path, reading)
    if path.is_dir():
        raise InputFileError(called, _DIRECTORY)
    split = _splitter(path, reading)
    text = None
    try:
        with _Observed(path, counter.on_read) as file:
            text = TextLines(file)
            number = 0
            for record in split(text):
                number = record.number
                yield record
            counter.lines = text.count
            if text.trailing is not None:
                yield Trailing(number + 1, text.count + 1, text.trailing)
    except FileNotFoundError as error:
        raise InputFileError(called, "no such file") from error
    except IsADirectoryError as error:
        raise InputFileError(called, _DIRECTORY) from error
    except OSError as error:
        raise InputFileError(called, f"cannot be read: {error.strerror or error}") from error
    except NoColumnError as error:
        raise InputFileError(called, str(error)) from error
    except Exception as error:
        where = f"line {text.count}: " if text is not None and text.count else ""
        raise InputFileError(called, f"{where}{_reason(error)}") from error


def has_columns(path: Path, reading: Reading) -> bool:
    """Return whether a file is read as a table, whose columns can be chosen."""
    return _suffix(path, reading) in _TABLES


def _suffix(path: Path, reading: Reading) -> str:
    suffix = path.suffix.lower() if reading.format is None else f".{reading.format}"
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def _splitter(path: Path, reading: Reading) -> Callable[[Iterable[str]], Iterable[Record]]:
    suffix = _suffix(path, reading)
    split = _SPLITTERS.get(suffix)
    if split is None:
        kind = f"unknown type of file {path.suffix!r}" if path.suffix else "a file without a suffix"
        raise InputFileError(
            _called(path, reading),
            f"{kind}; supported types are {', '.join(SUFFIXES)}, also with .gz; or name one by "
            "--format",
        )
    if suffix in _TABLES:
        return partial(
            csv_rows,
            delimiter="\t" if suffix == ".tsv" else None,
            smiles_column=reading.smiles_column,
            name_column=reading.name_column,
        )
    if reading.smiles_column is not None or reading.name_column is not None:
        raise InputFileError(
            _called(path, reading),
            "has no columns to choose from; --smiles-column and --name-column are for .csv and "
            ".tsv",
        )
    return split


def _read_trailing(trailing: Trailing) -> Input:
    raise ValueError(
        f"{trailing.bytes.size:,} bytes after the end of the gzip data are not gzip; the records "
        "before them were read: copy the file again if it should have more"
    )


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


_SPLITTERS: dict[str, Callable[[Iterable[str]], Iterable[Record]]] = {
    ".smi": smi_lines,
    ".smiles": smi_lines,
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".sdf": sdf_records,
    ".sd": sdf_records,
    ".mol": sdf_records,
    ".xyz": xyz_frames,
    ".extxyz": xyz_frames,
}

_INTERPRETERS: dict[type[Record], Callable[[Any], Input]] = {
    SmilesLine: read_smi,
    Row: read_csv,
    SdfRecord: read_sdf,
    XyzFrame: read_xyz,
    Trailing: _read_trailing,
}
