"""One database and one server for a module of tests, with users of two tenants."""

import contextlib
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.settings import WebSettings
from tests.conftest import _fresh
from tests.support.web import OTHER, SECRET, TENANT, client, serving

ROLES = "qforge_admin, qforge_projector, qforge_reader, qforge_auditor"
"""What the documentation says that the login of a server needs; it is no superuser."""

PASSWORD = "correct horse battery"


class Account(msgspec.Struct):
    """A user of the tests, with a key."""

    id: UUID
    tenant_id: UUID
    name: str
    key: str


class Served(msgspec.Struct):
    """A running server and who may use it, by user name."""

    url: str
    engine: Engine
    accounts: dict[str, Account]

    def client(self, name: str | None = None) -> httpx2.Client:
        """Return a client with the key of a user; None: without a key."""
        return client(self.url, None if name is None else self.accounts[name].key)


@pytest.fixture(scope="module")
def module_database(
    server: EmbeddedServer, administrator: Engine, template: str
) -> Iterator[Database]:
    """Return a migrated database of this module's own."""
    yield from _fresh(server, administrator, template=template)


@pytest.fixture(scope="module")
def served(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server with an admin, a researcher and a viewer, and an admin of another tenant."""
    with serving_people(module_database, tmp_path_factory.mktemp("home")) as served:
        yield served


@contextlib.contextmanager
def serving_people(of: Database, home: Path) -> Iterator[Served]:
    """Serve a database with people of two tenants for the length of a `with`."""
    engine = of.engine
    accounts = {}
    for tenant_id, name, role in [
        (TENANT, "ada", Role.ADMIN),
        (TENANT, "bob", Role.RESEARCHER),
        (TENANT, "eve", Role.VIEWER),
        (OTHER, "zoe", Role.ADMIN),
    ]:
        accounts[name] = account(engine, tenant_id, name, role)
    web = WebSettings(
        jwt_secret=Secret(SECRET), max_body=100_000, trusted_proxies=(ip_network("127.0.0.1"),)
    )
    with as_server(of) as database, serving(database, home, web) as url:
        yield Served(url, engine, accounts)


@contextlib.contextmanager
def as_server(database: Database) -> Iterator[Database]:
    """Return the same database by a login as a server needs it, which is dropped at the end.

    Logins belong to the whole PostgreSQL server, and the doctor of other tests would name it.
    """
    login = f"web_{uuid4().hex[:12]}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {login} LOGIN IN ROLE {ROLES}"))
    try:
        with Database(make_engine(database.url.set(username=login))) as by_login:
            yield by_login
    finally:
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {login}"))


def account(engine: Engine, tenant_id: UUID, name: str, role: Role) -> Account:
    """Register a user with a password and an API key without limits."""
    with Recorder(engine, Author(tenant_id=tenant_id)) as recorder:
        user_id = Users(recorder).register(
            email=f"{name}@example.org", username=name, password=Secret(PASSWORD), role=role
        )
        key = ApiKeys(recorder).issue(user_id, name="tests").key.reveal()
    return Account(user_id, tenant_id, name, key)
