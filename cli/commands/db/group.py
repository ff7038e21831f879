"""`qforge db`: its commands, each imported when it is called."""

import click

from quantum_forge.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "upgrade": Lazy(
        "quantum_forge.cli.commands.db.migrate:upgrade",
        "Create or migrate the tables.",
    ),
    "downgrade": Lazy(
        "quantum_forge.cli.commands.db.migrate:downgrade",
        "Undo the last migration and delete its data.",
    ),
    "current": Lazy(
        "quantum_forge.cli.commands.db.migrate:current", "Print the database's revision."
    ),
    "check": Lazy("quantum_forge.cli.commands.db.check:check", "Print the state of the server."),
    "roles": Lazy(
        "quantum_forge.cli.commands.db.roles:roles",
        "Create missing roles, and show all roles with their members.",
    ),
    "bind": Lazy(
        "quantum_forge.cli.commands.db.bind:bind",
        "Bind a login to a tenant, which it cannot leave.",
    ),
    "unbind": Lazy(
        "quantum_forge.cli.commands.db.bind:unbind", "Undo the binding of a login to a tenant."
    ),
    "maintain": Lazy(
        "quantum_forge.cli.commands.db.maintain:maintain",
        "Create partitions of the log in advance, and show all partitions.",
    ),
    "encryption-key": Lazy(
        "quantum_forge.cli.commands.db.encryption_key:encryption_key",
        "Create a key for encrypted values, or a newer key that is used from now on.",
    ),
    "reset": Lazy(
        "quantum_forge.cli.commands.db.migrate:reset",
        "Delete all data, including the log, and create empty tables.",
    ),
    "backup": Lazy(
        "quantum_forge.cli.commands.db.backup:backup", "Write the whole database to a file."
    ),
    "restore": Lazy(
        "quantum_forge.cli.commands.db.backup:restore",
        "Restore a backup into a database that has no events.",
    ),
    "url": Lazy(
        "quantum_forge.cli.commands.db.url:url",
        "Print the URL of the database, as psql and DATABASE_URL accept it.",
    ),
    "psql": Lazy(
        "quantum_forge.cli.commands.db.psql:psql",
        "Open the database in psql, which receives all further ARGUMENTS.",
    ),
    "migration": Lazy(
        "quantum_forge.cli.commands.db.migration:migration", "Write migrations of the schema."
    ),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def db() -> None:
    """Migrate, inspect and reset the database.

    \b
    Example:
      qforge db upgrade
    """
