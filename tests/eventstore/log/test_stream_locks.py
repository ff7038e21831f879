"""An append waits for a stream only for a while, and names who holds it; nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import StreamLocked
from quantum_forge.eventstore.database.availability.outage import passes
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.appender import Appender
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.recorder import Recorder
from tests.eventstore.database.test_roles_and_tenants import OURS, Login, created, login
from tests.support.appending import TENANT, small_event, versions_of

__all__ = ["login"]


@pytest.fixture
def hurried(database: Database) -> Engine:
    """Sessions with a lock_timeout of their own."""
    return make_engine(database.url.update_query_dict({"options": "-c lock_timeout=300ms"}))


def by_append(engine: Engine, new: NewEvent) -> None:
    """In a transaction of the caller's."""
    with engine.begin() as connection:
        append(connection, [new])


def by_appender(engine: Engine, new: NewEvent) -> None:
    """In one statement."""
    with Appender(engine) as appender:
        appender.append([new])


def by_load(engine: Engine, new: NewEvent) -> None:
    """By COPY."""
    load(engine, [new])


@pytest.mark.parametrize("way", [by_append, by_appender, by_load])
@pytest.mark.parametrize("is_new", [True, False])
def test_an_append_names_the_idle_session_that_holds_its_stream(
    engine: Engine, hurried: Engine, way: Callable[[Engine, NewEvent], None], is_new: bool
) -> None:
    """The error can be tried again, and then the event is there once."""
    stream = uuid4()
    if not is_new:
        by_append(engine, small_event(stream))
    mine = small_event(stream)

    with engine.connect() as holder:
        pid = holder.scalar(text("SELECT pg_backend_pid()"))
        append(holder, [small_event(stream)])
        with pytest.raises(
            StreamLocked, match=rf"pid {pid}, .*idle in transaction.*pg_terminate_backend\({pid}\)"
        ) as caught:
            way(hurried, mine)
        assert passes(caught.value)
        holder.commit()

    way(hurried, mine)
    with engine.connect() as connection:
        assert versions_of(connection, stream) == list(range(1, 3 if is_new else 4))
    hurried.dispose()


def test_a_recorder_spools_what_waits_for_a_stream(engine: Engine, tmp_path: Path) -> None:
    """The reason names the session; a drain after its end brings the event into the log."""
    stream = uuid4()
    reasons: list[str] = []
    with engine.connect() as holder:
        append(holder, [small_event(stream)])
        with Recorder(
            engine,
            Author(tenant_id=TENANT),
            rules=False,
            spool=tmp_path,
            deadline=0.5,
            on_away=reasons.append,
        ) as recorder:
            assert recorder.record_all(small_event(stream)) is None
        holder.commit()

    assert drain(tmp_path, engine).events == 1
    assert "idle in transaction" in reasons[0]
    with engine.connect() as connection:
        assert versions_of(connection, stream) == [1, 2]


def test_a_login_that_may_only_append_learns_who_is_in_its_way(
    engine: Engine, login: Login
) -> None:
    """With the process and the login, which PostgreSQL shows to everybody."""
    mine = created(OURS)
    only_appends = login("qforge_appender", bound_to=OURS)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE {only_appends.url.username} SET lock_timeout = 300"))

    with engine.connect() as holder:
        append(holder, [mine])
        pid = holder.scalar(text("SELECT pg_backend_pid()"))
        with (
            only_appends.connect() as connection,
            pytest.raises(StreamLocked, match=f"pid {pid}, user postgres"),
        ):
            append(connection.execution_options(isolation_level="AUTOCOMMIT"), [created(OURS)])


def limits(connection: Connection) -> list[str]:
    """The lock_timeout before and after an append."""
    found = [connection.execute(text("SHOW lock_timeout")).scalar_one()]
    append(connection, [small_event()])
    return [*found, connection.execute(text("SHOW lock_timeout")).scalar_one()]


def test_the_limit_is_thirty_seconds_unless_the_session_has_its_own(engine: Engine) -> None:
    """It ends with the transaction, so that nothing is left behind a pooler."""
    with engine.connect() as connection:
        assert limits(connection) == ["0", "30s"]
        connection.rollback()
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "0"
        connection.execute(text("SET LOCAL lock_timeout = '7s'"))
        assert limits(connection) == ["7s", "7s"]
