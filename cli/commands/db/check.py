"""`qforge db check`: whether the server is ready and the schema fits."""

import click
import msgspec

from quantum_forge.cli.command import Command
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.engine import Health, health, open_database, where
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.settings import load_settings


class Check(msgspec.Struct, frozen=True):
    """The object that `qforge db check --json` prints."""

    migrations: migrations.MigrationState
    health: Health


@click.command(cls=Command)
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
