"""A small store of two tenants, made once per module, and requests that read it."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import parse_qsl
from uuid import UUID, uuid5

import msgspec
import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.installation.bindings import bind_login, unbind_login
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import BatchItem, BatchItemsAdded, BatchStarted
from quantum_forge.schema.domains.discovery import ProjectCreated
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.domains.users import UserRegistered
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.exchange import ReadRequest
from quantum_forge.web.rest.reading import read
from tests.conftest import _fresh
from tests.support.chemical_history import completed, created, failed, happened, record, started

OURS, THEIRS = UUID(int=1, version=4), UUID(int=2, version=4)
HASH = f"$scrypt${'x' * 60}"


def id_of(name: str, tenant_id: UUID = OURS) -> UUID:
    """The id of what the store has under a name: `calculation 1`, `batch odd`."""
    return uuid5(tenant_id, name)


class Reply(msgspec.Struct, frozen=True):
    """A reply, with its body at once."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Get(Protocol):
    """Sends a request as the reader of a tenant, or as whom else is said."""

    def __call__(self, path: str, *, engine: Engine | None = None, **request: Any) -> Reply: ...


def get_from(engine: Engine, path: str, **request: Any) -> Reply:
    """Send a request for `/table?query`, and return the reply, or that to the error."""
    table, _, query = path.removeprefix("/").partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    wanted = ReadRequest(table=table, pairs=pairs, path=f"/{table}", **request)
    with engine.connect() as connection:
        try:
            reply = read(connection, wanted)
        except RestError as error:
            return Reply(error.status, error.headers, error.body)
        body = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
    return Reply(reply.status, reply.headers, body)


@pytest.fixture(scope="module")
def store(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Database]:
    """Return a store of two tenants, projected: molecules, calculations, batches, a project."""
    for database in _fresh(server, administrator, template=template):
        record(database.engine, *history(OURS), *history(THEIRS, molecules=("C", "S")))
        catch_up(database.engine, PROJECTIONS.values())
        yield database


def history(
    tenant_id: UUID, molecules: tuple[str, ...] = ("C", "CC", "CCC", "CCCC")
) -> list[NewEvent]:
    """Molecules with two calculations each but the last, the second failed; two batches."""
    in_tenant: dict[str, Any] = {"tenant_id": tenant_id}
    user = UserRegistered(email="ada@example.org", username="ada", hashed_password=HASH)
    events = [happened(user, id_of("user", tenant_id), **in_tenant)]
    project = ProjectCreated(name=f"project of {tenant_id}")
    events.append(happened(project, id_of("project", tenant_id), **in_tenant))
    for place, smiles in enumerate(molecules):
        molecule = created(smiles, **in_tenant)
        assert isinstance(molecule.event, msgspec.Struct)
        facts: dict[str, object] = {
            "size": place,
            "tags": ["a", f"n{place}"],
            "of": {"who": f"ada {place}"},
        }
        changes: dict[str, object] = {
            "metadata": facts,
            "name": None if place == 2 else f"name {place}, of {smiles}",
        }
        if place == 0:
            changes["project_id"] = id_of("project", tenant_id)
        event = msgspec.structs.replace(molecule.event, **changes)
        events.append(msgspec.structs.replace(molecule, event=event))
    for place, smiles in enumerate(molecules[:-1]):
        done, lost = (id_of(f"{kind} {place}", tenant_id) for kind in ("done", "lost"))
        events += [
            started(done, smiles, **in_tenant),
            completed(done, smiles, energy=-5.0 - place, gap=14.0 - place, **in_tenant),
            started(lost, smiles, **in_tenant),
            failed(lost, smiles, **in_tenant),
        ]
    for name, places in (("all", range(len(molecules) - 1)), ("first", range(1))):
        batch = id_of(f"batch {name}", tenant_id)
        items = [
            BatchItem(
                calculation_id=id_of(f"done {place}", tenant_id),
                molecule_id=molecule_id(tenant_id, molecules[place], 0, 1),
            )
            for place in places
        ]
        begun = BatchStarted(name=name, parameters={"method": "GFN2-xTB"}, total_count=len(items))
        events += [
            happened(begun, batch, **in_tenant),
            happened(BatchItemsAdded(items=items), batch, **in_tenant),
        ]
    return events


Login = Callable[..., Engine]


@pytest.fixture(scope="module")
def login(store: Database) -> Iterator[Login]:
    """Make a login of roles that is bound to a tenant, and return an engine of its."""
    made: list[tuple[str, Engine]] = []

    def make(roles: str, bound_to: UUID) -> Engine:
        name = f"rest_{len(made)}_{store.url.database}"
        with store.engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE {roles}"))
        bind_login(store.engine, name, bound_to)
        engine = make_engine(store.url.set(username=name))
        made.append((name, engine))
        return engine

    yield make
    for name, engine in made:
        engine.dispose()
        unbind_login(store.engine, name)
        with store.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


@pytest.fixture(scope="module")
def reader(login: Login) -> Engine:
    """Return an engine of a login that reads one tenant's tables."""
    return login("qforge_reader", OURS)


@pytest.fixture(scope="module")
def get(reader: Engine) -> Get:
    """Return a function that sends requests as the reader of a tenant."""

    def send(path: str, *, engine: Engine | None = None, **request: Any) -> Reply:
        return get_from(engine or reader, path, **request)

    return send
