"""`qforge as-of`: the rows of a read model as they were."""

from datetime import datetime

import click
from sqlalchemy import ColumnElement, Subquery, Text, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.cli.command import Command
from quantum_forge.cli.commands.queries import batches, calculations, molecules
from quantum_forge.cli.commands.recording import users
from quantum_forge.cli.parse.moments import moment
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.history.as_of import as_of as past_of
from quantum_forge.projections.history.moment import position_at
from quantum_forge.projections.queries.conditions import value_of
from quantum_forge.projections.queries.rows import rows
from quantum_forge.projections.registry import named
from quantum_forge.schema.language.projection import Projection

LISTS = {
    "batch_jobs": batches.LISTED,
    "calculations": calculations.LISTED,
    "molecules": molecules.LISTED,
    "users": users.LISTED,
}
"""The columns by which other commands list a table."""

LAST = 9
"""Rank of the columns that no list has."""


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
@view_options()
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
        found = rows(connection, query)
    console.note(f"As of position {position}.")
    if as_json:
        console.emit_json(found)
        return
    columns.table(_shown(projection), found)


def _shown(projection: Projection) -> list[Shown]:
    """Every column; on a terminal first the key, then those that the list of the table begins with.

    In a pipe they are in the order of the table.
    """
    every = {
        column.name: Shown(column.name, long=isinstance(column.type, Text | JSONB), rank=LAST)
        for column in projection.table.c
        if column.name != "tenant_id"
    }
    if not console.is_terminal():
        return list(every.values())
    first = {name: every[name]._replace(rank=0) for name in projection.key}
    first |= {each.name: each for each in LISTS.get(projection.name, ()) if each.name in every}
    return [*first.values(), *(each for each in every.values() if each.name not in first)]


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
