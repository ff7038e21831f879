"""A database with another program's `alembic_version` (langflow #2905, mlflow #12627)."""

from pathlib import Path

import psycopg

from tests.cases.foreign import database_with, names_in
from tests.conftest import Qforge

THEIRS = """
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('0003')
"""


def check(_: Path, qforge: Qforge) -> None:
    """It is refused in one line before anything is touched, and keeps its revision."""
    with database_with(qforge, THEIRS) as address:
        before = names_in(address)
        said = qforge("db", "upgrade", env={"DATABASE_URL": address}, status=2).stderr

        assert "another program's: it has a table alembic_version" in said
        assert names_in(address) == before
        with psycopg.connect(address) as connection:
            row = connection.execute("TABLE alembic_version").fetchone()
    assert row == ("0003",)
