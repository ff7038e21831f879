"""How a command gets its database: from the environment's settings, with the schema in place."""

import contextlib
from collections.abc import Iterator

from eventstore.database import Database, open_database
from eventstore.migrations import require_migrated
from eventstore.settings import Settings, load_settings
from eventstore.wakeups import announce_appends


@contextlib.contextmanager
def migrated_database(settings: Settings | None = None) -> Iterator[Database]:
    """Open the database for the length of a command; refuse one whose schema does not fit."""
    with open_database(settings or load_settings()) as database:
        require_migrated(database.engine)
        announce_appends(database.engine)
        yield database
