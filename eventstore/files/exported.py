"""Exported events, read back from JSON Lines or Parquet with their ids and times."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.codec import decode, decode_object, encode_metadata
from quantum_forge.eventstore.base.errors import EventRefused, QuantumForgeError
from quantum_forge.eventstore.files.lines import BadLine, numbered
from quantum_forge.eventstore.log.load import EncodedEvent

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
ROWS = 2_000
"""Rows of a Parquet file that are in memory at once."""

LARGEST_ROW_GROUP = 512 * 2**20
"""Bytes of a row group of a Parquet file without compression: a few kB can inflate to gigabytes.
`qforge events export` writes groups of some MB."""

_NEEDED = ("event_id", "tenant_id", "entity_type", "entity_id", "event_type", "data")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class UnreadableExport(QuantumForgeError):
    """A file is not an export of events."""

    exit_status = 2

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class _Exported(msgspec.Struct, forbid_unknown_fields=True):
    """A line as `qforge events list --json` prints it.

    Its place in the other log says nothing here: positions and versions are given anew, in the
    order of the file.
    """

    event_id: UUID
    tenant_id: UUID
    entity_type: str
    entity_id: UUID
    event_type: str
    data: msgspec.Raw
    schema_version: int = 1
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    user_id: UUID | None = None
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None
    position: int | None = None
    version: int | None = None


_decoder = msgspec.json.Decoder(_Exported)


def read_exported(path: Path) -> Iterator[EncodedEvent | BadLine]:
    """The event, or what is wrong, of each line or row, in their order and in bounded memory.

    Raises:
        UnreadableExport: at once, when the file is missing or no export at all.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UnreadableExport(
            path, f"unknown type of file; supported types are {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        reason = "is a directory" if path.is_dir() else "no such file"
        raise UnreadableExport(path, reason)
    return _rows(path) if suffix == ".parquet" else _lines(path)


def _lines(path: Path) -> Iterator[EncodedEvent | BadLine]:
    try:
        with path.open("rb") as file:
            for found in numbered(file):
                yield found if isinstance(found, BadLine) else _checked(*found)
    except OSError as error:
        raise UnreadableExport(path, f"cannot be read: {error.strerror or error}") from error


def _checked(number: int, line: bytes) -> EncodedEvent | BadLine:
    try:
        return _event(_decoder.decode(line))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EventRefused) as error:
        return BadLine(number, str(error))


def _rows(path: Path) -> Iterator[EncodedEvent | BadLine]:
    import pyarrow as pa  # a second's work, and only Parquet wants it
    import pyarrow.parquet as pq

    try:
        # A value that is stored once for many rows is then in memory once, too.
        texts = [
            field.name
            for field in pq.read_schema(path)
            if field.name in ("data", "metadata") and _is_text(field.type)
        ]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            _require_row_groups(file, path)
            columns = [
                name for name in _Exported.__struct_fields__ if name in file.schema_arrow.names
            ]
            if missing := [name for name in _NEEDED if name not in columns]:
                raise UnreadableExport(
                    path, f"has no column {', '.join(missing)}, so it does not hold events"
                )
            number = 0
            for batch in _batches(file, columns):
                for at in range(batch.num_rows):
                    (row,) = batch.slice(at, 1).to_pylist()
                    number += 1
                    try:
                        yield _event(msgspec.convert(_plain(row), _Exported))
                    except (ValueError, TypeError, EventRefused, RecursionError) as error:
                        yield BadLine(number, str(error))
    except (pa.ArrowException, OSError) as error:
        raise UnreadableExport(path, f"is not a readable Parquet file: {error}") from error


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    return any(is_(type_) for is_ in (types.is_string, types.is_binary, types.is_large_string))


def _require_row_groups(file: Any, path: Path) -> None:
    """Refuse row groups that would take too much memory.

    Raises:
        UnreadableExport: when one is larger than `LARGEST_ROW_GROUP`.
    """
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).total_byte_size
        if size > LARGEST_ROW_GROUP:
            raise UnreadableExport(
                path,
                f"row group {group} has {size:,} bytes without compression, and the limit is "
                f"{LARGEST_ROW_GROUP:,}: write smaller row groups",
            )


def _batches(file: Any, columns: list[str]) -> Iterator[Any]:
    """Batches of rows, one row group after the other: all at once, their pages would be kept."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=ROWS, row_groups=[group], columns=columns)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with ids as text, times with a zone, JSON as bytes, and without what is null."""
    fields = {name: value for name, value in row.items() if value is not None}
    for name in ("event_id", "tenant_id", "entity_id", "user_id"):
        if isinstance(value := fields.get(name), bytes):
            fields[name] = UUID(bytes=value)
    for name in ("occurred_at", "recorded_at"):
        value = fields.get(name)
        if isinstance(value, datetime) and value.tzinfo is None:
            fields[name] = value.replace(tzinfo=UTC)
    for name in ("data", "metadata"):
        if name in fields:
            value = fields[name]
            given = value.encode() if isinstance(value, str) else value
            document = given if isinstance(given, bytes) else msgspec.json.encode(given)
            fields[name] = msgspec.Raw(document)
    return fields


def _event(given: _Exported) -> EncodedEvent:
    """The event, checked as an append checks it, and otherwise untouched.

    Raises:
        EventRefused: when it is not one.
    """
    data = bytes(given.data)
    event = decode(given.event_type, data, schema_version=given.schema_version)
    if given.entity_type != event.entity_type:
        raise EventRefused(
            given.event_type, f"happens to a {event.entity_type}, not to a {given.entity_type}"
        )
    if given.occurred_at is not None and given.occurred_at.tzinfo is None:
        raise EventRefused(given.event_type, "occurred_at has no time zone")
    if _NUL.search(data):
        raise EventRefused(given.event_type, "a NUL character cannot be stored")
    metadata = bytes(given.metadata)
    encode_metadata(given.event_type, decode_object(metadata))
    return EncodedEvent(
        event_id=given.event_id,
        tenant_id=given.tenant_id,
        entity_type=given.entity_type,
        entity_id=given.entity_id,
        event_type=given.event_type,
        data=data,
        schema_version=given.schema_version,
        metadata=metadata,
        user_id=given.user_id,
        occurred_at=given.occurred_at,
    )
