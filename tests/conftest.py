"""A real PostgreSQL for every test: one server per run and worker, one fresh database per test.

QFORGE_TEST_POSTGRES chooses the version: 18 (the default) and 16 come with the wheel, others from
/usr/lib/postgresql, where Debian puts them.
"""

import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from quantum_forge.cli.main import main
from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.server import binaries as postgres_binaries
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.support.homes import new_home

MAJOR = int(os.environ.get("QFORGE_TEST_POSTGRES", "18"))
IN_A_HURRY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}
"""Settings of a server whose data nobody will miss."""

OTHERS_VARIABLES = ("DATABASE_URL", "POSTGRES_", "DB_", "PG", "QFORGE_")


class Qforge(Protocol):
    """Runs the command line against the test's database and returns what it said."""

    def __call__(
        self,
        *arguments: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        status: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Fail unless it exits with `status`; None allows any."""
        ...


def pytest_configure() -> None:
    """Heed Ctrl-C, which a shell lets a background job ignore: tests press it, and would wait.

    Tests run side by side: threads of tblite would wait for each other, busily. They start hundreds
    of processes, each of which would compile this program anew where no bytecode may be kept.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bin_directory() -> Path:
    """Where the programs of the chosen version are."""
    if MAJOR in postgres_binaries.shipped_majors():
        return postgres_binaries.bin_directory(MAJOR)
    folder = Path(f"/usr/lib/postgresql/{MAJOR}/bin")
    if not (folder / "postgres").exists():
        pytest.exit(f"QFORGE_TEST_POSTGRES={MAJOR}: neither shipped nor in {folder}", returncode=2)
    return folder


@pytest.fixture(scope="session")
def server(bin_directory: Path) -> Iterator[EmbeddedServer]:
    """Return a server for the whole run."""
    home = new_home("qforge-test-")
    try:
        with EmbeddedServer(home, bin_directory=bin_directory, settings=IN_A_HURRY) as server:
            yield server
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def administrator(server: EmbeddedServer) -> Iterator[Engine]:
    """Return an engine that commits every statement, for making and dropping databases."""
    engine = create_engine(server.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


_numbers = itertools.count(1)


@pytest.fixture
def empty_database(server: EmbeddedServer, administrator: Engine) -> Iterator[Database]:
    """Return a database without a single table."""
    yield from _fresh(server, administrator, template="template0")


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, administrator: Engine) -> str:
    """Return the name of a migrated database that tests clone."""
    with administrator.connect() as connection:
        connection.execute(text("CREATE DATABASE migrated"))
    engine = make_engine(server.url("migrated"))
    migrations.upgrade(engine)
    engine.dispose()
    return "migrated"


@pytest.fixture
def database(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Database]:
    """Return a migrated database of this test's own."""
    yield from _fresh(server, administrator, template=template)


@pytest.fixture
def engine(database: Database) -> Engine:
    """Return the engine of the test's database."""
    return database.engine


@pytest.fixture(scope="session")
def common_engine(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Engine]:
    """Return the engine of a migrated database for all tests that roll back what they do there.

    A database of its own costs a test more than most histories that are folded in it.
    """
    for database in _fresh(server, administrator, template=template):
        yield database.engine


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """Return a connection to the test's database; what it leaves uncommitted is rolled back."""
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def qforge(database: Database, tmp_path: Path) -> Qforge:
    """Return a function that runs the command line against the test's database."""
    return command_line(tmp_path, DATABASE_URL=libpq_url(database.url))


@pytest.fixture
def qforge_here(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Qforge:
    """Return what `qforge` returns, but it runs in this process, in a tenth of the time."""
    return in_process(database, tmp_path, monkeypatch, capfd)


def in_process(
    database: Database,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Qforge:
    """Return a function that runs the command line in this process."""

    def run(
        *arguments: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        status: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        handlers = {
            number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        capfd.readouterr()
        code: object = None
        with monkeypatch.context() as patch:
            patch.chdir(directory)
            for name in os.environ:
                if name.startswith(OTHERS_VARIABLES):
                    patch.delenv(name)
            variables = {
                "QFORGE_HOME": str(directory / "home"),
                "QFORGE_SERVER_LINGER": "0",
                "DATABASE_URL": libpq_url(database.url),
                **(env or {}),
            }
            for name, value in variables.items():
                patch.setenv(name, value)
            if input is not None:
                patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode())))
            try:
                main(arguments)
            except SystemExit as exited:
                code = exited.code
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        said = capfd.readouterr()
        assert isinstance(code, int)
        assert status in (None, code), said.err + said.out
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run


def command_line(directory: Path, **variables: str) -> Qforge:
    """Return a function that runs the command line in a directory, with these variables only."""
    directory.mkdir(parents=True, exist_ok=True)
    base = {
        name: value for name, value in os.environ.items() if not name.startswith(OTHERS_VARIABLES)
    }
    base |= {
        "QFORGE_HOME": str(directory / "home"),
        "QFORGE_SERVER_LINGER": "0",
        "PYTHONWARNINGS": "error",
        **variables,
    }

    def run(
        *arguments: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        status: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "quantum_forge.cli.main", *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            cwd=directory,
            env={**base, **(env or {})},
            timeout=120,
            check=False,
        )
        if status is not None:
            assert done.returncode == status, done.stderr + done.stdout
        return done

    return run


def _fresh(server: EmbeddedServer, administrator: Engine, *, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    with administrator.connect() as connection:
        # Copying files takes half the time of writing every page to the WAL, and nobody waits for
        # fsync.
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
    database = Database(make_engine(server.url(name)))
    yield database
    database.close()
    with administrator.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
