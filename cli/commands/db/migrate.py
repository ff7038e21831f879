"""`qforge db upgrade`, `downgrade`, `current` and `reset`: the schema of the database."""

import sys

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_whole_database
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.engine import open_database, where
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.settings import load_settings


@click.command(cls=Command)
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
    with open_whole_database() as database:
        applied = migrations.upgrade(database.engine, revision)
        at = migrations.current(database.engine)
    _report("applied", applied)
    console.note(f"The database is {'now' if applied else 'already'} at revision {at}.")


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
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
    with open_whole_database() as database:
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


@click.command(cls=Command)
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


@click.command(cls=Command)
@click.option("--yes", is_flag=True, help="Delete the data without asking.")
def reset(yes: bool) -> None:
    """Delete all data, including the log, and create empty tables.

    \b
    Example:
      qforge db reset --yes
    """
    with open_whole_database() as database:
        _confirm(f"Delete all events and tables in {where(database.url)}?", yes=yes)
        migrations.reset(database.engine)
        at = migrations.current(database.engine)
    console.note(f"The database is empty, at revision {at}.")


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
