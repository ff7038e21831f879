"""The next migration: found by comparing the declarations with what the migrations make."""

import hashlib
import re
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import MigrationNotMade, QuantumForgeError
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.scratch import scratch_databases
from quantum_forge.schema.comparison.catalog import Catalog, differing, read_catalog
from quantum_forge.schema.comparison.difference import difference
from quantum_forge.schema.create import create_all

LONGEST_MESSAGE = 100
"""Characters of a message, which becomes the name of three files."""

BY_HAND = "-- Write the SQL here.\n"
CHECKSUMS = "SHA256SUMS"
"""The file of the checksums of migrations, as sha256sum writes it."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What the declarations ask for beyond the migrations.

    changes: a line for each object, for a person.
    emptied: read models that the upgrade makes anew.
    """

    up: str
    down: str
    changes: tuple[str, ...]
    emptied: tuple[str, ...]


def compare(engine: Engine) -> Changes | None:
    """Return what the migrations lack of the declarations; None when that is nothing.

    Works in scratch databases on the engine's server. The SQL has been run there: up makes the
    declared schema, down the one before.

    Raises:
        MigrationNotMade: when the SQL that was found does not do so.
        NotAllowed: when the login may not make databases.
    """
    with scratch_databases(engine, 2) as (migrated, declared):
        migrations.upgrade(migrated)
        with declared.begin() as connection:
            create_all(connection)
            wanted = read_catalog(connection)
        with migrated.begin() as connection:
            before = read_catalog(connection)
        up, down = difference(before, wanted), difference(wanted, before)
        if not up.statements and not (left := differing(before, wanted)):
            return None
        if not up.statements:
            raise MigrationNotMade(f"the order of columns differs in {', '.join(left)}")
        with migrated.connect() as connection:
            _try(connection, up.sql, wanted)
            _try(connection, down.sql, before)
    return Changes(up=up.sql, down=down.sql, changes=up.changes, emptied=up.emptied)


def required_message(message: str) -> str:
    """Return a message without what surrounds it.

    Raises:
        MigrationNotMade: when it does not name the migration, which its file is called after.
    """
    message = message.strip().rstrip(".")
    has_words = re.search(r"\w", message) is not None
    if not has_words or not message.isprintable() or '"' in message or "\\" in message:
        raise MigrationNotMade("the message must be one line of words without quotes")
    if len(message) > LONGEST_MESSAGE:
        raise MigrationNotMade(f"the message is longer than {LONGEST_MESSAGE} characters")
    return message


def write_migration(message: str, changes: Changes | None) -> list[Path]:
    """Write the next migration after the newest; without changes, its SQL is left to be written.

    Returns:
        The paths of the Python module and of the SQL up and down.

    Raises:
        MigrationNotMade: when the message cannot be one, or the files cannot be written.
        MigrationsUnreadable: when the migrations that are there cannot be read.
    """
    message = required_message(message)
    migrations.revisions()
    number = f"{int(migrations.newest() or 0) + 1:04d}"
    try:
        module = migrations.write_module(number, message)
        up, down = module.with_suffix(".sql"), module.with_name(f"{module.stem}_undo.sql")
        up.write_text(changes.up if changes else BY_HAND, "utf-8")
        down.write_text(changes.down if changes else BY_HAND, "utf-8")
        freeze(module, up, down)
    except OSError as error:
        raise MigrationNotMade(
            f"{error.filename} cannot be written ({error.strerror}); run this in a clone of the"
            " repository that is installed with pip install -e"
        ) from error
    return [module, up, down]


def freeze(*files: Path) -> None:
    """Add checksums to those beside the files; a test asks that frozen migrations stay."""
    sums = files[0].parent / CHECKSUMS
    names = {file.name for file in files}
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    kept = [line for line in lines if line.split(maxsplit=1)[-1] not in names]
    new = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in sorted(files)
    ]
    sums.write_text("".join(f"{line}\n" for line in [*kept, *new]), encoding="utf-8")


def _try(connection: Connection, sql: str, wanted: Catalog) -> None:
    """Run the SQL, and ask whether it makes the catalog that is wanted."""
    try:
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        connection.commit()
    except (DBAPIError, QuantumForgeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise MigrationNotMade(f"the SQL that was found fails: {reason}") from error
    made = read_catalog(connection)
    connection.commit()
    if left := differing(made, wanted):
        raise MigrationNotMade(f"the SQL that was found leaves a difference in {', '.join(left)}")
