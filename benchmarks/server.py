"""The server that both sides of every pair use: durable, and of the benchmark's own."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.server.embedded import EmbeddedServer

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""Every acknowledged append is on the disk; the rest is what the embedded server always has."""


class BenchmarkServer:
    """A running server whose databases begin as copies of a migrated one."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._administrator = create_engine(
            server.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self._administer("CREATE DATABASE migrated")
        engine = make_engine(server.url("migrated"))
        migrations.upgrade(engine)
        engine.dispose()

    @contextmanager
    def database(self, template: str = "migrated") -> Iterator[URL]:
        """The address of a new database, migrated by default, which is dropped in the end."""
        name = f"pair_{next(self._numbers)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._server.url(name)
        finally:
            # This also writes down what is left in memory, so that it does not burden the next.
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def version(self) -> str:
        """What the server calls itself."""
        with self._administrator.connect() as connection:
            return str(connection.scalar(text("SHOW server_version")))

    def _administer(self, statement: str) -> None:
        with self._administrator.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def benchmark_server() -> Iterator[BenchmarkServer]:
    """Start a server in a directory of its own; both are gone in the end."""
    home = Path(tempfile.mkdtemp(prefix="qforge-bench-"))
    try:
        with EmbeddedServer(home, settings=DURABLE) as server:
            yield BenchmarkServer(server)
    finally:
        shutil.rmtree(home)


@contextmanager
def connected(url: URL) -> Iterator[Engine]:
    """An engine as the programs of this project have it."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()
