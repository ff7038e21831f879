"""`qforge as-of`: the rows of a read model as they were."""

from datetime import datetime

import click
from sqlalchemy import ColumnElement, Subquery, literal, select

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.moments import moment
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.history.as_of import as_of as past_of
from quantum_forge.projections.history.moment import position_at
from quantum_forge.projections.queries import calculations as queries
from quantum_forge.projections.queries.conditions import value_of
from quantum_forge.projections.registry import named
from quantum_forge.schema.language.projection import Projection


@click.command("as-of", cls=Command)
@click.argument("time", type=moment)
@click.argument("table")
@click.option(
    "--where",
    "conditions",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="Only rows with this value, an empty one for null; may be repeated: all must match.",
)
@limit_option("the first by key")
@json_option()
def as_of(
    time: int | datetime, table: str, conditions: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """Print the rows of a read model as they were at an earlier time.

    TIME is a position of the log, a time, or how long ago: 4711, 2026-11-20T14:30, 2h. A day or a
    month means its end. TABLE is the name of a projection. The rows are folded from the log; the
    table is not read.

    \b
    Example:
      qforge as-of 2h calculations --where status=running
      qforge as-of 4711 molecules --where id=7d44… --json
    """
    (projection,) = named([table])
    settings = load_settings()
    with open_forge(settings) as forge, forge.connect() as connection:
        position = position_at(connection, time)
        past = past_of(projection, position)
        query = select(past).where(past.c.tenant_id == settings.tenant_id)
        for written in conditions:
            query = query.where(_condition(projection, past, written))
        query = query.order_by(*(past.c[name] for name in projection.key)).limit(limit)
        found = queries.rows(connection, query)
    console.note(f"As of position {position}.")
    if as_json:
        console.emit_json(found)
        return
    names = [column.name for column in past.c if column.name != "tenant_id"]
    if console.is_terminal():
        # What is null in every row would only take the room of what is not.
        names = [name for name in names if any(row[name] is not None for row in found)]
    console.table(names, ([row[name] for name in names] for row in found))


def _condition(projection: Projection, past: Subquery, written: str) -> ColumnElement[bool]:
    """What `COLUMN=VALUE` asks for; the value as the column's type reads it."""
    name, equals, value = written.partition("=")
    if not equals or name not in past.c:
        raise click.BadParameter(
            f"{written!r}: write COLUMN=VALUE; {projection.name} has {', '.join(past.c.keys())}",
            param_hint="--where",
        )
    column = past.c[name]
    if not value:
        return column.is_(None)
    try:
        wanted = value_of(projection.table.c[name], value)
    except ValueError as error:
        raise click.BadParameter(f"{name}: {error}", param_hint="--where") from error
    return literal(wanted, column.type) == column
