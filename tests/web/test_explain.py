"""Explanations of rows over HTTP: the lineage that `qforge explain` prints, of one's own tenant."""

import time

import jwt
import pytest
from sqlalchemy import select

from quantum_forge.projections.history import lineage
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.chemical_history import record
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, calculation_of, energy_of, good
from tests.support.web import SECRET, TENANT, client
from tests.web.conftest import Served

CALCULATION = calculation_of(MOLECULES[0], METHODS[0])


@pytest.fixture(scope="module", autouse=True)
def recorded(served: Served) -> None:
    """Record calculations of ours."""
    record(served.engine, *good())
    wait_until_projected(served.engine)


def test_a_viewer_sees_which_event_gave_each_value(served: Served) -> None:
    """As the library explains it, also for an abbreviated key, and for a moment of the past."""
    projection = PROJECTIONS["calculations"]
    with served.engine.connect() as connection:
        position = read_checkpoints(connection)["calculations"].position
        key = {"tenant_id": TENANT, "id": CALCULATION}
        expected = lineage.explain(connection, projection, key, position)

    with served.client("eve") as eve:
        reply = eve.get(f"/rest/v1/calculations/{CALCULATION}/explain")
        assert reply.status_code == 200, reply.text
        found = reply.json()
        assert found["row"]["energy"] == energy_of(0, METHODS[0])
        assert {o["column"]: o["positions"] for o in found["origins"]} == {
            origin.column: origin.positions for origin in expected.origins
        }
        types = {step["event"]["position"]: step["event"]["event_type"] for step in found["steps"]}
        (energy,) = (o for o in found["origins"] if o["column"] == "energy")
        assert [types[at] for at in energy["positions"]] == ["calculation_completed"]

        short = str(CALCULATION)[:8]
        again = eve.get(f"/rest/v1/calculations/{short}/explain").json()
        # The log grows by the requests themselves, which are recorded meanwhile.
        assert {**again, "position": found["position"]} == found
        path = f"/rest/v1/calculations/{CALCULATION}/explain?as_of={min(types)}"
        before = eve.get(path).json()["row"]
        assert (before["status"], before["energy"]) == ("running", None)


def test_a_key_of_several_columns_is_separated_by_commas(served: Served) -> None:
    """In the order of the primary key; whichever way the client encodes the comma."""
    with served.client("eve") as eve:
        for comma in (",", "%2C"):
            path = f"/rest/v1/atomic_properties/{CALCULATION}{comma}1/explain"
            row = eve.get(path).json()["row"]
            assert (row["atom_index"], row["element"]) == (1, MOLECULES[0].atoms[1].element)


def test_rows_of_nobody_and_of_another_tenant_are_not_found(served: Served) -> None:
    """Both are answered with the same words; what no fold fills cannot be explained."""
    with served.client("zoe") as zoe, served.client("eve") as eve:
        for key in (str(CALCULATION), str(CALCULATION)[:8]):
            reply = zoe.get(f"/rest/v1/calculations/{key}/explain")
            assert (reply.status_code, reply.json()["code"]) == (404, "QF404")
            assert "no row of calculations has the key" in reply.json()["message"]
        missing = str(CALCULATION)[::-1]
        for path, status in (
            (f"calculations/{missing}/explain", 404),
            ("calculations/x'--/explain", 404),
            (f"calculations/{CALCULATION},1/explain", 404),
            ("event_logs/1/explain", 404),
            ("system_health/1/explain", 404),
            ("calculation/1/explain", 404),
            (f"calculations/{CALCULATION}/explain?as_of=yore", 400),
            (f"calculations/{CALCULATION}/explain?as_of=99999999", 400),
            (f"calculations/{CALCULATION}/explain?id=1", 400),
        ):
            reply = eve.get(f"/rest/v1/{path}")
            assert reply.status_code == status, (path, reply.text)
    with served.client() as nobody:
        assert nobody.get(f"/rest/v1/calculations/{CALCULATION}/explain").status_code == 401


def test_who_may_not_read_the_log_by_a_token_gets_no_explanation(served: Served) -> None:
    """The role that a token names is not widened: qforge_reader reads tables alone."""
    for role, status in (("qforge_reader", 403), ("qforge_auditor", 200)):
        claims = {"exp": time.time() + 600, "role": role, "tenant_id": str(TENANT)}
        with client(served.url, jwt.encode(claims, SECRET, algorithm="HS256")) as program:
            assert program.get(f"/rest/v1/calculations?id=eq.{CALCULATION}").status_code == 200
            for kind in ("explain", "geometry"):
                reply = program.get(f"/rest/v1/calculations/{CALCULATION}/{kind}")
                assert reply.status_code == status, reply.text


def test_no_explanation_shows_what_became_of_a_secret(served: Served) -> None:
    """Neither in events nor in rows: a viewer explains the account of an admin."""
    with served.engine.connect() as connection:
        users = PROJECTIONS["users"].table
        query = select(users.c.hashed_password).where(users.c.id == served.accounts["ada"].id)
        secret = connection.execute(query).scalar_one()
    with served.client("eve") as eve:
        reply = eve.get(f"/rest/v1/users/{served.accounts['ada'].id}/explain")
    assert reply.status_code == 200, reply.text
    assert reply.json()["row"]["username"] == "ada"
    assert "hashed_password" not in reply.json()["row"]
    assert secret not in reply.text
    assert '"hashed_password":"***"' in reply.text
