"""Refresh of read models before they are read: by whom, how far, and what is said otherwise."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, select, text

from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.tenancy import act_always_for
from quantum_forge.projections.follow import refresh as module
from quantum_forge.projections.follow.refresh import may_project, refresh
from quantum_forge.projections.project.checkpoint import lock_checkpoints
from quantum_forge.projections.project.projector import RebuildNeeded, catch_up
from quantum_forge.schema.domains.batches import batch_jobs
from tests.support.appending import TENANT, append_and_commit
from tests.support.projecting import BATCH_JOBS, history

ROLES = ("qforge_reader", "qforge_auditor", "qforge_appender", "qforge_projector", "qforge_admin")
PROJECTING = ("qforge_projector", "qforge_admin")


@contextmanager
def login(database: Database, administrator: Engine, *roles: str) -> Iterator[Engine]:
    """Return the engine of a login with these roles, which acts for the tenant."""
    name = f"login_of_{database.url.database}"
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE {', '.join(roles)}"))
    engine = make_engine(database.url.set(username=name))
    try:
        act_always_for(engine, TENANT)
        yield engine
    finally:
        engine.dispose()
        with administrator.connect() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


def names(connection: Connection) -> list[str]:
    """The batches in the table."""
    return list(connection.scalars(select(batch_jobs.c.name)))


@pytest.mark.parametrize("role", ROLES)
def test_who_may_project_is_asked_of_the_catalog(
    database: Database, administrator: Engine, role: str
) -> None:
    """Two roles fold; the others change nothing, get no refusal, and learn that they lag."""
    catch_up(database.engine, [BATCH_JOBS])
    append_and_commit(database.engine, *history(3))

    with login(database, administrator, "qforge_reader", role) as theirs:
        refreshed = refresh(theirs, [BATCH_JOBS])
        with theirs.connect() as connection:
            allowed, seen = may_project(connection, [BATCH_JOBS]), names(connection)

    assert allowed is (role in PROJECTING)
    assert seen == (["b"] if allowed else [])
    if not allowed:
        (lag,) = refreshed.behind
        assert lag.positions >= 3
        assert (lag.seconds is not None) is (role == "qforge_auditor")
        assert "your login may not project" in refreshed.why


def test_a_revoked_right_is_seen_before_anything_is_folded(
    database: Database, administrator: Engine
) -> None:
    """A projector that may not write one of the tables leaves all of them to others."""
    with database.engine.begin() as connection:
        connection.execute(text("REVOKE UPDATE ON batch_jobs FROM qforge_projector"))
    append_and_commit(database.engine, *history(3))

    with login(database, administrator, "qforge_projector") as theirs:
        assert refresh(theirs, [BATCH_JOBS]).behind


def test_what_another_process_folds_is_waited_for(engine: Engine) -> None:
    """A reader that finds a checkpoint locked sees the rows once the holder is done."""
    catch_up(engine, [BATCH_JOBS])
    append_and_commit(engine, *history(3))
    with engine.connect() as holder:
        assert lock_checkpoints(holder, [BATCH_JOBS.name])
        reading = threading.Thread(target=lambda: refresh(engine, [BATCH_JOBS], seconds=None))
        reading.start()
        reading.join(0.1)
        assert reading.is_alive()
        holder.rollback()
        reading.join(60)

    assert not reading.is_alive()
    with engine.connect() as connection:
        assert names(connection) == ["b"]


def test_a_long_way_is_not_begun(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads does not wait for an import to be folded; with all the time, it is."""
    monkeypatch.setattr(module, "MOST_POSITIONS", 2)
    append_and_commit(engine, *history(3))

    refreshed = refresh(engine, [BATCH_JOBS])
    with engine.connect() as connection:
        assert names(connection) == []
    assert (len(refreshed.behind), refreshed.why) == (1, "run: qforge project --once")

    assert refresh(engine, [BATCH_JOBS], seconds=None).behind == []


def test_a_changed_definition_is_the_reason(engine: Engine) -> None:
    """The reader is told to rebuild, and may raise the error."""
    catch_up(engine, [BATCH_JOBS])
    with engine.begin() as connection:
        connection.execute(text("UPDATE projection_checkpoints SET fingerprint = 'another'"))
    append_and_commit(engine, *history(3))

    refreshed = refresh(engine, [BATCH_JOBS])

    assert isinstance(refreshed.trouble, RebuildNeeded)
    assert refreshed.why == str(refreshed.trouble)
