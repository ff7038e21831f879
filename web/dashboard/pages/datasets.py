"""Data sets: build one, see what is left out and why, take it with its manifest, compare two."""

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import select
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from quantum_forge.datasets.difference import DatasetDifference, compare
from quantum_forge.datasets.export import Content, end_of, export_file, manifest_of
from quantum_forge.datasets.formats import format_named
from quantum_forge.datasets.manifest import Recipe, beside_of
from quantum_forge.datasets.selection import (
    Selection,
    select_candidates,
    select_counts,
    select_judged,
)
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.schema.domains.audit import DataExported
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.dashboard.panels import Asked, Page, Panel, address_of, read_query
from quantum_forge.web.parts import parts_of
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.server import Server

PATH = "/datasets"
TAKEN = "/datasets.zip"
ROWS = 50
"""Examples of the rows that are in a data set, or left out for a reason."""

REASONS: Mapping[str, str] = {
    "retracted": "its result was retracted",
    "invalidated": "its result does not count",
    "molecule_deleted": "its molecule was deleted",
    "value_missing": "a value that a condition asks for is missing",
    "beyond_limit": "it comes after the limit",
    "no_atoms": "it has no atoms",
    "failed": "it failed",
    "lost": "its process was lost",
    "running": "it runs",
    "pending": "it waits for a runner",
}
"""Why calculations are left out."""


class DatasetsQuery(msgspec.Struct, frozen=True):
    """What is asked for. where: conditions such as gap>2, in the units of the tables.

    reason: of those that are left out, whose examples are shown.
    """

    where: list[str] = []
    batch_id: UUID | None = None
    order: str | None = None
    descending: bool = False
    limit: int | None = None
    format: Literal["parquet", "csv", "jsonl", "extxyz", "sdf", "hdf5"] = "parquet"
    name: str = "dataset"
    reason: str | None = None
    before: int | None = None
    after: int | None = None


def link(query: DatasetsQuery, path: str = PATH, **changes: Any) -> str:
    """Return an address with the same data set, and some parameters changed."""
    return address_of(path, query, **changes)


def _selection(query: DatasetsQuery) -> Selection:
    return Selection(
        where=[each for each in query.where if each.strip()],
        order=query.order,
        descending=query.descending,
        limit=query.limit,
        batch_id=UNSET if query.batch_id is None else query.batch_id,
    )


def _judged(asked: Asked) -> Any:
    query: DatasetsQuery = asked.query
    selection = _selection(query)
    tenant_id = asked.tenant_id
    candidates = select_candidates(asked.connection, tenant_id, None, selection.batch_id)
    return select_judged(candidates, selection)


def _counts(asked: Asked) -> Any:
    """Count what the data set has, and what is left out by reason, as the tables are now."""
    found = asked.connection.execute(select_counts(_judged(asked))).all()
    counts = {row.reason: row.calculations for row in found}
    return {
        "kept": counts.pop(None, 0),
        "excluded": sorted(counts.items(), key=lambda item: -item[1]),
        "reasons": REASONS,
        "link": link,
    }


def _examples(asked: Asked) -> Any:
    query: DatasetsQuery = asked.query
    judged = _judged(asked)
    c = judged.c
    reason = c.reason.is_(None) if query.reason is None else c.reason == query.reason
    columns = (c.calculation_id, c.molecule_id, c.name, c.smiles, c.method, c.energy, c.gap)
    statement = select(*columns).where(reason).order_by(c.log_position.desc()).limit(ROWS)
    return {"rows": asked.connection.execute(statement).all(), "reasons": REASONS}


def _exports(asked: Asked) -> Sequence[Any]:
    """The last exports of data sets: everybody's for an admin, else one's own."""
    log = event_logs.c
    statement = (
        select(log.id, log.occurred_at, log.user_id, log.data)
        .where(
            log.tenant_id == asked.tenant_id,
            log.event_type == DataExported.event_type,
            log.data["what"].astext.startswith("dataset ", autoescape=True),
            *([] if asked.caller.may(Role.ADMIN, READ) else [_is_own(asked.caller)]),
        )
        .order_by(log.id.desc())
        .limit(ROWS)
    )
    return asked.connection.execute(statement).all()


def _is_own(caller: Caller) -> Any:
    return event_logs.c.user_id == caller.user_id


def _difference(asked: Asked) -> Any:
    """Compare two exports, or one with what the same conditions give now."""
    query: DatasetsQuery = asked.query
    if query.before is None:
        return None
    manifests = [_manifest(asked, each) for each in (query.before, query.after) if each is not None]
    recorder = asked.server.recorder(asked.tenant_id)
    found: DatasetDifference = compare(
        asked.server.engine,
        manifests[0],
        manifests[1] if len(manifests) > 1 else None,
        recorder.author,
        limit=ROWS,
    )
    return found


def _manifest(asked: Asked, position: int) -> Any:
    """The recipe of an export, as its event has it, in the form of a manifest.

    Raises:
        RestError: 404 for a position where the caller finds no export of a data set.
    """
    log = event_logs.c
    data = asked.connection.scalar(
        select(log.data).where(
            log.id == position,
            log.tenant_id == asked.tenant_id,
            log.event_type == DataExported.event_type,
            *([] if asked.caller.may(Role.ADMIN, READ) else [_is_own(asked.caller)]),
        )
    )
    try:
        recipe = msgspec.convert((data or {}).get("parameters"), Recipe)
    except msgspec.ValidationError:
        raise RestError(404, "QF404", f"position {position} is no export of a data set") from None
    return _as_manifest(asked, recipe)


def _as_manifest(asked: Asked, recipe: Recipe) -> Any:
    nothing = Content(
        rows=0, atoms=0, excluded={}, sha256="", column_sha256={}, programs={}, settings={}
    )
    return manifest_of(recipe, nothing, None, end_of(asked.connection, recipe), None)


async def take_dataset(request: Request) -> Response:
    """Answer GET /datasets.zip: the data set of the page, and its manifest; the export is recorded.

    Raises:
        RestError: as the page.
    """
    server: Server = parts_of(request).server
    caller = await server.caller(request)
    caller.require(DATASETS.needs, READ, "data sets")
    tenant_id = server.tenant_of(caller)
    query: DatasetsQuery = read_query(DATASETS, request)
    format_ = format_named(query.format)
    name = "".join(each if each.isalnum() or each in "-_." else "_" for each in query.name)[:80]
    recorder = server.recorder_for(caller, request)
    # A directory of its own, which is removed when the file was sent, however that ends.
    folder = tempfile.TemporaryDirectory(prefix="qforge-dataset-")

    def write() -> Path:
        with server.exports.one(tenant_id):
            with server.engine.connect() as connection:
                position = safe_head(connection)
            recipe = Recipe(
                name=name,
                tenant_id=tenant_id,
                position=position,
                selection=_selection(query),
                format=format_.name,
                units=format_.units,
            )
            path = Path(folder.name) / f"{name}{format_.suffix}"
            export_file(server.engine, recipe, path, author=recorder.author)
            packed = Path(folder.name) / f"{name}.zip"
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for each in (path, beside_of(path)):
                    archive.write(each, each.name)
                    each.unlink()
            return packed

    try:
        packed = await server.in_thread(write)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        packed,
        media_type="application/zip",
        filename=packed.name,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        background=BackgroundTask(folder.cleanup),
    )


DATASETS = Page(
    path=PATH,
    title="Data sets",
    query=DatasetsQuery,
    template="datasets/page.html",
    panels=(
        Panel(
            name="counts",
            title="What it has, and what is left out",
            read=_counts,
            template="datasets/counts.html",
            reads_log=True,
        ),
        Panel(
            name="examples",
            title="Examples",
            read=_examples,
            template="datasets/examples.html",
            reads_log=True,
        ),
        Panel(
            name="exports",
            title="Exports of data sets",
            read=_exports,
            template="datasets/exports.html",
            live=("data_exported",),
            reads_log=True,
        ),
    ),
)

DIFFERENCE = Page(
    path="/datasets/difference",
    title="Difference of data sets",
    query=DatasetsQuery,
    in_navigation=False,
    panels=(
        Panel(
            name="difference",
            title="Difference",
            read=_difference,
            template="datasets/difference.html",
            reads_log=True,
        ),
    ),
)
