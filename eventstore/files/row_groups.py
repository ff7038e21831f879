"""Row groups of Parquet: large enough to compress well, small enough to be held in memory."""

import pyarrow as pa
from pyarrow.parquet import ParquetWriter


class RowGroups:
    """Gathers batches of rows, and writes them as a row group when they have so many bytes."""

    def __init__(self, writer: ParquetWriter, size: int) -> None:
        self._writer = writer
        self._size = size
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._held.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= self._size:
            self.flush()

    def flush(self) -> None:
        """End the row group that was begun, if one was."""
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held))
        self._held, self._bytes = [], 0
