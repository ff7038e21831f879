"""`qforge events append`: events from a file or a pipe into the log."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.cli.show.appended import BadLines, progressing, tell
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.base.size import LARGEST_APPEND
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.files.lines import BadLine, read_lines
from quantum_forge.eventstore.log.load import Loaded

AT_ONCE = 10_000
"""Events that are appended in one transaction; more go in several."""

LARGEST_FILE = LARGEST_APPEND // 8 * 7
"""Bytes of lines that are appended in one transaction: what their envelopes get is within 1/8."""


@click.command(cls=Command)
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    required=True,
    help="JSON Lines with one event per line; - reads stdin.",
)
@click.option(
    "--skip-invalid", is_flag=True, help="Append the valid lines even if others are invalid."
)
@json_option("a summary as one JSON document")
@click.pass_context
def append(context: click.Context, file: IO[bytes], skip_invalid: bool, as_json: bool) -> None:
    """Append the events of a file of JSON Lines.

    Each line is an object with event_type, entity_id and data, and optionally event_id, tenant_id,
    user_id, occurred_at, metadata, schema_version, expected_version. Tenant and user default to
    yours.

    A line without event_id gets an id derived from its text and its line number. Appending the same
    file again, also after an interruption, therefore appends only what is missing; a line that has
    moved or changed is a different event.

    All lines are checked first. If one is invalid, nothing is appended and the exit status is 1;
    --skip-invalid appends the others, with exit status 3. Up to 10,000 events of 256 MB together
    are appended in one transaction, all or none; larger files take several transactions, and their
    events cannot have expected_version.

    \b
    Example:
      qforge events append --file history.jsonl
      zcat old.jsonl.gz | qforge events append --file - --skip-invalid --json
    """
    settings = load_settings()
    with ExitStack() as stack:
        if not file.seekable():
            spool = stack.enter_context(tempfile.TemporaryFile(prefix="qforge-"))
            shutil.copyfileobj(file, spool)
            file = spool
        bad = BadLines(show_all=skip_invalid)
        good = _check(file, settings, bad)
        done = Loaded()
        if not bad.count or skip_invalid:
            forge = stack.enter_context(open_forge(settings, writes=True))
            with console.progress("append", good) as report:
                if _is_one_append(file, good):
                    placed = forge.append(list(_good(file, forge.settings)))
                    appended = sum(place.appended for place in placed)
                    done = Loaded(appended, len(placed) - appended)
                    report(good)
                else:
                    source = _good(file, forge.settings)
                    done = forge.load(source, on_chunk=progressing(report))
    tell(context, done, bad, verb="appended", skip_invalid=skip_invalid, as_json=as_json)


def _check(file: IO[bytes], settings: Settings, bad: BadLines) -> int:
    """Read all lines; name the bad ones, and count the others."""
    good = 0
    expects = False
    for line in _lines(file, settings):
        if isinstance(line, NewEvent):
            good += 1
            expects = expects or line.expected_version is not None
        else:
            bad.add(line)
    bad.end()
    if expects and not _is_one_append(file, good):
        raise EventRefused(
            "append",
            f"expected_version is possible for up to {AT_ONCE} events, of {LARGEST_FILE // 2**20} "
            "MB together: split the file",
        )
    return good


def _is_one_append(file: IO[bytes], good: int) -> bool:
    return good <= AT_ONCE and file.seek(0, os.SEEK_END) <= LARGEST_FILE


def _lines(file: IO[bytes], settings: Settings) -> Iterator[NewEvent | BadLine]:
    file.seek(0)
    yield from read_lines(file, tenant_id=settings.tenant_id, user_id=settings.user_id)


def _good(file: IO[bytes], settings: Settings) -> Iterator[NewEvent]:
    return (line for line in _lines(file, settings) if isinstance(line, NewEvent))
