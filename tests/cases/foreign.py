"""A database beside that of a test, which another program uses."""

import contextlib
from collections.abc import Iterator
from uuid import uuid4

import psycopg
from psycopg import sql

from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.database.given_address import parse_database_url
from tests.conftest import Qforge


@contextlib.contextmanager
def database_with(qforge: Qforge, statements: str) -> Iterator[str]:
    """Make a database in which these statements have been run; give its address."""
    url = qforge("db", "url", "--show-password").stdout.strip()
    name = f"foreign_{uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    address = libpq_url(parse_database_url(url).set(database=name))
    try:
        with psycopg.connect(address) as connection:
            connection.execute(statements.encode())
        yield address
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def names_in(address: str) -> set[str]:
    """The tables and functions of a database."""
    with psycopg.connect(address) as connection:
        return {
            name
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            )
        }
