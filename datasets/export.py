"""Making a dataset: the rows of a recipe into a file, with a manifest beside it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET
from sqlalchemy import Connection, Engine

from quantum_forge.datasets.columns import arrow_schema, units_by_name
from quantum_forge.datasets.content import ContentHash
from quantum_forge.datasets.formats import Header, Writer, format_named
from quantum_forge.datasets.manifest import (
    Manifest,
    Recipe,
    Written,
    beside_of,
    software_versions,
)
from quantum_forge.datasets.mixture import Settings
from quantum_forge.datasets.rows import Rows
from quantum_forge.datasets.selection import (
    Excluded,
    select_candidates,
    select_counts,
    select_judged,
)
from quantum_forge.eventstore.base.codec import encode
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.whole_file import whole_file, write_whole
from quantum_forge.eventstore.database.availability.standby import require_primary
from quantum_forge.eventstore.log.place import Place, place_at
from quantum_forge.eventstore.log.time_range import select_last
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.checkpoint import fingerprint
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.audit import DataExported


class Progress(Protocol):
    """Is told how many rows there will be, and then of each batch."""

    def __call__(self, rows: int, total: int) -> None:
        """So many more rows are written, of so many."""


class TextOnly(QuantumForgeError):
    """A format that is no text cannot go to stdout."""

    exit_status = 2

    def __init__(self, format_: str) -> None:
        super().__init__(
            f"{format_} is not a text format: give a file with --output, or another --format"
        )


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What was written; see `Manifest`."""

    rows: int
    atoms: int
    excluded: dict[str, int]
    sha256: str
    column_sha256: dict[str, str]
    programs: dict[str, int]
    settings: dict[str, dict[str, int]]


class End(msgspec.Struct, frozen=True):
    """The end of what a dataset was made from; see `Manifest`."""

    recorded_at: datetime | None
    place: Place


def quietly(rows: int, total: int) -> None:
    """No progress is shown."""


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the tables, whatever is projected meanwhile."""
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="REPEATABLE READ")


def write_rows(
    connection: Connection,
    recipe: Recipe,
    file: IO[bytes] | None,
    path: Path | None = None,
    progress: Progress = quietly,
) -> Content:
    """Write the rows of a recipe to a file, or to none to have the hash of the content.

    Args:
        connection: in a `snapshot` that began when the recipe's position was safe.
        recipe: what to write.
        file: opened for writing in order.
        path: where the file is, for formats that must seek.
        progress: told of each batch.

    Raises:
        UnknownSelection, UnknownFormat, MissingLibrary, UnreadableAtoms.
    """
    format_ = format_named(recipe.format)
    candidates = select_candidates(
        connection, recipe.tenant_id, recipe.position, recipe.selection.batch_id
    )
    judged = select_judged(candidates, recipe.selection)
    counted = connection.execute(select_counts(judged)).all()
    excluded = {row.reason: row.calculations for row in counted if row.reason is not None}
    total = sum(row.calculations for row in counted if row.reason is None)
    schema = arrow_schema(recipe.units, recipe.about())
    rows = Rows(connection, judged, format_.sequence, recipe.units, schema)
    content, written = ContentHash(), 0
    programs: Counter[str] = Counter()
    settings = Settings()
    writer: Writer | None = None
    if file is not None:
        writer = format_.open(Header(schema, recipe.units, recipe.about()), file, path)
    try:
        for batch in rows:
            content.update(batch)
            programs.update(_programs(batch))
            settings.update(batch)
            if writer is not None:
                writer.write(batch)
            written += batch.num_rows
            progress(batch.num_rows, total)
    except BaseException:
        if writer is not None:
            # Nobody will read the file; it shall only be let go of.
            with suppress(Exception):
                writer.close()
        raise
    if writer is not None:
        writer.close()
    if written + rows.without_atoms != total:
        raise AssertionError(f"{written} rows and {rows.without_atoms} without atoms of {total}")
    if rows.without_atoms:
        excluded[Excluded.NO_ATOMS.value] = rows.without_atoms
    return Content(
        rows=written,
        atoms=rows.atoms,
        excluded=dict(sorted(excluded.items())),
        sha256=content.hexdigest(),
        column_sha256=content.by_column(),
        programs=dict(sorted(programs.items())),
        settings=settings.by_value(),
    )


def export_file(
    engine: Engine,
    recipe: Recipe,
    path: Path,
    *,
    as_of: str | None = None,
    replace: bool = False,
    progress: Progress = quietly,
    author: Author | None = None,
    accept: Callable[[Manifest], None] = lambda _: None,
) -> Manifest:
    """Write a dataset to a file, and its manifest beside it; both appear whole or not at all.

    Args:
        engine: of the database.
        recipe: what to write; its position must be safe
            (`quantum_forge.projections.history.moment.position_at`).
        path: of the file.
        as_of: the moment that was asked for, for the manifest.
        replace: whether a file that is there may be replaced.
        progress: told of each batch.
        author: who exports, for the event that records it; None records nothing.
        accept: called with the manifest when all is written, before that is recorded and the file
            has its name; what it raises undoes the export.

    Raises:
        TargetExists, TargetBusy, TargetUnwritable, and what `write_rows` raises.
        NeedsPrimary: with an author, on a standby, where the export cannot be recorded.
    """
    if author is not None:
        require_primary(engine, "an export, which is recorded in the log,")
    with whole_file(path, replace=replace) as partial:
        with snapshot(engine) as connection, partial.open("wb") as file:
            content = write_rows(connection, recipe, file, partial, progress)
            end = end_of(connection, recipe)
        written = Written(name=path.name, bytes=partial.stat().st_size, sha256=_sha256_of(partial))
        manifest = manifest_of(recipe, content, as_of, end, written)
        accept(manifest)
        if author is not None:
            # First, so that no data leaves of which the log does not tell.
            record_export(engine, author, manifest, str(path.absolute()))
        write_whole(beside_of(path), manifest.encoded(), replace=True)
    return manifest


def export_stream(
    engine: Engine,
    recipe: Recipe,
    stream: IO[bytes],
    *,
    as_of: str | None = None,
    progress: Progress = quietly,
    author: Author | None = None,
) -> Manifest:
    """Write a dataset in a text format to a stream, which is left open.

    What left until the reader had enough is recorded, too.

    Raises:
        EventRefused when the export cannot be recorded, before anything is written; TextOnly,
        BrokenPipeError when nobody reads any more, and what `write_rows` raises.
    """
    if not format_named(recipe.format).is_text:
        raise TextOnly(recipe.format)
    if author is not None:
        require_primary(engine, "an export, which is recorded in the log,")
        # Before a byte leaves: an export that cannot be recorded is not made.
        encode(_exported(recipe, 0, None, "stdout"))
    left = 0

    def count(rows: int, total: int) -> None:
        nonlocal left
        left += rows
        progress(rows, total)

    try:
        with snapshot(engine) as connection:
            content = write_rows(connection, recipe, stream, None, count)
            end = end_of(connection, recipe)
        stream.flush()
    except BrokenPipeError:
        if author is not None:
            record(engine, author, recipe, left, None, "stdout, until the reader closed it")
        raise
    manifest = manifest_of(recipe, content, as_of, end, None)
    if author is not None:
        record_export(engine, author, manifest, "stdout")
    return manifest


def manifest_of(
    recipe: Recipe,
    content: Content,
    as_of: str | None,
    end: End,
    written: Written | None,
) -> Manifest:
    """The manifest of what was written now."""
    names = ["calculations", "molecules", "molecule_properties_computed"]
    if recipe.selection.batch_id is not UNSET:
        names.append("batch_items")
    return Manifest(
        recipe=recipe,
        as_of=as_of,
        recorded_at=end.recorded_at,
        place=end.place,
        created_at=datetime.now(UTC),
        rows=content.rows,
        atoms=content.atoms,
        excluded=content.excluded,
        content_sha256=content.sha256,
        column_sha256=content.column_sha256,
        file=written,
        programs=content.programs,
        software=software_versions(),
        definitions={name: fingerprint(PROJECTIONS[name]) for name in names},
        column_units=units_by_name(recipe.units),
        settings=content.settings,
    )


def record_export(engine: Engine, author: Author, manifest: Manifest, destination: str) -> None:
    """Append the event that an export is."""
    record(engine, author, manifest.recipe, manifest.rows, manifest.content_sha256, destination)


def record(
    engine: Engine,
    author: Author,
    recipe: Recipe,
    rows: int,
    content_sha256: str | None,
    destination: str,
) -> None:
    """Append the event of so many rows that left, to so much as is known of them."""
    event = _exported(recipe, rows, content_sha256, destination)
    with Recorder(engine, author) as recorder:
        recorder.record(event)


def _exported(
    recipe: Recipe, rows: int, content_sha256: str | None, destination: str
) -> DataExported:
    return DataExported(
        what=f"dataset {recipe.name}",
        format=recipe.format,
        row_count=rows,
        position=recipe.position,
        content_sha256=content_sha256,
        destination=destination,
        parameters=recipe.about(),
    )


def end_of(connection: Connection, recipe: Recipe) -> End:
    """State of the log at the position of a dataset."""
    row = connection.execute(select_last(0, recipe.position)).one_or_none()
    return End(
        None if row is None else row.recorded_at,
        place_at(connection, recipe.position, tenant_id=recipe.tenant_id),
    )


def _programs(batch: pa.RecordBatch) -> dict[str, int]:
    named = pc.binary_join_element_wise(
        batch["program"],
        batch["program_version"],
        " ",
        null_handling="replace",
        null_replacement="?",
    )
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(named).to_pylist()}


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
