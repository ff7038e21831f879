"""`qforge explain`: the events behind a row, and which gave each column its value."""

from datetime import datetime

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.moments import MOMENT, moment
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.event_table import LONGEST_DATA, shortened
from quantum_forge.projections.history.lineage import Lineage
from quantum_forge.projections.registry import named

MOST_POSITIONS = 8
"""Positions that people get to see of a value that many events made."""


@click.command(cls=Command)
@click.argument("table")
@click.argument("key")
@click.option(
    "--at",
    type=moment,
    metavar="TIME",
    help=f"Explain the row as it was at {MOMENT}.",
)
@json_option()
def explain(table: str, key: str, at: int | datetime | None, as_json: bool) -> None:
    """Print the events behind a row, and which of them gave each column its value.

    TABLE is the name of a projection. KEY is the id of the row, or a prefix of at least 4 digits.
    For a key of several columns, separate the values by commas; leave out those that are not needed
    to identify the row.

    \b
    Example:
      qforge explain calculations 01946f5e
      qforge explain atomic_properties 01946f5e,0 --json
    """
    (projection,) = named([table])
    with open_forge(reads=[projection.name] if at is None else []) as forge:
        found = forge.explain(table, key, at=at)
    if as_json:
        console.emit_json(found)
    else:
        _print(found)


def _print(found: Lineage) -> None:
    types = {step.event.position: step.event.event_type for step in found.steps}
    if found.row is None:
        console.note(f"There is no such row at position {found.position}; its events:")
    else:
        console.table(
            ("column", "value", "position", "event"),
            (
                (
                    origin.column,
                    origin.value,
                    _listed([str(position) for position in origin.positions]),
                    _listed(list(dict.fromkeys(types[at] for at in origin.positions))),
                )
                for origin in found.origins
                if origin.column != "tenant_id" and (origin.value is not None or origin.positions)
            ),
            title=found.projection,
            is_one_of_several=True,
        )
        console.emit("")
    console.table(
        ("position", "occurred_at", "event", "effect", "data"),
        (
            (
                step.event.position,
                columns.local(step.event.occurred_at)
                if console.is_terminal()
                else step.event.occurred_at,
                step.event.event_type,
                step.effect,
                shortened(step.event.data, LONGEST_DATA),
            )
            for step in found.steps
        ),
        right=["position"],
        title="events",
        is_one_of_several=found.row is not None,
    )


def _listed(texts: list[str]) -> str:
    if not console.is_terminal() or len(texts) <= MOST_POSITIONS:
        return ", ".join(texts)
    return f"{', '.join(texts[:MOST_POSITIONS])}, … ({len(texts)})"
