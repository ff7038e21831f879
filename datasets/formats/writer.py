"""Interface of the writers of formats: batches in, a file out."""

from pathlib import Path
from typing import IO, Any, Protocol

import msgspec
import pyarrow as pa

from quantum_forge.datasets.units import Units


class Header(msgspec.Struct, frozen=True):
    """What a writer knows before the first row.

    about: what the dataset tells of itself: its name, query, position of the log. records: how many
    there will be at most; None where that is not known.
    """

    schema: pa.Schema
    units: Units
    about: dict[str, Any]
    records: int | None = None


class Writer(Protocol):
    """Writes one file, batch after batch, and keeps none of them."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Write what belongs at the end; the file itself is left open."""
        ...


class Open(Protocol):
    """Begins a file: `file` for writing in order, `path` for those who must seek in it."""

    def __call__(self, header: Header, file: IO[bytes], path: Path | None) -> Writer:
        """Write what belongs at the beginning."""
        ...
