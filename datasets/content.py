"""The hash of what a dataset holds, whatever the file that holds it."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Digest = Any
"""What hashlib gives; it has no name of its own."""


class ContentHash:
    """SHA-256 of rows in their order: independent of format, compression, batches and libraries.

    For each column, and for each level of a list, three streams are hashed: which values are there
    (a byte of 0 or 1 each), how long texts and lists are (int64), and the values: numbers in
    little-endian order (0 for null), texts in UTF-8. Times are µs since 1970. A column's hash is
    that of the JSON object, sorted by name, of its streams' hashes; the hash of all is that of the
    columns'.
    """

    def __init__(self) -> None:
        self._streams: dict[str, Digest] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Take in further rows."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self._take(name, column)

    def hexdigest(self) -> str:
        """The hash of all rows so far."""
        return _of_json(self.by_column())

    def by_column(self) -> dict[str, str]:
        """The hash of each column so far."""
        columns: dict[str, dict[str, str]] = {}
        for name, stream in self._streams.items():
            columns.setdefault(name.partition("/")[0], {})[name] = stream.hexdigest()
        return {name: _of_json(streams) for name, streams in columns.items()}

    def _take(self, name: str, values: pa.Array) -> None:
        self._add(f"{name}/valid", lambda: np.asarray(values.is_valid(), "u1"))
        if pa.types.is_string(values.type):
            self._add(f"{name}/length", lambda: _filled(pc.binary_length(values), "<i8"))
            self._add(f"{name}/value", lambda: _joined(values))
        elif pa.types.is_list(values.type):
            self._add(f"{name}/length", lambda: _filled(pc.list_value_length(values), "<i8"))
            self._take(f"{name}/item", pc.list_flatten(values))
        elif pa.types.is_fixed_size_list(values.type):
            self._take(f"{name}/item", pc.list_flatten(values))
        elif pa.types.is_timestamp(values.type):
            self._add(f"{name}/value", lambda: _filled(values.cast(pa.int64()), "<i8"))
        else:
            kind = "<f8" if pa.types.is_floating(values.type) else "<i8"
            self._add(f"{name}/value", lambda: _filled(values, kind))

    def _add(self, name: str, content: Callable[[], Any]) -> None:
        self._streams.setdefault(name, hashlib.sha256()).update(content())


def _joined(values: pa.Array) -> Any:
    """The bytes of all texts, one after the other, as Arrow has them."""
    there = values.drop_null()
    _, offsets, data = there.buffers()
    if data is None or len(there) == 0:
        return b""
    ends = np.frombuffer(offsets, "<i4")[there.offset : there.offset + len(there) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _of_json(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _filled(values: pa.Array, kind: str) -> Any:
    numbers = pc.fill_null(values, 0) if values.null_count else values
    return np.ascontiguousarray(numbers.to_numpy(zero_copy_only=False), kind)
