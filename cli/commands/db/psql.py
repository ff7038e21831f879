"""`qforge db psql`: the database in psql."""

import os
import signal
import subprocess
import sys

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_for_sql
from quantum_forge.eventstore.database.address import for_programs
from quantum_forge.eventstore.server.binaries import tool_path


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open the database in psql, which receives all further ARGUMENTS.

    Through a login that administers the database, such as that of the embedded server, it takes an
    admin; any other login may do what its database roles let it do.

    \b
    Example:
      qforge db psql
      qforge db psql -c 'SELECT count(*) FROM event_logs'
    """
    with (
        open_for_sql() as database,
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
