"""CSV and JSON Lines: a line for each calculation, units in the columns' names."""

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa

from quantum_forge.datasets.columns import COLUMNS
from quantum_forge.datasets.formats.writer import Header
from quantum_forge.eventstore.base.csv_text import csv_text


class CsvFile:
    """Per-atom arrays are JSON in their cells; what is null is empty; formulas: see `csv_text`."""

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = file
        self._text = io.StringIO(newline="")
        self._lines = csv.writer(self._text, lineterminator="\n")
        self._lines.writerow([column.named_with_unit(header.units) for column in COLUMNS])

    def write(self, batch: pa.RecordBatch) -> None:
        """Add lines."""
        self._lines.writerows(
            [_cell(value) for value in row]
            for row in zip(*map(_values, batch.columns), strict=True)
        )
        self._flush()

    def close(self) -> None:
        """Write the header, too, where there was no row."""
        self._flush()

    def _flush(self) -> None:
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


class JsonLinesFile:
    """Each line is an object; what is null is there as null."""

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        self._file = file
        self._names = [column.named_with_unit(header.units) for column in COLUMNS]

    def write(self, batch: pa.RecordBatch) -> None:
        """Add lines."""
        encode = msgspec.json.Encoder().encode
        lines = [
            encode(dict(zip(self._names, row, strict=True)))
            for row in zip(*map(_values, batch.columns), strict=True)
        ]
        self._file.write(b"\n".join([*lines, b""]))

    def close(self) -> None:
        """Add nothing."""


def _values(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _cell(value: Any) -> Any:
    match value:
        case list():
            return msgspec.json.encode(value).decode()
        case datetime():
            return value.isoformat()
        case str():
            return csv_text(value)
    return value
