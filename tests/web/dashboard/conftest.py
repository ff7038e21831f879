"""A seeded database, served, with people who sign in by a form as in a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import msgspec
import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import _fresh
from tests.support.chemical_history import record
from tests.support.projecting import wait_until_projected
from tests.support.training_set import bad, good
from tests.web.conftest import PASSWORD, Served, serving_people


class Signed(msgspec.Struct):
    """Somebody who has signed in, and sends what a browser would send."""

    http: httpx2.Client

    def page(self, address: str) -> str:
        """Return the HTML of a page."""
        reply = self.http.get(address)
        assert reply.status_code == 200, (address, reply.status_code, reply.text)
        return reply.text

    def post(self, address: str, **fields: str) -> httpx2.Response:
        """Send a form of a page, with its CSRF token; returns the page that it leads to."""
        fields = {"csrf": csrf_in(self.page(address)), **fields}
        return self.http.post(address, data=fields, headers={"Origin": str(self.http.base_url)})


@pytest.fixture(scope="package")
def served(
    server: EmbeddedServer,
    administrator: Engine,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Return one server for all tests of the dashboard: what others record is there, too.

    With calculations with and without a result.
    """
    for database in _fresh(server, administrator, template=template):
        with serving_people(database, tmp_path_factory.mktemp("home")) as served:
            record(served.engine, *good(), *bad())
            wait_until_projected(served.engine)
            yield served


@pytest.fixture(scope="package")
def signed_in(served: Served) -> Iterator[dict[str, Signed]]:
    """Return an admin, a researcher and a viewer, by their names."""
    with (
        sign_in(served, "ada") as ada,
        sign_in(served, "bob") as bob,
        sign_in(served, "eve") as eve,
    ):
        yield {"ada": Signed(ada), "bob": Signed(bob), "eve": Signed(eve)}


@contextmanager
def sign_in(served: Served, name: str, password: str = PASSWORD) -> Iterator[httpx2.Client]:
    """Return a client with the cookie of a session."""
    with httpx2.Client(base_url=served.url, follow_redirects=True, timeout=30) as client:
        fields = {"name": name, "password": password}
        reply = client.post("/login", data=fields, headers={"Origin": served.url})
        assert reply.status_code == 200, reply.text
        yield client


def csrf_in(html: str) -> str:
    """Return the CSRF token of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', html)
    assert found is not None, html
    return found[1]
