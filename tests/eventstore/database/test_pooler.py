"""Through a transaction-pooling pgbouncer: the same tests pass, and no tenant leaks to another."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import OtherTenant
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.tenancy import act_always_for, act_for
from quantum_forge.eventstore.doctor.checks import Level
from quantum_forge.eventstore.doctor.examination import examine_database
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.appender import Appender
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.operate.checks import CHECKS
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.eventstore.log import test_append, test_safe_head
from tests.support.appending import (
    OTHER_TENANT,
    TENANT,
    heads_disagreeing_with_the_log,
    small_event,
)
from tests.support.pooler import PROGRAM, pooler

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is not installed (apt-get install pgbouncer)"
)

CONNECTIONS = 20

# The same tests, with the `engine` of this module; those of locks that a session holds, which a
# pooler gives to somebody else, and of plans that a session caches have no meaning here.
_SESSIONS = {
    "test_locks_of_others_do_not_move_the_head",
    "test_large_batches_stay_fast_when_the_session_has_cached_a_plan",
    "test_a_reader_without_the_floor_does_skip",
    "test_whatever_is_called_each_id_is_in_the_log_once_and_heads_agree",
}
globals().update(
    {
        name: each
        for module in (test_append, test_safe_head)
        for name, each in vars(module).items()
        if name.startswith("test_") and name not in _SESSIONS
    }
)


@pytest.fixture(scope="session")
def pooled_server(server: EmbeddedServer) -> Iterator[URL]:
    """Return the address of a pgbouncer in front of the session's server."""
    with pooler(server, connections=CONNECTIONS) as url:
        yield url


@pytest.fixture
def pooled(pooled_server: URL, database: Database) -> URL:
    """Return the address of the test's database, through the pooler."""
    return pooled_server.set(database=database.url.database)


@pytest.fixture
def engine(pooled: URL) -> Iterator[Engine]:
    """Return an engine that goes through the pooler, also to the tests that are imported here."""
    engine = make_engine(pooled)
    yield engine
    engine.dispose()


@pytest.fixture
def login(pooled: URL, database: Database) -> Iterator[Callable[[str], Engine]]:
    """Make the login of a role, and return an engine of its, through the pooler."""
    made: list[tuple[str, Engine]] = []

    def make(role: str) -> Engine:
        name = role.replace("qforge_", "pooled_")
        with database.engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE {role}"))
        made.append((name, make_engine(pooled.set(username=name))))
        return made[-1][1]

    yield make
    for name, engine in made:
        engine.dispose()
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


@contextmanager
def acting_for(engine: Engine, tenant: UUID) -> Iterator[Connection]:
    """A transaction on behalf of a tenant."""
    with engine.begin() as connection:
        act_for(connection, tenant)
        yield connection


def backend(connection: Connection) -> int:
    """The server's process that serves this transaction."""
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_a_tenant_never_leaks_into_another_clients_transaction(
    login: Callable[[str], Engine],
) -> None:
    """The next client gets the same connection of the server, and nothing of the last one's."""
    # Given: two clients, of whom the first acts for a tenant
    appender = login("qforge_appender")
    with appender.connect() as first, appender.connect() as second:
        first.rollback()
        second.rollback()
        act_for(first, TENANT)
        append(first, [small_event(tenant_id=TENANT)])
        used = backend(first)
        first.commit()

        # When: the second gets that connection
        assert backend(second) == used, "the pooler shares no connection: nothing is proved"

        # Then: it acts for nobody
        assert second.execute(text("SELECT current_tenant()")).scalar_one() is None
        with pytest.raises(OtherTenant):
            append(second, [small_event(tenant_id=TENANT)])
        second.rollback()

        # And a transaction that fails takes its tenant with it, too
        act_for(first, TENANT)
        with pytest.raises(OtherTenant):
            append(first, [small_event(tenant_id=OTHER_TENANT)])
        first.rollback()
        assert second.execute(text("SELECT current_tenant()")).scalar_one() is None


def test_many_clients_of_two_tenants_see_and_append_their_own_only(
    login: Callable[[str], Engine], database: Database
) -> None:
    """Interleaved, over fewer connections than there are clients, in every way of acting."""
    appender, auditor = login("qforge_appender"), login("qforge_auditor")
    clients = 2 * CONNECTIONS
    barrier = threading.Barrier(clients)

    def work(number: int) -> set[int]:
        tenant = (TENANT, OTHER_TENANT)[number % 2]
        backends = set()
        barrier.wait(timeout=60)
        with Appender(appender, tenant_id=tenant) as direct:
            for turn in range(6):
                if turn % 2:
                    direct.append([small_event(tenant_id=tenant)])
                else:
                    with acting_for(appender, tenant) as connection:
                        append(connection, [small_event(tenant_id=tenant) for _ in range(2)])
                with acting_for(auditor, tenant) as connection:
                    assert {event.tenant_id for event in read_all(connection)} <= {tenant}
                    backends.add(backend(connection))
                with pytest.raises(OtherTenant), acting_for(appender, tenant) as connection:
                    append(connection, [small_event(tenant_id=(OTHER_TENANT, TENANT)[number % 2])])
        return backends

    with ThreadPoolExecutor(clients) as threads:
        used = set[int]().union(*threads.map(work, range(clients)))

    assert len(used) <= CONNECTIONS < clients
    with database.engine.connect() as connection:
        assert heads_disagreeing_with_the_log(connection) == []
        count = text("SELECT tenant_id, count(*) FROM event_logs GROUP BY 1 ORDER BY 1")
        n = CONNECTIONS * 9
        assert [tuple(row) for row in connection.execute(count)] == [(TENANT, n), (OTHER_TENANT, n)]


def test_an_engine_acts_always_for_its_tenant_behind_a_pooler(
    login: Callable[[str], Engine], database: Database
) -> None:
    """Each transaction says for whom, whichever connection it gets."""
    with database.engine.begin() as connection:
        append(connection, [small_event(tenant_id=TENANT), small_event(tenant_id=OTHER_TENANT)])
    auditor = login("qforge_auditor")
    act_always_for(auditor, OTHER_TENANT)
    for _ in range(3):
        with auditor.connect() as connection:
            assert [event.tenant_id for event in read_all(connection)] == [OTHER_TENANT]


def test_loads_projections_and_the_doctor_work_behind_a_pooler(engine: Engine) -> None:
    """Staging tables, checkpoints and checks need no session of their own."""
    entity = uuid4()
    loaded = load(engine, (small_event(entity, number) for number in range(250)), chunk=100)
    catch_up(engine, PROJECTIONS.values())

    assert loaded.appended == 250
    with engine.connect() as connection:
        assert heads_disagreeing_with_the_log(connection) == []
    findings = list(examine_database(engine, more=CHECKS, thorough=True))
    assert [
        each for each in findings if each.level is Level.PROBLEM and each.check != "durability"
    ] == []


def test_migrations_work_behind_a_pooler(pooled_server: URL, empty_database: Database) -> None:
    """Their lock is held by a transaction, not by a session."""
    engine = make_engine(pooled_server.set(database=empty_database.url.database))
    assert migrations.upgrade(engine)
    assert migrations.upgrade(engine) == []
    engine.dispose()
