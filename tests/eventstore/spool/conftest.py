"""One database for the tests of a module: each of them has streams and a spool of its own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import _fresh


@pytest.fixture(scope="module")
def database(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Database]:
    """Return the migrated database of the module."""
    yield from _fresh(server, administrator, template=template)
