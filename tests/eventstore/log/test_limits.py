"""Limits of what the log guarantees, and the tests that docs/explanation/log.md names."""

import contextlib
import re
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.doctor.checks import Level, log
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.support.appending import OTHER_TENANT, TENANT, append_and_commit, small_event
from tests.support.faults import end_in_a_gap, kill_server
from tests.support.killable import migrated_home

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "explanation" / "log.md").read_text(encoding="utf-8")
NAMED = re.findall(r"(tests/[\w/]+\.py)(?:::(test_\w+))?", PAGE)


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_a_test_that_the_documentation_names_exists(file: str, test: str) -> None:
    """Whoever doubts a sentence finds its proof."""
    assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE {login} SET qforge.tenant_id = '{other}'",
        "ALTER ROLE {login} IN DATABASE {database} SET qforge.tenant_id = '{other}'",
        "ALTER ROLE {login} RESET qforge.tenant_id",
        "ALTER ROLE {login} RESET ALL",
        "SET SESSION AUTHORIZATION {login}",
        "SET qforge.tenant_id = '{other}'",
    ],
)
def test_a_bound_login_cannot_unbind_itself(database: Database, statement: str) -> None:
    """Everybody may change their own defaults, but not of a setting that nobody declared."""
    append_and_commit(database.engine, small_event(), small_event(tenant_id=OTHER_TENANT))
    name = f"login_{uuid4().hex[:12]}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE qforge_auditor"))
        connection.execute(text(f"ALTER ROLE {name} SET qforge.tenant_id = '{TENANT}'"))
    engine = make_engine(database.url.set(username=name))

    try:
        with contextlib.suppress(NotAllowed), engine.begin() as connection:
            connection.execute(
                text(
                    statement.format(login=name, other=OTHER_TENANT, database=database.url.database)
                )
            )
        engine.dispose()
        with engine.begin() as connection:
            act_for(connection, OTHER_TENANT)
            assert {event.tenant_id for event in read_all(connection)} == {TENANT}
    finally:
        engine.dispose()
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


def test_an_unbound_login_that_may_write_sql_chooses_its_tenant(database: Database) -> None:
    """A setting is no secret: such a login must be bound by an administrator."""
    append_and_commit(database.engine, small_event(), small_event(tenant_id=OTHER_TENANT))
    name = f"login_{uuid4().hex[:12]}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE qforge_auditor"))
    engine = make_engine(database.url.set(username=name))

    def seen_by(tenant: UUID) -> set[UUID]:
        with engine.begin() as connection:
            act_for(connection, tenant)
            return {event.tenant_id for event in read_all(connection)}

    try:
        assert [seen_by(tenant) for tenant in (TENANT, OTHER_TENANT)] == [{TENANT}, {OTHER_TENANT}]
    finally:
        engine.dispose()
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


def test_a_superuser_can_step_over_everything_and_leaves_traces(engine: Engine) -> None:
    """An accident is refused; intent is not, but the log no longer agrees with itself."""
    entity = uuid4()
    append_and_commit(engine, *(small_event(entity, number) for number in range(3)))
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text("DELETE FROM event_logs WHERE version = 2"))
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM event_logs WHERE version = 2"))

    with engine.connect() as connection:
        finding = log.heads(connection)

    assert finding.level is Level.PROBLEM
    assert str(entity) in finding.found


def test_an_event_id_is_unique_within_its_stream_only(engine: Engine) -> None:
    """A second call may use it for another stream: ids are the client's to keep apart."""
    event_id = uuid4()
    (first,) = append_and_commit(engine, small_event(event_id=event_id))
    (second,) = append_and_commit(engine, small_event(event_id=event_id))
    assert first.appended
    assert second.appended
    assert second.position > first.position


def test_a_crash_may_hand_the_positions_of_a_last_gap_out_again(bin_directory: Path) -> None:
    """The sequence is as durable as the last commit; nothing that was committed is touched."""
    # Given: a log that ends with a gap, which nothing has made durable yet
    home = migrated_home(bin_directory, "qforge-test-")
    settings = {"autovacuum": "off"}
    with EmbeddedServer(home, bin_directory=bin_directory, settings=settings) as server:
        engine = make_engine(server.url())
        first, head = end_in_a_gap(server, engine)

        # When: the server crashes, and an event is appended
        kill_server(server)
        with EmbeddedServer(home, bin_directory=bin_directory, settings=settings):
            engine.dispose()
            (second,) = append_and_commit(engine, small_event())

            # Then: it may lie below a head that was read, but never below an event
            assert first.position < second.position <= head
            with engine.connect() as connection:
                read = [event.position for event in read_all(connection, after=first.position)]
            assert read == [second.position]
            engine.dispose()
    shutil.rmtree(home)


def test_a_bound_login_sees_no_statistics_but_estimates(database: Database) -> None:
    """How much another tenant has can be estimated by who may write SQL and knows its id."""
    append_and_commit(
        database.engine, small_event(), *(small_event(tenant_id=OTHER_TENANT) for _ in range(500))
    )
    name = f"login_{uuid4().hex[:12]}"
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE event_logs"))
        connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE qforge_auditor"))
        connection.execute(text(f"ALTER ROLE {name} SET qforge.tenant_id = '{TENANT}'"))
    engine = make_engine(database.url.set(username=name))

    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public'"
            statistics = connection.scalar(text(query))
            seen = connection.scalar(text("SELECT count(*) FROM event_logs"))
            explain = f"EXPLAIN SELECT * FROM event_logs WHERE tenant_id = '{OTHER_TENANT}'"
            plan = connection.execute(text(explain)).scalars().first()
    finally:
        engine.dispose()
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))

    assert (statistics, seen) == (0, 1)
    estimated = re.search(r"rows=(\d+)", str(plan))
    assert estimated is not None
    assert 450 < int(estimated[1]) < 550
