"""`qforge db migration new`: the next migration, from what the declarations have gained."""

import os

import click

from quantum_forge.cli.command import Command, Group
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.engine import open_database
from quantum_forge.eventstore.database.settings import load_settings


@click.group(cls=Group)
def migration() -> None:
    """Write migrations of the schema.

    \b
    Example:
      qforge db migration new "Add instruments"
    """


@migration.command(cls=Command)
@click.argument("message")
@click.option("--sql", is_flag=True, help="Print the SQL of the upgrade, and write nothing.")
@click.option(
    "--empty", is_flag=True, help="Compare nothing: write a migration whose SQL is added by hand."
)
def new(message: str, sql: bool, empty: bool) -> None:
    """Write the migration that makes the schema what the declarations say, up and down.

    MESSAGE says what it does, in one line. Two empty databases are made on the server, one by the
    migrations and one from the declarations, and dropped again; the data is left alone. The
    migration was run up and down in the first before it is written. Review it, and commit it with
    the declarations.

    \b
    Example:
      qforge db migration new "Add instruments"
      qforge db migration new "Add instruments" --sql
    """
    from quantum_forge.eventstore.database.installation.new_migration import (
        compare,
        required_message,
        write_migration,
    )

    if sql and empty:
        raise click.UsageError("--sql and --empty contradict each other; give one of them.")
    message = required_message(message)
    found = None
    if not empty:
        with open_database(load_settings()) as database:
            found = compare(database.engine)
        if found is None:
            console.note("The migrations make what is declared: there is nothing to write.")
            return
        for line in found.changes:
            console.note(line)
        for table in found.emptied:
            console.note(
                f"{table} is made anew and filled again from the log: its columns cannot be changed"
                " in place. A column that stands last (added=True) and may be null can be added"
                " to the rows that are there."
            )
        if sql:
            console.emit(found.up)
            return
    for file in write_migration(message, found):
        console.emit(os.path.relpath(file))
