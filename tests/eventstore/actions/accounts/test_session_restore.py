"""Use case 1: a browser that closes while a molecule is edited comes back to the exact state."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.actions.accounts.sessions import STATE, Sessions
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security import hashing
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.queries.people import select_sessions
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.appending import OTHER_TENANT, TENANT

AUTHOR = Author(tenant_id=TENANT, ip_address="192.0.2.7", user_agent="Firefox")
PASSWORD = Secret("correct horse battery")


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Return a recorder, which is closed afterwards."""
    with Recorder(engine, AUTHOR) as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as cheaply as Argon2 allows."""
    monkeypatch.setattr(hashing, "MEMORY_KIB", 8)
    monkeypatch.setattr(hashing, "ITERATIONS", 1)


def test_a_browser_that_comes_back_finds_the_exact_state(
    recorder: Recorder, database: Database
) -> None:
    """At once, from the table, and after the table was rebuilt from the log."""
    # Given: somebody who edits a molecule, autosaved as it changes
    engine = database.engine
    users, sessions = Users(recorder), Sessions(recorder)
    ada = users.register(email="ada@example.org", username="ada", password=PASSWORD)
    session = sessions.open(users.log_in("ada", PASSWORD))
    molecule, calculation = uuid4(), uuid4()
    sessions.save_state(
        session.id,
        current_view="/molecules/edit",
        active_molecule_id=molecule,
        active_calculation_id=calculation,
        editor_content={"smiles": "CCO", "selection": [1, 2], "zoom": 1.5},
        sidebar_state={"open": ["history"], "width": 280},
        theme_preference="dark",
        ui_preferences={"labels": True},
    )
    catch_up(engine, [PROJECTIONS["user_sessions"]])
    edited = {"smiles": "CCN", "selection": [], "zoom": 1.5, "undo": ["CCO"]}
    sessions.save_state(session.id, editor_content=edited, active_calculation_id=None)
    expected: dict[str, Any] = {
        "current_view": "/molecules/edit",
        "active_molecule_id": str(molecule),
        "active_calculation_id": None,
        "editor_content": edited,
        "sidebar_state": {"open": ["history"], "width": 280},
        "theme_preference": "dark",
        "ui_preferences": {"labels": True},
    }

    # When: the browser is closed, the service too, and both come back with the token alone
    engine.dispose()
    again = make_engine(database.url)
    resumed = Sessions(Recorder(again, AUTHOR)).resume(Secret(session.token.reveal()))

    # Then: nothing is missing, though the table has not seen the last edit yet
    assert (resumed.id, resumed.user_id) == (session.id, ada)
    assert resumed.state == expected
    catch_up(again, [PROJECTIONS["user_sessions"]])
    assert state_in_table(again, ada) == expected
    rebuild(again, PROJECTIONS["user_sessions"])
    assert state_in_table(again, ada) == expected
    assert Sessions(Recorder(again, AUTHOR)).resume(session.token).state == expected

    # And when the user logs out, the session is gone, also after a rebuild
    Sessions(Recorder(again, AUTHOR)).close(session.id)
    catch_up(again, [PROJECTIONS["user_sessions"]])
    rebuild(again, PROJECTIONS["user_sessions"])
    assert state_in_table(again, ada) is None
    again.dispose()


def test_a_token_of_one_tenant_opens_nothing_of_another(recorder: Recorder, engine: Engine) -> None:
    """Nor does a reader of the other tenant see the row."""
    users, sessions = Users(recorder), Sessions(recorder)
    ada = users.register(email="ada@example.org", username="ada", password=PASSWORD)
    session = sessions.open(ada)
    sessions.save_state(session.id, editor_content={"smiles": "CCO"})
    catch_up(engine, [PROJECTIONS["user_sessions"]])

    with pytest.raises(Exception, match="session: access denied"):
        Sessions(Recorder(engine, Author(tenant_id=OTHER_TENANT))).resume(session.token)

    assert seen_by_reader(engine, TENANT) == 1
    assert seen_by_reader(engine, OTHER_TENANT) == 0


def test_the_sessions_of_a_deactivated_user_are_not_listed(
    recorder: Recorder, engine: Engine
) -> None:
    """Until the account is open again, as they let nobody in."""
    users, sessions = Users(recorder), Sessions(recorder)
    ada = users.register(email="ada@example.org", username="ada", password=PASSWORD)
    sessions.open(ada)
    tables = [PROJECTIONS["user_sessions"], PROJECTIONS["users"]]
    catch_up(engine, tables[:1])
    assert state_in_table(engine, ada) is not None

    users.deactivate(ada)
    catch_up(engine, tables)
    assert state_in_table(engine, ada) is None

    users.reactivate(ada)
    catch_up(engine, tables)
    assert state_in_table(engine, ada) is not None


def test_a_users_sessions_are_found_by_an_index(engine: Engine) -> None:
    """Whatever else is in the table."""
    statement = select_sessions(TENANT, uuid4()).compile(
        engine, compile_kwargs={"literal_binds": True}
    )
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {statement}")))

    assert "user_sessions_user_idx" in plan


def state_in_table(engine: Engine, user_id: UUID) -> dict[str, Any] | None:
    """What the table says that the user has before them."""
    with engine.connect() as connection:
        row = connection.execute(select_sessions(TENANT, user_id)).mappings().one_or_none()
    if row is None:
        return None
    return {name: str(row[name]) if isinstance(row[name], UUID) else row[name] for name in STATE}


def seen_by_reader(engine: Engine, tenant_id: UUID) -> int:
    """How many sessions a reader of a tenant sees."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL ROLE qforge_reader"))
        connection.execute(
            text("SELECT set_config('qforge.tenant_id', :tenant, true)"),
            {"tenant": str(tenant_id)},
        )
        return int(connection.execute(text("SELECT count(*) FROM user_sessions")).scalar_one())
