"""A forge on the database of each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import quantum_forge as qf
from quantum_forge.eventstore.database.engine import Database, libpq_url


@pytest.fixture
def url(database: Database) -> str:
    """Return the address of the test's database."""
    return libpq_url(database.url)


@pytest.fixture
def forge(url: str, tmp_path: Path) -> Iterator[qf.Forge]:
    """Return a forge on the test's database."""
    with qf.open(url, home=tmp_path) as forge:
        yield forge
