"""The log, or a range of it, as a file: JSON Lines as the command line lists events, or Parquet."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import msgspec
from sqlalchemy import Engine

from quantum_forge.eventstore.base.codec import encode
from quantum_forge.eventstore.base.envelope import Position, RecordedEvent
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.whole_file import whole_file
from quantum_forge.eventstore.database.availability.standby import require_primary
from quantum_forge.eventstore.log.place import BeyondHead, Place, place_at, require_place
from quantum_forge.eventstore.log.read import EVERYTHING, Filter, read_all, safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.audit import DataExported

BATCH = 1_000
BATCH_BYTES = 8 * 2**20
"""Events, or bytes of JSON, after which what was read is written: what bounds memory."""

Progress = Callable[[int, int], None]
"""Called with the number of further events written, and the position of the last one."""


class UnknownKind(QuantumForgeError):
    """A file's name does not say how events are to be written."""

    exit_status = 2

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: give a name that ends with .jsonl or .parquet, or - for stdout")


class ExportedLog(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: every event of (`after`, `upto`] that was asked for.

    The next export goes on with `after` = this one's `place`: the newest event up to `upto`, of
    whatever type, of the tenant that was asked for.
    """

    events: int
    after: Position
    upto: Position
    place: Place
    sha256: str | None


def export_events(
    engine: Engine,
    to: Path | IO[bytes],
    author: Author,
    *,
    after: int | Place = 0,
    upto: int | None = None,
    where: Filter = EVERYTHING,
    replace: bool = False,
    progress: Progress = lambda *_: None,
) -> ExportedLog:
    """Write the events above `after`, up to `upto` or the safe head, in the order of the log.

    A file appears when it is complete; a stream gets JSON Lines. That it was exported is an event
    of its own, which is recorded before the file appears.

    Args:
        engine: of the database.
        to: a path that ends with .jsonl or .parquet, or a stream, which is left open.
        author: who exports.
        after: the place after which to begin; of a bare position only that the log reaches it is
            checked, not that an export that ended there was of this log.
        upto: the position up to which to go; the safe head unless given.
        where: which events.
        replace: whether a file that is there may be replaced.
        progress: called for each batch.

    Raises:
        UnknownKind
        NeedsPrimary: on a standby, where the export cannot be recorded.
        BeyondHead: when the log does not reach `after` or `upto`.
        EventRefused: when the export cannot be recorded, before anything is written.
        LogDiverged: when the log does not have the events of the place.
        PlaceOfEveryTenant: when the place cannot be compared by a login that sees one tenant.
        TargetExists, TargetBusy, TargetUnwritable: see eventstore/base/whole_file.py.
        BrokenPipeError: when the reader of the stream has closed it.
    """
    require_primary(engine, "an export, which is recorded in the log,")
    begin = after if isinstance(after, Place) else Place(Position(after))
    with engine.connect() as connection:
        require_place(connection, begin)
        head = safe_head(connection)
        if upto is not None and upto > head:
            raise BeyondHead(upto, head)
        # An append may hold the head back for a moment, below where the last export ended.
        last = Position(max(head, begin.position) if upto is None else upto)
        new = place_at(connection, last, tenant_id=where.tenant_id, above=begin.position)
        place = begin if new.event_id is None else new
    written = 0

    def batches() -> Iterator[list[RecordedEvent]]:
        nonlocal written
        with engine.connect() as connection:
            events = read_all(connection, after=begin.position, upto=last, where=where)
            for batch in _batches(events):
                yield batch
                written += len(batch)
                progress(len(batch), batch[-1].position)

    def exported(sha256: str | None, destination: str) -> DataExported:
        return DataExported(
            what="event_logs",
            format="parquet" if isinstance(to, Path) and to.suffix == ".parquet" else "jsonl",
            row_count=written,
            position=last,
            content_sha256=sha256,
            destination=destination,
            parameters={
                "after": begin.position,
                "upto": last,
                "event_id": None if place.event_id is None else str(place.event_id),
                "digest": place.digest,
                "where": msgspec.to_builtins(where),
            },
        )

    def account(sha256: str | None, destination: str) -> ExportedLog:
        with Recorder(engine, author) as recorder:
            recorder.record(exported(sha256, destination))
        return ExportedLog(
            events=written, after=begin.position, upto=last, place=place, sha256=sha256
        )

    # Before a byte leaves: an export that cannot be recorded is not made.
    encode(exported(None, "stdout"))
    if not isinstance(to, Path):
        try:
            _write_lines(to, batches())
            to.flush()
        except BrokenPipeError:
            account(None, "stdout, until the reader closed it")
            raise
        return account(None, "stdout")
    if to.suffix not in (".jsonl", ".parquet"):
        raise UnknownKind(to)
    with whole_file(to, replace=replace) as partial:
        with partial.open("wb") as file:
            (_write_parquet if to.suffix == ".parquet" else _write_lines)(file, batches())
        with partial.open("rb") as whole:
            sha256 = hashlib.file_digest(whole, "sha256").hexdigest()
        return account(sha256, str(to.absolute()))


def _batches(events: Iterator[RecordedEvent]) -> Iterator[list[RecordedEvent]]:
    batch: list[RecordedEvent] = []
    size = 0
    for event in events:
        batch.append(event)
        size += len(event.raw_data) + len(event.raw_metadata)
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_lines(file: IO[bytes], batches: Iterable[list[RecordedEvent]]) -> None:
    encode_lines = msgspec.json.Encoder().encode_lines
    for batch in batches:
        file.write(encode_lines(batch))


def _write_parquet(file: IO[bytes], batches: Iterable[list[RecordedEvent]]) -> None:
    """Row groups of some MB; ids as text, data and metadata as the JSON that they are."""
    import pyarrow as pa  # half a second's work, and only Parquet wants it
    import pyarrow.parquet as pq

    from quantum_forge.eventstore.files.row_groups import RowGroups

    time = pa.timestamp("us", tz="UTC")
    types: dict[str, Any] = {
        "position": pa.int64(),
        "version": pa.int32(),
        "schema_version": pa.int16(),
        "occurred_at": time,
        "recorded_at": time,
    }
    fields = msgspec.structs.fields(RecordedEvent)
    schema = pa.schema([(f.encode_name, types.get(f.encode_name, pa.string())) for f in fields])
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
        groups = RowGroups(writer, BATCH_BYTES)
        for batch in batches:
            columns = [
                pa.array([_plain(getattr(event, field.name)) for event in batch], column.type)
                for field, column in zip(fields, schema, strict=True)
            ]
            groups.write(pa.RecordBatch.from_arrays(columns, schema=schema))
        groups.flush()


def _plain(value: Any) -> Any:
    """Ids and JSON as text; numbers, times and texts as they are."""
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return str(value) if isinstance(value, UUID) else value
