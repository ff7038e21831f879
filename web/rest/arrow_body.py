"""Rows as an Arrow stream or a Parquet file, a batch at a time."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    Numeric,
    Select,
    Text,
    cast,
)
from sqlalchemy.types import TypeEngine

from quantum_forge.web.rest.cursor import Cursor
from quantum_forge.web.rest.request.query import Aggregate
from quantum_forge.web.rest.statements.outputs import Output


class Columns:
    """The columns of a reply: their names, types of Arrow, and what PostgreSQL casts them to.

    Whole numbers are 64 bits wide, other numbers doubles, times microseconds in UTC; ids and
    whatever else has no type of its own are text, JSON as it is encoded. A column of a table keeps
    its description, with its unit, in the metadata of its field.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._casts = [_cast_of(output) for output in outputs]
        self.schema = pa.schema(
            [
                pa.field(output.key, _arrow_type(to), metadata=_described(output))
                for output, to in zip(outputs, self._casts, strict=True)
            ]
        )

    def of(self, statement: Select[Any]) -> Select[Any]:
        """Return a statement with its columns as they are cast."""
        values = zip(list(statement.selected_columns), self._casts, strict=True)
        return statement.with_only_columns(*(cast(value, to) for value, to in values))

    def batch(self, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
        """Return rows as a batch."""
        arrays = [
            pa.array([row[place] for row in rows], field.type)
            for place, field in enumerate(self.schema)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def arrow(columns: Columns, cursor: Cursor) -> Iterator[bytes]:
    """Write rows as an Arrow stream."""
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), columns.schema) as writer:
        for batch in _batches(columns, cursor):
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def parquet(columns: Columns, cursor: Cursor) -> Iterator[bytes]:
    """Write rows as a Parquet file; each batch is a row group."""
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), columns.schema) as writer:
        for batch in _batches(columns, cursor):
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _batches(columns: Columns, cursor: Cursor) -> Iterator[pa.RecordBatch]:
    for rows in cursor:
        batch = columns.batch(rows)
        cursor.weigh(rows, batch.nbytes)
        yield batch


class _Sink(io.RawIOBase):
    """A file to write to, of which what was written is taken in parts."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._place = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._place += len(part)
        return len(part)

    def taken(self) -> bytes:
        """Return what was written since it was taken last."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _cast_of(output: Output) -> TypeEngine[Any]:
    if output.aggregate is Aggregate.AVG and output.aggregate_cast is None:
        return Double()
    type_ = output.expression.type
    match type_:
        case Boolean() | Date() | DateTime():
            return type_
        case Integer():
            return BigInteger()
        case Numeric() | Float():
            return Double()
    return Text()


def _arrow_type(type_: TypeEngine[Any]) -> pa.DataType:
    match type_:
        case Boolean():
            return pa.bool_()
        case BigInteger():
            return pa.int64()
        case Double():
            return pa.float64()
        case Date():
            return pa.date32()
        case DateTime():
            return pa.timestamp("us", "UTC" if type_.timezone else None)
    return pa.string()


def _described(output: Output) -> dict[str, str]:
    value: ColumnElement[Any] | None = output.value if output.aggregate is None else None
    bases = [] if value is None else list(value.base_columns)
    comment = getattr(bases[0], "comment", None) if len(bases) == 1 else None
    return {} if comment is None else {"description": comment}
