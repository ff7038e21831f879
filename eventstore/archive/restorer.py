"""Restoring without a superuser's rights: a login for one restore, and a look at what it made.

A backup holds definitions of functions, defaults and policies, and whatever else somebody put into
it. Restored by a superuser, it could run programs as the server's user; as owner of its functions,
a superuser would run them later.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.scratch import scratch_databases
from quantum_forge.schema.comparison.catalog import Catalog, differing, read_catalog

_PREFIX = "qforge_restore_"


@contextmanager
def restorer(connection: Connection, *, trusted: bool) -> Iterator[URL | None]:
    """Make a login without rights that owns the database, and yield the address for a restore.

    At the end, the superuser owns everything that the login owned, and the login is dropped; so is
    what an earlier restore left when it was killed. Yields None for a trusted backup, and where the
    session is not a superuser's: a backup could abuse no more than that login's own rights.
    """
    superuser = connection.scalar(
        text("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")
    )
    database = str(connection.scalar(text("SELECT current_database()")))
    connection.rollback()
    if trusted or not superuser:
        yield None
        return
    name, password = _PREFIX + secrets.token_hex(8), secrets.token_hex(16)
    quote = connection.dialect.identifier_preparer.quote_identifier
    _hand_back(connection, database)
    _run(
        connection,
        f"CREATE ROLE {name} LOGIN NOSUPERUSER PASSWORD '{password}'",
        f"ALTER DATABASE {quote(database)} OWNER TO {name}",
    )
    try:
        yield connection.engine.url.set(username=name, password=password)
    finally:
        _hand_back(connection, database)


def foreign_objects(engine: Engine) -> list[str]:
    """Return the objects in which the database differs from what its revision makes.

    Reads the catalog only; nothing that was restored is run.

    Raises:
        DatabaseNewer, DatabaseOlder: when this program does not know the revision.
    """
    state = migrations.migration_state(engine)
    if state.current is None:
        return ["no revision"]
    with scratch_databases(engine, 1) as (scratch,):
        migrations.upgrade(scratch, state.current)
        return differing(_catalog(engine), _catalog(scratch))


def remove_everything(engine: Engine) -> None:
    """Drop the schema with all that is in it, and make it anew, as in a new database."""
    with engine.begin() as connection:
        for name in connection.scalars(
            text(
                "SELECT quote_ident(nspname) FROM pg_namespace"
                " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
            )
        ).all():
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        connection.execute(text("CREATE SCHEMA public AUTHORIZATION pg_database_owner"))
        connection.execute(text("GRANT USAGE ON SCHEMA public TO PUBLIC"))
    engine.dispose()


def _hand_back(connection: Connection, database: str) -> None:
    """Make everything of such logins in this database the session's own, and drop them."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    names = connection.scalars(
        text(
            "SELECT rolname FROM pg_roles AS r WHERE starts_with(rolname, :prefix) AND EXISTS"
            " (SELECT FROM pg_database WHERE datdba = r.oid AND datname = current_database())"
        ),
        {"prefix": _PREFIX},
    ).all()
    connection.rollback()
    for name in names:
        _run(
            connection,
            f"ALTER DATABASE {quote(database)} OWNER TO SESSION_USER",
            f"REASSIGN OWNED BY {name} TO SESSION_USER",
            f"DROP OWNED BY {name}",
            f"DROP ROLE {name}",
        )


def _run(connection: Connection, *statements: str) -> None:
    with connection.begin():
        for statement in statements:
            connection.execute(text(statement))


def _catalog(engine: Engine) -> Catalog:
    with engine.begin() as connection:
        return read_catalog(connection)
