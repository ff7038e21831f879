"""`qforge import events`: exported events, with their ids and times."""

from pathlib import Path

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.cli.show.appended import BadLines, progressing, tell
from quantum_forge.cli.show.catching_up import project_import
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.files.exported import read_exported
from quantum_forge.eventstore.files.lines import BadLine
from quantum_forge.eventstore.log.load import EncodedEvent, Loaded, load


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--skip-invalid", is_flag=True, help="Import the valid lines even if others are invalid."
)
@json_option("a summary as one JSON document")
@click.pass_context
def events(context: click.Context, file: Path, skip_invalid: bool, as_json: bool) -> None:
    """Import exported events, with their ids and times.

    FILE is .jsonl, as `qforge events list --json` and `qforge events export` write it, or .parquet
    with the same columns (data and metadata as JSON text). Ids, tenants, users and times of
    occurrence are kept; positions are assigned by this log, in the order of the file.

    The import may be repeated, and killed at any time: events that the log has already are not
    appended again. All lines are checked first; if one is invalid, nothing is imported and the exit
    status is 1. --skip-invalid imports the others, with exit status 3. Loading requires a database
    administrator.

    \b
    Example:
      qforge import events old-log.parquet
      qforge import events history.jsonl --skip-invalid --json
    """
    good, bad = 0, BadLines()
    for line in read_exported(file):
        if isinstance(line, EncodedEvent):
            good += 1
        else:
            bad.add(line)
    bad.end()
    done = Loaded()
    if good and (skip_invalid or not bad.count):
        with open_forge(load_settings(), writes=True) as forge:
            try:
                with console.progress("importing", good) as report:
                    every = (line for line in read_exported(file) if not isinstance(line, BadLine))
                    done = load(forge.engine, every, on_chunk=progressing(report))
            finally:
                project_import(forge.engine)
    tell(context, done, bad, verb="imported", skip_invalid=skip_invalid, as_json=as_json)
