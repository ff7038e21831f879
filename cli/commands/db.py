"""`qforge db`: migrate, inspect and reset the database."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from quantum_forge.cli.command import Group
from quantum_forge.cli.session import open_forge, tell_trouble
from quantum_forge.cli.show import console
from quantum_forge.eventstore.archive.backup import Progress, restore_backup, write_backup
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.address import for_programs, libpq_url
from quantum_forge.eventstore.database.availability.outage import Patience
from quantum_forge.eventstore.database.engine import Health, health, open_database, where
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.roles import (
    create_roles,
    describe_roles,
    restrict_advisory_locks,
    roles_sql,
)
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.log.partitions import list_partitions, make_partitions
from quantum_forge.eventstore.security.encryption import add_key
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.eventstore.server.embedded import EmbeddedServer

MAINTAIN_PATIENCE = 30.0
"""Seconds for which `db maintain` waits for long transactions to end."""


class Check(msgspec.Struct, frozen=True):
    """What `qforge db check --json` prints."""

    migrations: migrations.MigrationState
    health: Health


@click.group(cls=Group)
def db() -> None:
    """Migrate, inspect and reset the database.

    \b
    Example:
      qforge db upgrade
    """


@db.command()
@click.argument("revision", default=migrations.HEAD)
@click.option("--sql", is_flag=True, help="Print the SQL instead of running it.")
@click.option(
    "--from",
    "start",
    default=migrations.BASE,
    show_default=True,
    metavar="REVISION",
    help="With --sql: the revision of the database.",
)
def upgrade(revision: str, sql: bool, start: str) -> None:
    """Create or migrate the tables. REVISION is the last migration to run, by default the newest.

    \b
    Example:
      qforge db upgrade
      qforge db upgrade --sql | qforge db psql
    """
    if sql:
        console.emit(migrations.upgrade_sql(revision, start=start))
        return
    with open_database(load_settings()) as database:
        applied = migrations.upgrade(database.engine, revision)
        at = migrations.current(database.engine)
    _report("applied", applied)
    console.note(f"The database is {'now' if applied else 'already'} at revision {at}.")


@db.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision", default="-1")
@click.option("--sql", is_flag=True, help="Print the SQL instead of running it.")
@click.option(
    "--from",
    "start",
    default=migrations.HEAD,
    show_default=True,
    metavar="REVISION",
    help="With --sql: the revision of the database.",
)
@click.option("--yes", is_flag=True, help="Delete the data without asking.")
def downgrade(revision: str, sql: bool, start: str, yes: bool) -> None:
    """Undo the last migration and delete its data. REVISION undoes all after it ("base": all).

    \b
    Example:
      qforge db downgrade
      qforge db downgrade base --yes
      qforge db downgrade -1 --sql
    """
    if sql:
        console.emit(migrations.downgrade_sql(revision, start=start))
        return
    with open_database(load_settings()) as database:
        if migrations.current(database.engine) is None:
            console.note("The database was never migrated: there is nothing to undo.")
            return
        _confirm(
            f"Undo migrations ({revision}) in {where(database.url)}, with their data?", yes=yes
        )
        undone = migrations.downgrade(database.engine, revision)
        at = migrations.current(database.engine) or migrations.BASE
    _report("undone", undone)
    console.note(f"The database is {'now' if undone else 'already'} at {at}.")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def current(as_json: bool) -> None:
    """Print the database's revision. It is "base" if it was never migrated.

    \b
    Example:
      qforge db current
    """
    with open_database(load_settings()) as database:
        state = migrations.migration_state(database.engine)
    if as_json:
        console.emit_json(state)
    else:
        console.emit(state.current or migrations.BASE)


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool) -> None:
    """Print the state of the server. Exits with 2 unless the tables match this program.

    \b
    Example:
      qforge db check && qforge run molecules.smi
    """
    with open_database(load_settings()) as database:
        migrations.require_migrated(database.engine)
        state = migrations.migration_state(database.engine)
        now = health(database.engine)
        place = where(database.url)
    if as_json:
        console.emit_json(Check(state, now))
        return
    console.emit(
        f"{place}: PostgreSQL {now.server_version}, {'ready' if now.is_ready else 'read-only'}, "
        f"{now.latency:.1f} ms, {now.database_size / 1e6:.1f} MB, "
        f"{now.connections} of {now.max_connections} connections, "
        f"revision {state.current} (up to date)"
    )


@db.command()
@click.option("--sql", is_flag=True, help="Print the SQL that creates the roles; do not run it.")
@click.option(
    "--restrict-advisory-locks/--allow-advisory-locks",
    "restrict",
    default=None,
    help=(
        "Allow advisory locks in this database to these roles only, or to everybody again; "
        "requires a superuser."
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def roles(sql: bool, restrict: bool | None, as_json: bool) -> None:
    """Create missing roles, and show all roles with their members.

    A login becomes a member by GRANT, and is bound to a tenant by ALTER ROLE.

    \b
    Example:
      qforge db roles
      qforge db psql -c "CREATE ROLE alice LOGIN IN ROLE qforge_reader"
      qforge db psql -c "ALTER ROLE alice SET qforge.tenant_id = '6f1d4a52-…'"
    """
    if sql:
        console.emit(roles_sql())
        return
    with open_database(load_settings()) as database:
        create_roles(database.engine)
        if restrict is not None:
            changed = restrict_advisory_locks(database.engine, restrict=restrict)
            whose = "these roles and the database's owner" if restrict else "everybody"
            console.note(f"{changed} functions for advisory locks may now be called by {whose}.")
        with database.engine.connect() as connection:
            found = describe_roles(connection)
    if as_json:
        console.emit_json(found)
        return
    rows = [
        (
            role.name,
            role.purpose,
            ", ".join(
                f"{member} ({role.bound[member]})" if member in role.bound else member
                for member in role.members
            ),
        )
        for role in found
    ]
    console.table(["role", "may", "members"], rows, title="Roles")


@db.command()
@click.option(
    "--scan",
    is_flag=True,
    help="Also when the default partition holds many events; appends wait during the scan.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def maintain(scan: bool, as_json: bool) -> None:
    """Create partitions of the log in advance, and show all partitions.

    Projectors do the same while they run. While a long transaction has the log open, the command
    tries again for half a minute; no session waits for it longer than 0.05 s.

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
    columns = ["partition", "from", "to", "rows", "bytes"]
    rows = [msgspec.structs.astuple(partition) for partition in partitions]
    console.table(columns, rows, right=columns[1:], title="Partitions of event_logs")


@db.command("encryption-key")
def encryption_key() -> None:
    """Create a key for encrypted values, or a newer key that is used from now on.

    Older keys stay in the file, because values that they encrypted are still stored. Back up the
    file separately from the database.

    \b
    Example:
      qforge db encryption-key
    """
    path = load_settings().encryption_key_file
    keys = add_key(path)
    console.emit(str(path))
    console.note(f"The file has {counted(keys, 'key')}; the first one encrypts.")


@db.command()
@click.option("--yes", is_flag=True, help="Delete the data without asking.")
def reset(yes: bool) -> None:
    """Delete all data, including the log, and create empty tables.

    \b
    Example:
      qforge db reset --yes
    """
    with open_database(load_settings()) as database:
        _confirm(f"Delete all events and tables in {where(database.url)}?", yes=yes)
        migrations.reset(database.engine)
        at = migrations.current(database.engine)
    console.note(f"The database is empty, at revision {at}.")


@db.command()
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


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(file: Path, as_json: bool) -> None:
    """Restore a backup into a database that has no events.

    FILE is a backup by `qforge db backup`. Either everything is restored or nothing. A log that
    holds events is never changed: restore into a new database, or a new QFORGE_HOME.

    \b
    Example:
      QFORGE_HOME=/data/restored qforge db restore 2026-11-20.dump
      QFORGE_HOME=/data/restored qforge verify
    """
    with open_database(load_settings()) as database, _moving("restoring") as progress:
        done = restore_backup(database.engine, file, progress=progress)
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


@db.command()
@click.option(
    "--show-password",
    is_flag=True,
    help=(
        "Print secrets instead of ***. Pass them on in an environment variable or a private file: "
        "other users can read the arguments of a program."
    ),
)
def url(show_password: bool) -> None:
    """Print the URL of the database, as psql and DATABASE_URL accept it.

    To run psql or to make a dump, use `qforge db psql` and `qforge db backup`: they do not
    show the password.

    \b
    Example:
      qforge db url
      DATABASE_URL="$(qforge db url --show-password)" python analysis.py
    """
    settings = load_settings()
    address = settings.url
    if address is None:
        address = EmbeddedServer(settings.home).url()
        console.note(
            "The embedded server runs during a command and for some minutes after it; see: qforge "
            "server status"
        )
    console.emit(libpq_url(address, hide_password=not show_password))


@db.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open the database in psql, which receives all further ARGUMENTS.

    \b
    Example:
      qforge db psql
      qforge db psql -c 'SELECT count(*) FROM event_logs'
    """
    with (
        open_database(load_settings()) as database,
        for_programs(database.url) as (address, variables),
    ):
        # psql has its own use for Ctrl-C; and this process stays, to release the embedded server.
        signal.signal(signal.SIGINT, lambda *_: None)
        done = subprocess.run(
            [str(tool_path("psql")), *arguments, address],
            env={**os.environ, **variables},
            check=False,
        )
    sys.exit(done.returncode)


def _report(what: str, names: list[str]) -> None:
    summaries = {revision.name: revision.summary for revision in migrations.revisions()}
    for name in names:
        summary = summaries.get(name, "Table of a domain")
        console.emit(f"{what}\t{name}\t{summary}")


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not console.is_terminal(sys.stdin):
        raise click.UsageError("this deletes data; add --yes to confirm")
    click.confirm(question, abort=True, err=True)
