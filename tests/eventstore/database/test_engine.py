"""Opening a database: the pool, the health check, and one clear line for each way to fail."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.errors import (
    ConnectionLost,
    DatabaseRefused,
    DatabaseUnavailable,
    DatabaseUnreachable,
    TooManyConnections,
    UnknownDatabase,
    UnsupportedPostgres,
)
from quantum_forge.eventstore.database import engine as database_module
from quantum_forge.eventstore.database.address import for_programs
from quantum_forge.eventstore.database.engine import (
    Database,
    health,
    libpq_url,
    make_engine,
    open_database,
    where,
)
from quantum_forge.eventstore.database.given_address import parse_database_url
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import MAJOR, command_line

SECRET = "s3cr3t-w0rd"


@pytest.fixture(scope="module")
def roles(server: EmbeddedServer, administrator: Engine) -> Iterator[None]:
    """Make a role that needs a password, one that is turned away, and one without connections."""
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'"))
        connection.execute(text("CREATE ROLE rejected LOGIN"))
        connection.execute(text("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0"))
        rules.write_text(f"local all locked scram-sha-256\nlocal all rejected reject\n{before}")
        connection.execute(text("SELECT pg_reload_conf()"))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                psycopg.connect(address(server, "rejected")).close()
            except psycopg.OperationalError:
                break
        yield
        rules.write_text(before)
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("DROP ROLE locked, rejected, crowded"))


def address(server: EmbeddedServer, user: str, password: str | None = None) -> str:
    """Return the address of the server's own database for a user."""
    return libpq_url(server.url().set(username=user, password=password))


def failure(url: str) -> DatabaseUnavailable:
    """Return the error with which opening an address fails."""
    with pytest.raises(DatabaseUnavailable) as caught:
        open_database(load_settings({"DATABASE_URL": url}, Path("no/.env")))
    error = caught.value
    assert "\n" not in str(error)
    assert SECRET not in str(error)
    assert error.exit_status == 2
    return error


def test_the_embedded_server_runs_while_the_database_is_open(tmp_path: Path) -> None:
    """Without an address the server is started, and stopped when the database is closed."""
    settings = load_settings(
        {"QFORGE_HOME": str(tmp_path), "QFORGE_SERVER_LINGER": "0"}, Path("no/.env")
    )

    with open_database(settings) as database:
        assert health(database.engine).is_ready
        assert database.server is not None
        assert database.server.is_running()

    assert not database.server.is_running()


@pytest.mark.usefixtures("roles")
def test_the_right_password_opens(server: EmbeddedServer) -> None:
    """The role of the other tests is one that can get in."""
    url = address(server, "locked", SECRET)

    with open_database(load_settings({"DATABASE_URL": url}, Path("no/.env"))) as database:
        assert health(database.engine).is_ready
        assert SECRET not in repr(database.url)


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_named_as_such(server: EmbeddedServer, password: str | None) -> None:
    """The user learns whose password, where, and where it came from."""
    error = failure(address(server, "locked", password))

    assert isinstance(error, DatabaseRefused)
    assert "refused the password of locked; correct the password in DATABASE_URL" in str(error)


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("user", ["rejected", "nobody-of-that-name"])
def test_a_user_who_is_not_let_in_is_named(server: EmbeddedServer, user: str) -> None:
    """An unknown role and one that the rules turn away are told alike."""
    error = failure(address(server, user))

    assert isinstance(error, DatabaseRefused)
    assert f"does not accept {user}" in str(error)


@pytest.mark.usefixtures("roles")
def test_a_full_server_is_told_from_a_broken_one(server: EmbeddedServer) -> None:
    """Waiting or raising a limit helps here, and the error says so."""
    error = failure(address(server, "crowded"))

    assert isinstance(error, TooManyConnections)
    assert "max_connections" in str(error)


def test_an_unknown_database_is_named(server: EmbeddedServer) -> None:
    """A typing error in the database's name is visible in the message."""
    error = failure(libpq_url(server.url("no-such-database")))

    assert isinstance(error, UnknownDatabase)
    assert "there is no database 'no-such-database'" in str(error)
    assert "createdb" in str(error)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d", "127.0.0.1:1"),
        (f"postgresql://u:{SECRET}@no-such-host.invalid/d", "no-such-host.invalid"),
        (f"postgresql://u:{SECRET}@/d?host=/no/such/directory", "/no/such/directory"),
    ],
)
def test_an_unreachable_server_is_named(url: str, named: str) -> None:
    """A closed port, an unknown host and a missing socket each name the address."""
    error = failure(url)

    assert isinstance(error, DatabaseUnreachable)
    assert f"no connection to {named} (" in str(error)
    assert "start the server, or correct DATABASE_URL" in str(error)


def test_a_server_that_never_answers_is_given_up() -> None:
    """A firewall that swallows packets does not hang the program."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        error = failure(f"postgresql://u@127.0.0.1:{port}/d?connect_timeout=2")

    assert isinstance(error, DatabaseUnreachable)
    # psycopg's own limit is 130 s.
    assert time.monotonic() - began < 65


def test_an_old_server_is_refused(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better one line now than a syntax error in the middle of a migration."""
    monkeypatch.setattr(database_module, "OLDEST_SUPPORTED", MAJOR + 1)

    error = failure(libpq_url(server.url()))

    assert isinstance(error, UnsupportedPostgres)
    assert f"is PostgreSQL {MAJOR}; Quantum Forge needs {MAJOR + 1} or newer" in str(error)


def test_failures_of_later_connections_are_told_alike() -> None:
    """The pool connects whenever it likes: the boundary is the engine, not the opening."""
    engine = make_engine(parse_database_url("postgresql://u@127.0.0.1:1/d"))

    with pytest.raises(DatabaseUnreachable), engine.connect():
        pass

    engine.dispose()


def test_a_connection_cut_in_use_is_reported_and_replaced(
    database: Database, administrator: Engine
) -> None:
    """The statement fails with an error that callers can retry on; the next connection is new."""
    with database.engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        terminate(administrator, process)
        with pytest.raises(ConnectionLost, match="was lost"):
            connection.execute(text("SELECT 1"))

    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_connection_cut_while_idle_is_never_noticed(
    database: Database, administrator: Engine
) -> None:
    """After the server restarted at night, the morning's first query works."""
    with database.engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
    terminate(administrator, process)

    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != process


def terminate(administrator: Engine, process: int | None) -> None:
    """End a server process and wait until it is gone."""
    with administrator.connect() as connection:
        ended = text("SELECT pg_terminate_backend(:process, 30000)")
        assert connection.scalar(ended, {"process": process})


def test_fifty_connections_fit_in_the_pool(database: Database) -> None:
    """Twenty are kept, thirty more can be lent, and each says who it is."""
    connections = [database.engine.connect() for _ in range(50)]

    names = {
        connection.scalar(text("SELECT current_setting('application_name')"))
        for connection in connections
    }
    for connection in connections:
        connection.close()

    assert names == {"quantum-forge"}


def test_what_the_address_asks_for_is_respected(server: EmbeddedServer) -> None:
    """An application name in the address wins over the program's."""
    url = server.url().update_query_dict({"application_name": "nightly"})
    engine = make_engine(url)

    with engine.connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "nightly"

    engine.dispose()


def test_health_tells_version_size_and_load(database: Database) -> None:
    """The health check has what a status line shows."""
    now = health(database.engine)

    assert now.is_ready
    assert now.server_version.startswith(f"{MAJOR}.")
    assert now.database_size > 1_000_000
    assert 1 <= now.connections <= now.max_connections == 200
    assert 0 < now.latency < 10_000


def test_a_read_only_server_is_not_ready(server: EmbeddedServer) -> None:
    """A standby answers, but cannot be appended to."""
    url = server.url().update_query_dict({"options": "-c default_transaction_read_only=on"})
    engine = make_engine(url)

    assert not health(engine).is_ready

    engine.dispose()


def test_each_kind_of_failure_ends_a_command_with_status_2(
    database: Database, empty_database: Database, tmp_path: Path
) -> None:
    """On the command line each is one line on stderr, nothing on stdout, and exit status 2."""
    newer = database
    with newer.engine.begin() as connection:
        connection.execute(text("UPDATE qforge_version SET version_num = 'f00d'"))
    cases = {
        "postgresql://u@127.0.0.1:1/d": "start the server",
        libpq_url(empty_database.url): "never migrated; run: qforge db upgrade",
        libpq_url(newer.url): "migrated by a newer one",
        "mysql://h/d": "only PostgreSQL works",
    }

    for url, expected in cases.items():
        done = command_line(tmp_path, DATABASE_URL=url)("db", "check", status=2)

        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_source_of_the_settings_is_named() -> None:
    """Who set POSTGRES_HOST is not told to correct DATABASE_URL."""
    settings: Settings = load_settings(
        {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"}, Path("no/.env")
    )

    with pytest.raises(DatabaseUnreachable, match=r"correct POSTGRES_\*$"):
        open_database(settings)


def test_the_first_of_several_hosts_that_answers_is_used(database: Database) -> None:
    """By the engine, and by psql and pg_dump, whatever form the address has."""
    folder = database.url.query["host"]
    name = database.url.database
    url = parse_database_url(
        f"host=127.0.0.1,/nowhere,{folder} port=1,1,5432 user=postgres dbname={name}"
    )
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_database()")) == name
    finally:
        engine.dispose()
    assert where(url).endswith(f"at 127.0.0.1:1, /nowhere:1, {folder}:5432")
    with for_programs(url) as (address, variables):
        done = subprocess.run(
            [tool_path("psql"), "-Atc", "SELECT 1", address],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "1\n"
