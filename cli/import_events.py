"""`qforge import events`: exported events, with their ids and times."""

from pathlib import Path

import click
import msgspec

from cli import console
from cli.options import json_option
from cli.session import migrated_database
from eventstore.exported import read_exported
from eventstore.lines import BadLine
from eventstore.load import EncodedEvent, Loaded, load
from eventstore.settings import load_settings
from projections.projector import catch_up
from projections.registry import PROJECTIONS

BAD_LINES_SHOWN = 20
PROBLEMS_KEPT = 1_000


class ImportedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; `repeated` events were in the log already."""

    appended: int
    repeated: int
    invalid: int
    problems: list[dict[str, object]]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--skip-invalid", is_flag=True, help="Import the good lines although others are bad.")
@json_option("a summary as one JSON document")
@click.pass_context
def events(context: click.Context, file: Path, skip_invalid: bool, as_json: bool) -> None:
    """Import exported events, with their ids and times.

    FILE is .jsonl, as `qforge events list --json` and `qforge events export` write it, or .parquet
    with the same columns (data and metadata as JSON text). Ids, tenants, users and times of
    occurrence stay what they were; positions are those of this log, in the order of the file.

    It may be run twice and killed at any time: what is in the log already is not appended again.
    All lines are checked first; if one is bad, nothing is imported and the exit status is 1.
    Loading takes an administrator of the database.

    \b
    Example:
      qforge import events old-log.parquet
      qforge import events history.jsonl --skip-invalid --json
    """
    good = invalid = 0
    problems: list[dict[str, object]] = []
    for line in read_exported(file):
        if isinstance(line, EncodedEvent):
            good += 1
            continue
        invalid += 1
        if len(problems) < PROBLEMS_KEPT:
            problems.append({"line": line.number, "reason": line.reason})
        if invalid <= BAD_LINES_SHOWN:
            console.note(console.printable(str(line)))
    if invalid > BAD_LINES_SHOWN:
        console.note(f"… and {invalid - BAD_LINES_SHOWN} more bad lines")
    done = Loaded()
    if good and (skip_invalid or not invalid):
        with migrated_database(load_settings()) as database:
            try:
                with console.progress("importing", good) as report:
                    shown = 0

                    def loaded(so_far: Loaded) -> None:
                        nonlocal shown
                        report(so_far.appended + so_far.repeated - shown)
                        shown = so_far.appended + so_far.repeated

                    every = (line for line in read_exported(file) if not isinstance(line, BadLine))
                    done = load(database.engine, every, on_chunk=loaded)
            finally:
                catch_up(database.engine, PROJECTIONS.values())
    said = ImportedEvents(
        appended=done.appended, repeated=done.repeated, invalid=invalid, problems=problems
    )
    if as_json:
        console.emit_json(said)
    else:
        console.table(
            ("outcome", "events"),
            [
                ("imported", said.appended),
                ("already there", said.repeated),
                ("bad lines", said.invalid),
            ],
            right=["events"],
        )
    if invalid:
        if not skip_invalid:
            console.error("nothing was imported: correct the lines, or give --skip-invalid")
        context.exit(1)
