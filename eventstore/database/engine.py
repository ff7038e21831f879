"""Database engine: made from the settings, pooled, with errors translated."""

import time
from typing import Any, Self

import msgspec
import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import URL, ExceptionContext, ExecutionContext

from quantum_forge.eventstore.base.codec import parse_json
from quantum_forge.eventstore.base.errors import (
    ConnectionLost,
    DatabaseNotReady,
    DatabaseRefused,
    DatabaseUnavailable,
    DatabaseUnreachable,
    LockHeld,
    NotAllowed,
    QuantumForgeError,
    RoleMissing,
    TooManyConnections,
    UnknownDatabase,
    UnsupportedPostgres,
    held_by,
)
from quantum_forge.eventstore.database.address import hosts_of
from quantum_forge.eventstore.database.address import libpq_url as libpq_url
from quantum_forge.eventstore.database.availability.deadline import TCP, followed, limit_waits
from quantum_forge.eventstore.database.availability.standby import standby_error
from quantum_forge.eventstore.database.domains import load_domains
from quantum_forge.eventstore.database.refused_connection import sqlstate_of_refusal
from quantum_forge.eventstore.database.settings import EMBEDDED, Settings
from quantum_forge.eventstore.database.tenancy import act_always_for
from quantum_forge.eventstore.server.embedded import EmbeddedServer

APPLICATION_NAME = "quantum-forge"
OLDEST_SUPPORTED = 15
CONNECT_TIMEOUT = 10
"""Seconds for one address of the server."""

_DIRECT = "qforge_direct"

BINARY_ROWS = "qforge_binary_rows"
"""Execution option of a statement whose rows shall come in PostgreSQL's binary form: ids and times
cost both sides a fraction of their text."""


class Database:
    """An engine, and the embedded server behind it if there is one.

    Close it, or use it in a `with`.
    """

    def __init__(self, engine: Engine, *, server: EmbeddedServer | None = None) -> None:
        self.engine = engine
        self.server = server

    @property
    def url(self) -> URL:
        """The address; print it by `libpq_url(url, hide_password=True)` only."""
        return self.engine.url

    def close(self) -> None:
        """Close all connections, and leave the embedded server, which then stops or lingers."""
        self.engine.dispose()
        if self.server is not None:
            self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(settings: Settings, *, follows: bool = False) -> Database:
    """Connect to the database of the settings; the embedded server is started if it is the one.

    `follows`: for a follower of the log, each wait for an answer ends at the deadline.

    The domains of the settings are loaded first: see eventstore/database/domains.py.

    Raises a `DatabaseUnavailable` or an `EmbeddedServerError`, now or, for new connections, later.
    """
    load_domains(settings.domains)
    server: EmbeddedServer | None = None
    url = settings.url
    if url is None:
        server = EmbeddedServer(settings.home, linger=settings.server_linger)
        server.start()
        url = server.url()
    engine = make_engine(url, source=settings.source)
    if follows:
        engine = followed(engine, settings.deadline)
    database = Database(engine, server=server)
    try:
        require_supported(database.engine)
        act_always_for(database.engine, settings.tenant_id)
    except BaseException:
        database.close()
        raise
    return database


def make_engine(url: URL, *, source: str = EMBEDDED) -> Engine:
    """Return an engine whose connection failures are this project's errors.

    `source` is where the address comes from, named in the advice. No connection is made yet.
    """
    engine = create_engine(url, **engine_options(url))
    limit_waits(engine)

    @event.listens_for(engine, "before_cursor_execute")
    def choose_format(
        _: Connection, cursor: Any, __: str, ___: Any, context: ExecutionContext, ____: bool
    ) -> None:
        if context.execution_options.get(BINARY_ROWS):
            cursor.format = psycopg.pq.Format.BINARY

    translate_failures(engine, url, source)
    return engine


def engine_options(url: URL) -> dict[str, Any]:
    """Return what an engine, or one for asyncio, is made with."""
    arguments = {
        "application_name": APPLICATION_NAME,
        "connect_timeout": CONNECT_TIMEOUT,
        **TCP,
        # Prepared statements belong to a session, which a transaction pooler takes away.
        "prepare_threshold": None,
    }
    return {
        "pool_size": 20,
        # The connection that was used last is the one that has everything prepared.
        "pool_use_lifo": True,
        "max_overflow": 30,
        "pool_pre_ping": True,
        "pool_recycle": 3600,
        "json_deserializer": parse_json,
        "connect_args": {name: arguments[name] for name in arguments.keys() - url.query.keys()},
    }


def refusal(error: BaseException | None) -> QuantumForgeError | None:
    """Return the error that says what the database does not let a login do; None for others."""
    if not isinstance(error, psycopg.Error):
        return None
    message = error.diag.message_primary
    match error.sqlstate:
        case "42501":
            return NotAllowed(message or "permission denied")
        case "QF006":
            return RoleMissing(message or "a role is missing")
        case "QF012":
            return LockHeld("appends", held_by(message or ""))
    return None


def translate_failures(engine: Engine, url: URL, source: str) -> None:
    """Have an engine raise this project's errors where the database refuses or is away."""

    @event.listens_for(engine, "handle_error")
    def translate(context: ExceptionContext) -> None:
        if context.is_pre_ping:
            return  # the pool replaces the connection by itself
        cause = context.original_exception
        if context.connection is None and isinstance(cause, psycopg.Error):
            raise connection_failure(cause, url, source) from cause
        if (refused := refusal(cause)) is not None:
            raise refused from cause
        if not context.is_disconnect and (refused := standby_error(cause)) is not None:
            raise refused from cause
        # SQLAlchemy drops the connection of a query that Ctrl-C interrupts, too.
        if context.is_disconnect and isinstance(cause, Exception):
            raise ConnectionLost(
                where(url),
                f"the connection to {where(url)} was lost ({_reason(cause)})",
                "run the command again; what was appended before is kept",
            ) from cause


def is_direct(connection: Connection) -> bool:
    """Whether the server keeps a session for this connection alone.

    Behind a pooler, what is prepared or listened for stays with a session that others get.
    """
    if (known := connection.info.get(_DIRECT)) is None:
        driver: object = connection.connection.dbapi_connection
        assert isinstance(driver, psycopg.Connection)
        # A pooling proxy reports another process id than the server.
        known = driver.info.backend_pid == connection.scalar(text("SELECT pg_backend_pid()"))
        connection.info[_DIRECT] = known
    return bool(known)


def connection_failure(error: psycopg.Error, url: URL, source: str) -> DatabaseUnavailable:
    """Return the error that says why no connection could be made."""
    target = where(url)
    user = url.username or "the default user"
    # libpq gives the text of a refusal only, in the language of the server.
    timed_out = isinstance(error, psycopg.errors.ConnectionTimeout)
    match error.sqlstate or (None if timed_out else sqlstate_of_refusal(libpq_url(url))):
        case "3D000":
            return UnknownDatabase(
                target,
                f"there is no database {url.database or url.username!r} at {_server(url)}",
                f"create it (createdb), or correct {source}",
            )
        case "53300":
            return TooManyConnections(
                target,
                f"the server at {_server(url)} has no free connection",
                "stop other programs that use it, or raise its max_connections",
            )
        case "28P01":
            return DatabaseRefused(
                target,
                f"the server at {_server(url)} refused the password of {user}",
                f"correct the password in {source}",
            )
        case "28000":
            return DatabaseRefused(
                target,
                f"the server at {_server(url)} does not accept {user}",
                f"correct the user in {source}, or ask its administrator for access",
            )
        case "57P03":
            return DatabaseNotReady(
                target,
                f"the server at {_server(url)} is starting or stopping",
                "try again in a moment",
            )
        case "42501":
            return DatabaseRefused(
                target,
                f"the server at {_server(url)} does not let {user} connect to this database",
                "grant CONNECT on the database, or correct the user in " + source,
            )
        case str(state):
            return DatabaseUnreachable(
                target,
                f"the server at {_server(url)} refused the connection ({_reason(error)}, "
                f"SQLSTATE {state})",
                f"see the log of the server, or correct {source}",
            )
        case None:
            return DatabaseUnreachable(
                target,
                f"no connection to {_server(url)} ({_reason(error)})",
                f"start the server, or correct {source}",
            )


def require_supported(engine: Engine) -> None:
    """Raise `UnsupportedPostgres` if the server is too old, or the database is not in UTF-8."""
    with engine.connect() as connection:
        version, encoding = connection.execute(
            select(
                func.current_setting("server_version_num"), func.current_setting("server_encoding")
            )
        ).one()
    major = int(version) // 10_000
    if major < OLDEST_SUPPORTED:
        raise UnsupportedPostgres(
            where(engine.url),
            f"the server at {_server(engine.url)} is PostgreSQL {major}",
            f"Quantum Forge needs {OLDEST_SUPPORTED} or newer: upgrade it, or use another",
        )
    if encoding != "UTF8":
        raise UnsupportedPostgres(
            where(engine.url),
            f"the database {where(engine.url)} has the encoding {encoding}, not UTF8",
            "create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
        )


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the database is; latency in ms, size in bytes, `connections` to all of the server."""

    is_ready: bool
    """Whether it can be written to now: it is neither a standby nor read-only."""
    server_version: str
    latency: float
    database_size: int
    connections: int
    max_connections: int


HEALTH = text("""
    SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS is_ready,
           current_setting('server_version') AS server_version,
           pg_database_size(current_database()) AS database_size,
           (SELECT count(*) FROM pg_stat_activity
             WHERE backend_type = 'client backend') AS connections,
           current_setting('max_connections')::int AS max_connections
""")


def health(engine: Engine) -> Health:
    """Ask the server how it is; the latency is that of an empty round trip."""
    with engine.connect() as connection:
        row = connection.execute(HEALTH).mappings().one()
        began = time.perf_counter()
        connection.execute(text("SELECT 1"))
        latency = (time.perf_counter() - began) * 1000
    return Health(latency=latency, **row)


def where(url: URL) -> str:
    """Return host, port and database in words, without user and password."""
    if (service := url.query.get("service")) is not None and not url.host:
        return f"the service {service}"
    return f"{url.database or url.username or 'the default database'} at {_server(url)}"


def _server(url: URL) -> str:
    """Return the hosts with their ports, as `a:5432, b:5433`."""
    return ", ".join(
        f"{host or 'the default host'}:{port}" if port else host or "the default host"
        for host, port in hosts_of(url)
    )


def _reason(error: Exception) -> str:
    """Return the end of libpq's message, which never quotes a password."""
    line = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    return line.strip().removeprefix("connection failed: ").removeprefix("connection is bad: ")
