"""`qforge diff`: what changed in a read model between two moments."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.moments import MOMENT, moment
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.moments import position_of
from quantum_forge.projections.history.difference import Change

LISTED = (
    Shown("row"),
    Shown("key", long=True),
    Shown("column", long=True),
    Shown("from", long=True),
    Shown("to", long=True),
)


@click.command(cls=Command)
@click.argument("table")
@click.option(
    "--from",
    "earlier",
    type=moment,
    metavar="TIME",
    required=True,
    help=f"The first time: {MOMENT}.",
)
@click.option(
    "--to",
    "later",
    type=moment,
    metavar="TIME",
    help="The second time, written as for --from.  [default: the end of the log]",
)
@view_options()
@limit_option("the first rows by key that differ")
@json_option()
def diff(
    table: str, earlier: int | datetime, later: int | datetime | None, limit: int, as_json: bool
) -> None:
    """Print the rows of a read model that differ between two times.

    TABLE is the name of a projection. A changed row has a line for each changed column, with its
    old and new value.

    \b
    Example:
      qforge diff calculations --from 2h
      qforge diff molecules --from 2026-10 --to 2026-11 --json    # what November changed
    """
    with open_forge() as forge:
        with forge.connect() as connection:
            # What happened since a time before the log is all of the log.
            positions = [
                position_of(connection, each, may_precede=True) for each in (earlier, later)
            ]
        found = forge.diff(table, *positions, limit=limit)
    if as_json:
        console.emit_json({"from": positions[0], "to": positions[1], "difference": found})
        return
    console.note(
        f"From position {positions[0]} to {positions[1]}: {found.added} added, "
        f"{found.removed} removed, {found.changed} changed."
    )
    columns.table(LISTED, _lines(found.examples))
    more = found.added + found.removed + found.changed - len(found.examples)
    if more:
        console.note(
            f"… and {counted(more, 'more row')}; see {'it' if more == 1 else 'them'} with --limit"
        )


def _lines(changes: Iterable[Change]) -> Iterator[dict[str, object]]:
    for change in changes:
        key = ",".join(str(value) for name, value in change.key.items() if name != "tenant_id")
        if change.before is None or change.after is None:
            yield {"row": change.kind, "key": key, "column": None, "from": None, "to": None}
            continue
        for name in change.columns:
            yield {
                "row": change.kind,
                "key": key,
                "column": name,
                "from": change.before[name],
                "to": change.after[name],
            }
