"""Parquet: per-atom arrays as list columns, units and meanings in each field's metadata."""

from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from quantum_forge.datasets.columns import COLUMNS
from quantum_forge.datasets.formats.writer import Header
from quantum_forge.eventstore.files.row_groups import RowGroups

GROUP_BYTES = 8 * 2**20
"""Bytes in memory after which a row group ends."""


class ParquetFile:
    """Some thousand calculations to a row group; texts and atomic numbers dictionary-encoded."""

    def __init__(self, header: Header, file: IO[bytes], path: Path | None) -> None:  # noqa: ARG002  # every format has both
        texts = [column.name for column in COLUMNS if column.type == pa.string()]
        self._writer = pq.ParquetWriter(
            file,
            header.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[*texts, "elements.list.element", "atomic_numbers.list.element"],
            write_statistics=True,
        )
        self._groups = RowGroups(self._writer, GROUP_BYTES)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._groups.write(batch)

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._groups.flush()
        self._writer.close()
