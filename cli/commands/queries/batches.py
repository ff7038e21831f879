"""`qforge batches`: which batches there are, and how far each has come."""

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries import calculations as queries
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.calculations import Row

LISTED = (
    Shown("id"),
    Shown("name", long=True),
    Shown("status"),
    Shown("method"),
    Shown("total_count", 0, "items"),
    Shown("successful_count", 0, "completed"),
    Shown("failed_count", 0, "failed"),
    Shown("source", long=True, extra=True),
    Shown("started_at", label="started", extra=True),
    Shown("optimization_level", label="level", long=True, extra=True, null="single point"),
    Shown("engine", extra=True),
)


@click.group(cls=Group)
def batches() -> None:
    """List batches.

    \b
    Example:
      qforge batches list
    """


@batches.command("list")
@click.option("--name", help="Only batches with this name.")
@limit_option("the newest")
@json_option()
def list_(name: str | None, limit: int, as_json: bool) -> None:
    """Print batches, the newest first. Several batches can have the same name.

    \b
    Example:
      qforge batches list --name molecules
      qforge batches list --json
    """
    settings = load_settings()
    with open_forge(settings, reads=["batch_jobs"]) as forge, forge.connect() as connection:
        query = queries.select_batches(settings.tenant_id, name=name, limit=limit)
        found = queries.rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, map(_with_settings, found))


def _with_settings(batch: Row) -> Row:
    """A batch with the settings of its parameters that are listed; `method` has the solvent."""
    parameters = batch["parameters"] or {}
    return {
        **batch,
        "method": lookup.method_of(batch),
        "optimization_level": parameters.get("optimization_level"),
        "engine": parameters.get("engine"),
    }
