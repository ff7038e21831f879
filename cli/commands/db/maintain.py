"""`qforge db maintain`: the partitions of the log."""

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_forge, tell_trouble
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.availability.outage import Patience
from quantum_forge.eventstore.log.partitions import list_partitions, make_partitions

MAINTAIN_PATIENCE = 30.0
"""Seconds for which `db maintain` waits for long transactions to end."""


@click.command(cls=Command)
@click.option(
    "--scan",
    is_flag=True,
    help="Also when the default partition holds many events; appends wait during the scan.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def maintain(scan: bool, as_json: bool) -> None:
    """Create partitions of the log in advance, and show all partitions.

    Projectors do the same while they run. While a long transaction has the log open, the command
    tries again for half a minute; no session waits for it longer than 0.05 s. The rows are those
    that PostgreSQL counted last (ANALYZE); unknown where it has not yet.

    \b
    Example:
      qforge db maintain
    """
    with open_forge(writes=True) as forge:
        made = Patience(MAINTAIN_PATIENCE, on_trouble=tell_trouble).persist(
            lambda: make_partitions(forge.engine, scan=scan)
        )
        with forge.connect() as connection:
            partitions = list_partitions(connection)
    if as_json:
        console.emit_json({"made": made, "partitions": partitions})
        return
    for name in made:
        console.note(f"made {name}")
    columns = ["partition", "from", "to", "rows (estimate)", "bytes"]
    rows = [
        (each.name, each.first_position, each.last_position, _known(each.rows), each.bytes)
        for each in partitions
    ]
    console.table(columns, rows, right=columns[1:], title="Partitions of event_logs")


def _known(rows: int | None) -> int | str:
    return "unknown" if rows is None else rows
