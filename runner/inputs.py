"""Read molecules from a file: .smi, .csv, .sdf, .xyz."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from runner.errors import InputFileError
from runner.records import Input, decoded
from runner.sdf_files import read_sdf, sdf_records
from runner.smiles_files import NoColumnError, csv_columns, csv_rows, read_csv, read_smi, smi_lines
from runner.xyz_files import read_xyz, xyz_frames

__all__ = ["SUFFIXES", "Input", "count_inputs", "read_inputs"]

SUFFIXES = (".smi", ".smiles", ".csv", ".sdf", ".sd", ".xyz", ".extxyz")


def read_inputs(path: Path | str, *, limit: int | None = None) -> Iterator[Input]:
    """Yield the molecules of a file in its order, at most `limit` of them, in bounded memory.

    A record that cannot be read is yielded with its `error`, and the others go on. Raises
    InputFileError at once, not on the first `next`, when the file is missing, empty, of an unknown
    kind, or a .csv without a smiles column.
    """
    path = Path(path)
    inputs = _each(path, whole=True)
    first = next(inputs, None)
    if first is None:
        raise InputFileError(path, "no molecules in this file")
    return islice(chain([first], inputs), limit)


def count_inputs(path: Path | str) -> int:
    """Return how many molecules `read_inputs` would yield, without interpreting any of them."""
    return sum(1 for _ in _each(Path(path), whole=False))


def _each(path: Path, *, whole: bool) -> Iterator[Input]:
    """Yield the molecules, or, unless `whole`, a bare Input for each."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        kind = f"unknown kind of file {path.suffix!r}" if path.suffix else "a file without a suffix"
        raise InputFileError(path, f"{kind}; known are {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as file:
            yield from reader(decoded(file), whole)
    except FileNotFoundError as error:
        raise InputFileError(path, "no such file") from error
    except IsADirectoryError as error:
        raise InputFileError(path, "is a directory; name a file in it") from error
    except OSError as error:
        raise InputFileError(path, f"cannot be read: {error.strerror or error}") from error
    except NoColumnError as error:
        raise InputFileError(path, str(error)) from error


_Record = TypeVar("_Record")
_BARE = Input(number=0, source="")


def _read(
    records: Iterable[_Record], read: Callable[[_Record], Input], whole: bool
) -> Iterator[Input]:
    return (read(record) if whole else _BARE for record in records)


def _smi(lines: Iterator[str], whole: bool) -> Iterator[Input]:
    return _read(smi_lines(lines), read_smi, whole)


def _csv(lines: Iterator[str], whole: bool) -> Iterator[Input]:
    header = next(lines, None)
    if header is None:
        return iter(())
    columns = csv_columns(header)
    return _read(csv_rows(lines, columns), lambda row: read_csv(row, columns), whole)


def _sdf(lines: Iterator[str], whole: bool) -> Iterator[Input]:
    return _read(sdf_records(lines), read_sdf, whole)


def _xyz(lines: Iterator[str], whole: bool) -> Iterator[Input]:
    return _read(xyz_frames(lines), read_xyz, whole)


_READERS: dict[str, Callable[[Iterator[str], bool], Iterator[Input]]] = {
    ".smi": _smi,
    ".smiles": _smi,
    ".csv": _csv,
    ".sdf": _sdf,
    ".sd": _sdf,
    ".xyz": _xyz,
    ".extxyz": _xyz,
}
