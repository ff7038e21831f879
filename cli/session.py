"""How a command gets its database: from the environment's settings, with the schema in place."""

import contextlib
from collections.abc import Iterator

import click

from quantum_forge.cli.show import console
from quantum_forge.eventstore.actions.access import refusals_recorded
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.engine import Database, open_database
from quantum_forge.eventstore.database.migrations import migrate_embedded
from quantum_forge.eventstore.database.outage import Patience, reason_of
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.database.standby import require_primary
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author


@contextlib.contextmanager
def migrated_database(
    settings: Settings | None = None, *, writes: bool = False, follows: bool = False
) -> Iterator[Database]:
    """Open the database for the length of a command; refuse one whose schema does not fit.

    The embedded database is migrated where needed.

    What the database does not allow the command is recorded.

    Args:
        settings: those of the environment unless given.
        writes: whether the command is of no use on a standby server, which it then refuses.
        follows: whether the command follows the log: it waits for a database that is away at the
            start, as long as it takes, with a line on stderr, and notices one that falls silent.
    """
    settings = settings or load_settings()
    author = Author(tenant_id=settings.tenant_id, user_id=settings.user_id)
    patience = Patience(None if follows else 0, on_trouble=tell_trouble)
    with (
        patience.persist(lambda: _opened(settings, follows=follows)) as database,
        refusals_recorded(database.engine, author, _command()),
    ):
        if writes:
            require_primary(database.engine, click.get_current_context().command_path)
        announce_appends(database.engine)
        yield database


def tell_trouble(trouble: Exception | None) -> None:
    """Say on stderr what a command waits for, or that it goes on."""
    if trouble is None:
        console.note("All is well again.")
    else:
        console.note(f"Waiting: {reason_of(trouble)}")


def _opened(settings: Settings, *, follows: bool) -> Database:
    database = open_database(settings, follows=follows)
    try:
        applied = migrate_embedded(database)
    except BaseException:
        database.close()
        raise
    if applied:
        console.note(f"Migrated the embedded database: {counted(len(applied), 'migration')}.")
    return database


def _command() -> str:
    """The name of the command that runs, as an action of the audit trail: `dataset_export`."""
    words = click.get_current_context().command_path.split()[1:]
    return "_".join(words).replace("-", "_")
