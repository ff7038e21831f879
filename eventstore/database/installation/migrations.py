"""Revisions of the schema: current one, upgrade, downgrade."""

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import ARRAY, Connection, Engine, Text, bindparam, text

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import (
    DatabaseNewer,
    DatabaseOlder,
    DomainsPending,
    LockHeld,
    MigrationsPending,
    MigrationsUnreadable,
    NotMigrated,
    NotOurDatabase,
    UnknownRevision,
)
from quantum_forge.eventstore.database.advisory_locks import MIGRATION_KEY, Purpose, refuse_foreign
from quantum_forge.eventstore.database.availability.deadline import unlimited
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.database.domains import loaded_domains
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.schema.migrations import VERSION_TABLE

if TYPE_CHECKING:
    # It takes long to import, and commands need it only where something is to be migrated.
    from alembic.config import Config
    from alembic.script import ScriptDirectory

HEAD = "head"
_OLD_NAME = "alembic_version"

_EXISTING = text("""
    SELECT name FROM unnest(:names) AS wanted(name) WHERE to_regclass('public.' || name) IS NOT NULL
""").bindparams(bindparam("names", type_=ARRAY(Text)))

BASE = "base"
PATIENCE = 600.0
"""Seconds for which another migration is waited for."""

LONGEST_PAUSE = 0.5
"""Seconds between two attempts at the lock, at most."""


class MigrationState(msgspec.Struct, frozen=True):
    """Where a database stands: its revision (None if never migrated), the newest, the missing."""

    current: str | None
    head: str | None
    pending: tuple[str, ...]


class Revision(msgspec.Struct, frozen=True):
    """A migration: its name and what it does."""

    name: str
    summary: str


def revisions() -> list[Revision]:
    """Return all known migrations, the oldest first.

    Raises:
        MigrationsUnreadable: when their files are no chain of migrations.
    """
    from alembic.util import CommandError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            scripts = list(_scripts().walk_revisions())
    except (CommandError, UserWarning, SyntaxError, ImportError, AttributeError) as error:
        raise MigrationsUnreadable(str(error)) from error
    return [
        Revision(script.revision, (script.doc or "").rstrip(".")) for script in reversed(scripts)
    ]


def upgrade(engine: Engine, revision: str = HEAD) -> list[str]:
    """Migrate up to a revision, in one transaction; return the migrations applied.

    At the newest revision, the tables of own domains are made, too, and their names returned.
    Any number of processes may do this at once: one migrates, the others wait and find it done.

    Raises:
        NotOurDatabase: when another program has tables in it whose names are needed.
        DatabaseNewer, DatabaseOlder: when this program does not have the database's revision.
        UnknownRevision: when there is no such revision.
    """
    applied = _move(engine, revision, up=True)
    if loaded_domains() and not migration_state(engine).pending:
        from quantum_forge.eventstore.database.installation.domain_tables import create_own_tables

        with _only_one(engine), engine.begin() as connection:
            if made := create_own_tables(connection):
                applied += made
                _revoke_foreign_rights(connection)
    return applied


def downgrade(engine: Engine, revision: str = "-1") -> list[str]:
    """Migrate down to a revision, "base" being nothing; return those undone, newest first."""
    return _move(engine, revision, up=False)


def reset(engine: Engine) -> None:
    """Drop everything that the migrations made, data included, and make it again."""
    downgrade(engine, BASE)
    upgrade(engine, HEAD)


def remove_empty(engine: Engine, require_empty: Callable[[Connection], None]) -> str | None:
    """Take away all tables, if a check lets them go; return the revision at which they were.

    Nobody can append between the check and the end.

    Args:
        engine: of the database.
        require_empty: raises what says why not.
    """
    with _only_one(engine), engine.connect() as connection:
        revision = _current(connection)
        if revision is None:
            return None
        _require_known(revision, [known.name for known in revisions()])
        connection.execute(text("LOCK TABLE event_logs IN ACCESS EXCLUSIVE MODE"))
        require_empty(connection)
        _drop_own_tables(connection)
        from alembic import command

        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, BASE)
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        connection.commit()
    return revision


def upgrade_sql(revision: str = HEAD, *, start: str = BASE) -> str:
    """Return the SQL that takes a database from `start` up to a revision; no database is asked."""
    from alembic import command

    to = _resolve(revision, from_=start)
    sql = _printed(command.upgrade, f"{_resolve(start)}:{to}")
    if start == BASE and to == newest() and loaded_domains():
        from quantum_forge.eventstore.database.installation.domain_tables import own_tables_sql

        sql += own_tables_sql()
    if to == newest():
        from quantum_forge.eventstore.database.installation.foreign_rights import revocation_sql

        sql += revocation_sql()
    return sql


def downgrade_sql(revision: str = "-1", *, start: str = HEAD) -> str:
    """Return the SQL that takes a database from `start` down to a revision."""
    from alembic import command

    return _printed(command.downgrade, f"{_resolve(start)}:{_resolve(revision, from_=start)}")


def write_module(number: str, message: str) -> Path:
    """Write the Python module of the next migration, and return its path."""
    scripts = _scripts()
    scripts.messaging_opts = {"quiet": True}
    scripts.truncate_slug_length = len(message)
    script = scripts.generate_revision(number, message)
    assert script is not None
    return Path(script.path).resolve()


def current(engine: Engine) -> str | None:
    """Return the revision that the database is at, or None if it was never migrated."""
    with engine.connect() as connection:
        return _current(connection)


def migration_state(engine: Engine) -> MigrationState:
    """Return where the database stands; raises `DatabaseNewer` or `DatabaseOlder`."""
    now = current(engine)
    names = [revision.name for revision in revisions()]
    _require_known(now, names)
    pending = names[names.index(now) + 1 :] if now is not None else names
    return MigrationState(now, names[-1] if names else None, tuple(pending))


def is_migrated(engine: Engine) -> bool:
    """Return whether the database is at the newest revision, without reading any migration."""
    with engine.connect() as connection:
        table = _version_table(connection)
        return table == VERSION_TABLE and _version_in(connection, table) == newest()


def newest() -> str | None:
    """Return the newest revision, which the names of the files begin with."""
    versions = resources.files("quantum_forge.schema") / "migrations" / "versions"
    names = (file.name.partition("_")[0] for file in versions.iterdir())
    return max((name for name in names if name.isdigit()), default=None)


def require_migrated(engine: Engine) -> None:
    """Raise an error unless the schema fits.

    Raises:
        NotMigrated: when there is no schema.
        MigrationsPending: when it is older than this program.
        DatabaseNewer: when it is newer.
        DatabaseOlder: when the migrations from there on are gone.
        DomainsPending: when tables of own domains are missing, or columns of them.
    """
    if is_migrated(engine):
        if lacking := _pending_tables(engine):
            raise DomainsPending(lacking)
        return
    state = migration_state(engine)
    if not state.pending:
        return
    if state.current is None:
        raise NotMigrated
    raise MigrationsPending(state.current, len(state.pending))


def migrate_embedded(database: Database) -> list[str]:
    """Bring an embedded database up to date; return the migrations applied.

    Of any other database, only require it: its owner decides when it is migrated.

    Raises:
        NotMigrated, MigrationsPending: of a database that is not embedded.
        DatabaseNewer, DatabaseOlder: when this program does not have the revision.
    """
    if database.server is None:
        require_migrated(database.engine)
        return []
    if is_migrated(database.engine) and not _pending_tables(database.engine):
        return []
    migration_state(database.engine)  # raises DatabaseNewer, DatabaseOlder
    return upgrade(database.engine)


def _pending_tables(engine: Engine) -> list[str]:
    """Own tables that are not there yet, or lack a column."""
    if not loaded_domains():
        return []
    # The declarations of all tables take long to import.
    from quantum_forge.eventstore.database.installation.domain_tables import pending_tables

    with engine.connect() as connection:
        return pending_tables(connection)


def _drop_own_tables(connection: Connection) -> None:
    from quantum_forge.eventstore.database.installation.domain_tables import drop_own_tables

    drop_own_tables(connection)


def _revoke_foreign_rights(connection: Connection) -> None:
    # The declarations of all tables take long to import.
    from quantum_forge.eventstore.database.installation.foreign_rights import revoke_foreign_rights

    revoke_foreign_rights(connection)


def _move(engine: Engine, revision: str, *, up: bool) -> list[str]:
    engine = unlimited(engine)
    with _only_one(engine):
        _prepare(engine)
        before = migration_state(engine)
        target = _resolve(revision, from_=before.current or BASE)
        names = [BASE, *(known.name for known in revisions())]
        steps = names.index(target) - names.index(before.current or BASE)
        if (steps <= 0) if up else (steps >= 0):
            return []
        with engine.connect() as connection:
            from alembic import command

            config = _config()
            config.attributes["connection"] = connection
            if target == BASE:
                _drop_own_tables(connection)
            (command.upgrade if up else command.downgrade)(config, target)
            if up and target == newest():
                _revoke_foreign_rights(connection)
            connection.commit()
        after = migration_state(engine)
    if up:
        return [name for name in before.pending if name not in after.pending]
    return [name for name in reversed(after.pending) if name not in before.pending]


@contextlib.contextmanager
def _only_one(engine: Engine) -> Iterator[None]:
    """Hold the lock in a transaction of its own, which also works behind a transaction pooler.

    Raises:
        LockHeld: when a session holds it that may not migrate, or another migration for too long.
    """
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        until = time.monotonic() + PATIENCE
        lock = text("SELECT pg_try_advisory_xact_lock(:key)").bindparams(key=MIGRATION_KEY)
        attempts = 0
        while not connection.execute(lock).scalar_one():
            holders = refuse_foreign(connection, Purpose.MIGRATIONS)
            if holders and time.monotonic() > until:
                raise LockHeld(Purpose.MIGRATIONS, str(holders[0]), holders[0].pid)
            attempts += 1
            time.sleep(pause_after(attempts, longest=LONGEST_PAUSE))
        yield


def _current(connection: Connection) -> str | None:
    table = _version_table(connection)
    return None if table is None else _version_in(connection, table)


def _version_in(connection: Connection, table: str) -> str | None:
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {table}"))
    return version


def _version_table(connection: Connection) -> str | None:
    """The table that holds the revision; older databases have it under Alembic's own name."""
    there = _existing(connection, [VERSION_TABLE, _OLD_NAME, "event_logs"])
    if VERSION_TABLE in there:
        return VERSION_TABLE
    return _OLD_NAME if there == {_OLD_NAME, "event_logs"} else None


def _existing(connection: Connection, names: Iterable[str]) -> set[str]:
    """Those of the names that something in the database has."""
    return set(connection.scalars(_EXISTING, {"names": list(names)}))


def _prepare(engine: Engine) -> None:
    """Give the table of the revision its name, or see that a new database is free for ours.

    Raises:
        NotOurDatabase: when another program's objects have names that are needed.
    """
    with engine.begin() as connection:
        table = _version_table(connection)
        if table == _OLD_NAME:
            connection.execute(text(f"ALTER TABLE {_OLD_NAME} RENAME TO {VERSION_TABLE}"))
            connection.execute(text(f"ALTER INDEX {_OLD_NAME}_pkc RENAME TO {VERSION_TABLE}_pkc"))
        elif table is None or _version_in(connection, table) is None:
            if table is None and _existing(connection, [_OLD_NAME]):
                raise NotOurDatabase(f"a table {_OLD_NAME}, and no event_logs beside it")
            # The declarations of all tables take long to import.
            from quantum_forge.schema.domains import SYSTEM_TABLES

            if taken := sorted(_existing(connection, SYSTEM_TABLES)):
                raise NotOurDatabase(f"{counted(len(taken), 'table')} {', '.join(taken)} already")


def _require_known(revision: str | None, names: Sequence[str]) -> None:
    """Raise `DatabaseOlder` or `DatabaseNewer` unless the revision is one of these."""
    if revision is None or revision in names:
        return
    if revision.isdigit() and int(revision) < int(names[0]):
        raise DatabaseOlder(revision, names[0])
    raise DatabaseNewer(revision)


def _resolve(revision: str, *, from_: str = BASE) -> str:
    """Return the name of a revision, given as "head", "base", a prefix, or steps such as -1."""
    names = [BASE, *(known.name for known in revisions())]
    if revision == BASE:
        return BASE
    if revision == HEAD:
        return names[-1]
    if revision[:1] in "+-" and revision[1:].isdigit():
        index = names.index(_resolve(from_)) + int(revision)
        if 0 <= index < len(names):
            return names[index]
        raise UnknownRevision(revision)
    matches = [name for name in names[1:] if revision and name.startswith(revision)]
    if len(matches) != 1:
        raise UnknownRevision(revision)
    return matches[0]


def _printed(run: Callable[..., None], range_: str) -> str:
    output = io.StringIO()
    config = _config(output)
    run(config, range_, sql=True)
    return output.getvalue()


def _config(output: io.StringIO | None = None) -> "Config":
    from alembic.config import Config

    config = Config(output_buffer=output) if output is not None else Config()
    location = str(resources.files("quantum_forge.schema") / "migrations")
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())
