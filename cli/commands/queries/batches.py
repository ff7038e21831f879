"""`qforge batches`: list batches, and show one with its items by status."""

from datetime import datetime

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.commands.queries.calculations import FAILED, WITHOUT_RESULT
from quantum_forge.cli.parse.named import named_project, named_user, tables_of
from quantum_forge.cli.parse.options import (
    json_option,
    limit_option,
    people_options,
    time_range_options,
)
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.batches import select_batches
from quantum_forge.projections.queries.rows import Row, rows
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import LIFECYCLES

STATUSES = LIFECYCLES["batch"].states

LISTED = (
    Shown("id"),
    Shown("name", long=True),
    Shown("status"),
    Shown("method", rank=1, setting=True),
    Shown("total_count", 0, "items"),
    Shown("successful_count", 0, "completed"),
    Shown("failed_count", 0, "failed"),
    Shown("source", long=True, rank=2),
    Shown("started_at", label="started", rank=1),
    Shown(
        "optimization_level", label="level", long=True, rank=3, null="single point", setting=True
    ),
    Shown("engine", rank=3, setting=True),
)


@click.group(cls=Group)
def batches() -> None:
    """List and show batches.

    \b
    Example:
      qforge batches list
      qforge batches show molecules
    """


@batches.command("list")
@click.option("--name", help="Only batches with this name.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES),
    multiple=True,
    help="Only with this status; may be repeated.",
)
@people_options("batches")
@time_range_options("what was created ")
@view_options()
@limit_option("the newest")
@json_option()
def list_(
    name: str | None,
    statuses: tuple[str, ...],
    user: str | None,
    project: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print batches, the newest first. Several batches can have the same name.

    \b
    Example:
      qforge batches list --name molecules
      qforge batches list --status cancelled --user ada --since 3d
      qforge batches list --json
    """
    settings = load_settings()
    reads = ["batch_jobs", *tables_of(user, project)]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        query = select_batches(
            settings.tenant_id,
            name=name,
            statuses=list(statuses) or None,
            user_id=named_user(connection, settings.tenant_id, user),
            project_id=named_project(connection, settings.tenant_id, project),
            since=since,
            until=until,
            limit=limit,
        )
        found = rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, map(_with_settings, found))


@batches.command()
@click.argument("batch")
@view_options(several=True)
@limit_option("the first items without a result")
@json_option()
def show(batch: str, limit: int, as_json: bool) -> None:
    """Print a BATCH, its items by their present status, and why items have no result.

    BATCH is its name, its id, or a prefix of the id of at least 4 digits. Where several batches
    fit, they are listed, and the exit status is 1. All items: qforge calculations list --batch.

    \b
    Example:
      qforge batches show molecules
      qforge batches show 7d44a1f0 --json
    """
    settings = load_settings()
    reads = ["batch_jobs", "batch_items", "calculations", "molecules"]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        details = lookup.batch_details(connection, settings.tenant_id, batch, limit=limit)
    if as_json:
        console.emit_json(details)
        return
    columns.record(details.batch, PROJECTIONS["batch_jobs"].table, title="batch")
    console.emit("")
    console.table(
        ("status", "items"),
        details.statuses.items(),
        right=("items",),
        title="items by status",
        is_one_of_several=True,
    )
    if details.without_result:
        console.emit("")
        columns.table(FAILED, details.without_result, title="items without a result")
        more = sum(details.statuses.get(each, 0) for each in WITHOUT_RESULT)
        if (more := more - len(details.without_result)) > 0:
            console.note(f"… and {more} more; see them with --limit")


def _with_settings(batch: Row) -> Row:
    """A batch with the settings of its parameters that are listed; `method` has the solvent."""
    parameters = batch["parameters"] or {}
    return {
        **batch,
        "method": lookup.method_of(batch),
        "optimization_level": parameters.get("optimization_level"),
        "engine": parameters.get("engine"),
    }
