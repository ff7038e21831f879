"""A database that has a table `users` already."""

from pathlib import Path

from tests.cases.foreign import database_with, names_in
from tests.conftest import Qforge


def check(_: Path, qforge: Qforge) -> None:
    """One line instead of 2,000 lines of SQL, and nothing is migrated half-way."""
    with database_with(qforge, "CREATE TABLE users (x int)") as address:
        said = qforge("db", "upgrade", env={"DATABASE_URL": address}, status=2).stderr

        (line,) = said.splitlines()
        assert "it has 1 table users already" in line
        assert "CREATE DATABASE" in line
        assert names_in(address) == {"users"}
