"""Scratch databases: empty ones beside the database of a connection, dropped at the end."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import make_engine


@contextmanager
def scratch_databases(engine: Engine, count: int) -> Iterator[list[Engine]]:
    """Make empty databases on the server of an engine, whose login needs CREATEDB.

    Raises:
        NotAllowed: when the login may not make databases.
        NeedsPrimary: on a standby.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_scratch(engine)) for _ in range(count)]


@contextmanager
def _scratch(engine: Engine) -> Iterator[Engine]:
    name = f"qforge_scratch_{os.getpid()}_{secrets.token_hex(4)}"
    server = engine.execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        scratch = make_engine(engine.url.set(database=name))
        try:
            yield scratch
        finally:
            scratch.dispose()
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
