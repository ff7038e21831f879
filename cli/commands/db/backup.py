"""`qforge db backup` and `restore`: the whole database in a file."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_forge, open_whole_database
from quantum_forge.cli.show import console
from quantum_forge.eventstore.archive.backup import Progress, restore_backup, write_backup
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.installation import migrations


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup(file: Path, force: bool, as_json: bool) -> None:
    """Write the whole database to a file.

    FILE has the custom format of pg_dump, and appears when it is complete. Other sessions can read
    and write during the backup, which holds the state at its start. It does not contain the roles:
    restore creates them.

    \b
    Example:
      qforge db backup 2026-11-20.dump
    """
    with open_forge() as forge, _moving("backing up") as progress:
        done = write_backup(forge.engine, file, replace=force, progress=progress)
    if as_json:
        console.emit_json(done)
    else:
        console.emit(f"{file}: {done.bytes / 1e6:.1f} MB, {done.tables} tables")


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--trust-file",
    is_flag=True,
    help="Restore what Quantum Forge does not make, too, with all rights of the login.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(file: Path, trust_file: bool, as_json: bool) -> None:
    """Restore a backup into a database that has no events.

    FILE is a backup by `qforge db backup`. Either everything is restored or nothing. A log that
    holds events is never changed: restore into a new database, or a new QFORGE_HOME. A file with
    functions or other objects that Quantum Forge does not make is refused: they could run commands
    with the rights of the server.

    \b
    Example:
      QFORGE_HOME=/data/restored qforge db restore 2026-11-20.dump
      QFORGE_HOME=/data/restored qforge verify
    """
    with open_whole_database() as database, _moving("restoring") as progress:
        done = restore_backup(database.engine, file, trusted=trust_file, progress=progress)
        behind = migrations.migration_state(database.engine).pending
    if as_json:
        console.emit_json(done)
    else:
        console.emit(f"restored {counted(done.events, 'event')}, up to position {done.head}")
    if behind:
        console.note(
            f"The backup is {counted(len(behind), 'migration')} behind; run: qforge db upgrade"
        )


@contextlib.contextmanager
def _moving(label: str) -> Iterator[Progress]:
    """Show how far a backup or a restore is: on one line for people, now and then in a pipe."""
    on_terminal = console.is_terminal(sys.stderr)
    shown = time.monotonic()
    last = ""

    def progress(tables: int, of: int, written: int) -> None:
        nonlocal shown, last
        every = 0.2 if on_terminal else console.PLAIN_PROGRESS_EVERY
        if time.monotonic() - shown < every:
            return
        shown = time.monotonic()
        last = f"{label}: {tables} of {of} tables, {written / 1e6:.1f} MB"
        click.echo(f"\r\x1b[K{last}" if on_terminal else last, err=True, nl=not on_terminal)

    try:
        yield progress
    finally:
        if on_terminal and last:
            click.echo("", err=True)
