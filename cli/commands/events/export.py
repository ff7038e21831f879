"""`qforge events export`: the log, or a range of it, as a file."""

import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.event_type import types_option
from quantum_forge.cli.parse.options import json_option, place, time_range_options
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.files.export import ExportedLog, export_events
from quantum_forge.eventstore.log.place import Place
from quantum_forge.eventstore.log.read import Filter


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option(
    "--after",
    type=place,
    default="0",
    metavar="PLACE",
    help="Begin after this place, POSITION:EVENT_ID:DIGEST as the last export printed it. Where the"
    " log does not have these events, as after a failover that lost one, the export is refused."
    " POSITION:EVENT_ID compares one event, POSITION none.",
)
@click.option(
    "--upto",
    type=click.IntRange(min=0),
    metavar="POSITION",
    help="Stop after this position.  [default: the end of the log]",
)
@types_option()
@click.option("--tenant", type=click.UUID, help="Only events of this tenant.  [default: yours]")
@click.option("--all-tenants", is_flag=True, help="Events of every tenant that you may read.")
@time_range_options("what occurred ")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option("a summary as one JSON document, unless FILE is -")
def export(
    file: Path,
    after: Place,
    upto: int | None,
    types: tuple[str, ...],
    tenant: UUID | None,
    all_tenants: bool,
    since: datetime | None,
    until: datetime | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write events to a file, in the order of the log.

    FILE ends with .jsonl (one event per line, as `qforge events list --json` prints it) or .parquet
    (the same fields, with data and metadata as JSON text); - is stdout. The file appears when it is
    complete. The place that is printed is where the next export continues. Exports that continue
    each other hold every event of the log together.

    `qforge import events FILE` puts the events into another log, with their ids and times.

    \b
    Example:
      qforge events export log.parquet
      qforge events export new.jsonl --after \
        4711:01946f5e-7c1a-7000-8000-000000000000:tenant-3712-9f86d081884c7d65
      qforge events export - --type calculation_failed --since 2026-03-01 | jq .data
    """
    if tenant is not None and all_tenants:
        raise click.UsageError("--tenant and --all-tenants contradict each other")
    settings = load_settings()
    where = Filter(
        types=types or None,
        tenant_id=None if all_tenants else tenant or settings.tenant_id,
        since=since,
        until=until,
    )
    with open_forge(settings) as forge:
        done = export_events(
            forge.engine,
            sys.stdout.buffer if str(file) == "-" else file,
            forge.author,
            after=after,
            upto=upto,
            where=where,
            replace=force,
        )
    console.note(
        f"{counted(done.events, 'event')}, {_range(after, done)}; the next export continues with: "
        f"--after {done.place}"
    )
    if str(file) == "-":
        return
    if as_json:
        console.emit_json(done)
    else:
        console.emit(str(file))


def _range(after: Place, done: ExportedLog) -> str:
    """Describe the events in the file, and what was not compared with the previous export."""
    if after.position == 0 or after.digest is not None:
        return f"complete up to position {done.upto}"
    compared = (
        "no event id was given, so it was not checked that the previous export is of this log"
        if after.event_id is None
        else "no digest was given, so only the last event of the previous export was compared"
    )
    return f"complete from position {after.position + 1} to {done.upto} ({compared})"
