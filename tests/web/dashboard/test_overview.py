"""The overview: what it counts, whose, and what it asks for."""

import re

from sqlalchemy import Connection, Engine, func, select, update

from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.follow.state import read_states
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.tables import event_logs, projection_checkpoints
from tests.support.chemical_history import created, record
from tests.support.web import TENANT
from tests.web.conftest import Served
from tests.web.dashboard.conftest import Signed


def test_the_overview_counts_what_is_ones_own(served: Served, signed_in: dict[str, Signed]) -> None:
    """The numbers lead to their rows; errors that need a person are named with what to do."""
    with served.client("zoe") as zoe:
        assert zoe.post("/rest/v1/projects", json={"name": "theirs"}).status_code == 201
    with served.client("eve") as eve, served.engine.connect() as connection:
        before = _own_events(connection)
        page = signed_in["eve"].page("/").replace("\N{NO-BREAK SPACE}", "")
        after = _own_events(connection)
        for status, link in (("completed", "completed"), ("failed,lost", "failed&amp;status=lost")):
            asked = f"/rest/v1/calculations?select=id&status=in.({status})"
            number = len(eve.get(asked).json())
            assert f'<a href="/calculations?status={link}">{number}</a>' in page
    assert f"of {len(PROJECTIONS)} tables are up to date" in page
    assert "Run the checks" not in page
    assert signed_in["ada"].http.get("/health").status_code == 403
    shown = re.search(r"(\d+) events, by minute", page)
    assert shown is not None
    assert before <= int(shown[1]) <= after


def _own_events(connection: Connection) -> int:
    """How many there are of the tenant of the tests."""
    query = select(func.count()).where(event_logs.c.tenant_id == TENANT)
    return int(connection.scalar(query) or 0)


def test_states_of_projections_agree_with_their_lags(engine: Engine) -> None:
    """One statement says of every table what one for each would: behind, stale, or up to date."""
    with engine.connect() as connection:
        fresh = read_states(connection, list(PROJECTIONS.values()))
    assert not any(each.is_behind or each.is_stale or each.parked for each in fresh)

    record(engine, created("C"))
    catch_up(engine, PROJECTIONS.values())
    record(engine, created("CC"))
    with engine.begin() as connection:
        changed = projection_checkpoints.c.projection == "users"
        connection.execute(update(projection_checkpoints).where(changed).values(fingerprint="old"))
    with engine.connect() as connection:
        states = read_states(connection, list(PROJECTIONS.values()))
        head = max(state.position + state.positions for state in states)
        lags = read_lags(connection, PROJECTIONS.values(), head)
    behind = {lag.projection for lag in lags if lag.is_behind}
    assert "molecules" in behind
    assert {state.projection for state in states if state.is_behind} == behind
    assert [state.projection for state in states if state.is_stale] == ["users"]
    needs = {state.projection: state.needs for state in states}
    assert needs["users"] == "qforge rebuild users"
    assert needs["molecules"] == "qforge project --once"
    assert needs["bookmarks"] is None
