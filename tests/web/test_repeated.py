"""Requests that a client sends again because it got no reply: one event, and the reply of it."""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy import text as sql

from quantum_forge.schema.domains.calculations import CalculationCompleted
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.tables import event_logs
from tests.support.chemical_history import completed, created, record, started
from tests.support.web import TENANT, client
from tests.web.conftest import PASSWORD, Served, account

ROWS = {"Prefer": "return=representation"}


def keyed() -> dict[str, str]:
    """A header with a new key."""
    return {"Idempotency-Key": str(uuid4())}


def appended(served: Served) -> int:
    """How many events the log has that are not of the server's own account of requests."""
    types = ("api_request_served", "api_key_used")
    query = select(event_logs.c.id).where(event_logs.c.event_type.not_in(types))
    with served.engine.connect() as connection:
        return len(connection.execute(query).all())


def post(client: httpx2.Client, action: str, body: Any, headers: dict[str, str]) -> Any:
    """Call an action; returns its reply, which is no error."""
    reply = client.post(f"/rest/v1/rpc/{action}", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_an_action_that_is_sent_again_is_answered_and_records_nothing(served: Served) -> None:
    """Each that can be; a key that was another request's is refused, and so is one of a secret."""
    kim = account(served.engine, TENANT, "kim", Role.RESEARCHER)
    new = {"email": "lee@example.org", "username": "lee", "password": PASSWORD}
    deletion = {"event_type": "project_deleted", "data": {}}
    with served.client("ada") as ada:
        project = post(ada, "record", {"event_type": "project_created", "data": {"name": "p"}}, {})[
            "entity_id"
        ]
        ada.post("/rest/v1/molecules", json={"smiles": "CCBr", "project_id": project})
        issued = post(ada, "issue_key", {"name": "k"}, {})
        bodies: dict[str, dict[str, Any]] = {
            "register_user": new,
            "record": {"event_type": "project_created", "data": {"name": "q"}},
            "change_role": {"user_id": str(kim.id), "role": "viewer"},
            "deactivate_user": {"user_id": str(kim.id)},
            "revoke_key": {"key_id": issued["key_id"]},
        }
        for action, body in bodies.items():
            key = keyed()
            first, before = post(ada, action, body, key), appended(served)
            again = post(ada, action, dict(reversed(body.items())), key)
            first.pop("appended", None), again.pop("appended", None)
            assert again == first
            assert appended(served) == before, action
            if action != "register_user":
                reply = ada.post(f"/rest/v1/rpc/{action}", json={**body, "x": 1}, headers=key)
                assert (reply.status_code, reply.json()["code"]) == (409, "23505")

        key = keyed()
        first = post(ada, "record", {**deletion, "entity_id": project}, key)
        assert post(ada, "record", {**deletion, "entity_id": project}, key) == first
        for action in ("issue_key", "change_password"):
            reply = ada.post(f"/rest/v1/rpc/{action}", json={"name": "k"}, headers=keyed())
            assert (reply.status_code, reply.json()["code"]) == (400, "22023")
            assert "leave Idempotency-Key out" in reply.json()["message"]
    with served.engine.connect() as connection:
        stored = str(connection.execute(select(event_logs.c.metadata)).all())
    assert PASSWORD not in stored


def test_a_retraction_that_is_sent_again_retracts_nothing_more(served: Served) -> None:
    """Whatever was computed meanwhile."""

    def compute() -> None:
        one = uuid4()
        record(served.engine, started(one, "CCI", **ours), completed(one, "CCI", **ours))

    ours: dict[str, Any] = {"tenant_id": TENANT}
    record(served.engine, created("CCI", **ours))
    compute()
    version = completed(uuid4(), "CCI", **ours).event
    assert isinstance(version, CalculationCompleted)
    body = {"reason": "wrong parameters", "molecule_id": str(version.molecule_id)}
    key = keyed()
    with served.client("bob") as bob:
        first = post(bob, "retract", body, key)
        assert first["calculation_count"] == 1
        compute()
        again = post(bob, "retract", body, key)
        assert again["retraction_id"] == first["retraction_id"]
        assert again["calculation_count"] == 1
        assert post(bob, "retract", body, keyed())["calculation_count"] == 1


def test_the_same_action_at_the_same_time_happens_once(served: Served) -> None:
    """All of them have the same reply."""
    new = {"email": "max@example.org", "username": "max", "password": PASSWORD}
    event = {"event_type": "project_created", "data": {"name": "at once"}}
    with served.client("ada") as ada, ThreadPoolExecutor(4) as pool:
        for action, body in (("register_user", new), ("record", event)):
            key = keyed()
            sent = [pool.submit(post, ada, action, body, key) for _ in range(4)]
            assert len({json.dumps(each.result(), sort_keys=True) for each in sent}) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/rest/v1/projects", {"name": "NAME"}, 201),
        ("/rest/v1/rpc/record", {"event_type": "project_created", "data": {"name": "NAME"}}, 200),
        (
            "/rest/v1/rpc/append_events",
            [{"event_type": "project_created", "entity_id": "ID", "data": {"name": "NAME"}}],
            200,
        ),
    ],
)
def test_a_client_that_is_cut_off_and_comes_back_has_recorded_once(
    served: Served, path: str, body: Any, status: int
) -> None:
    """Its connection breaks while the server waits for the log, which records it unanswered."""
    name = str(uuid4())
    text = json.dumps(body).replace("NAME", name).replace("ID", str(uuid4()))
    headers = {
        **ROWS,
        **keyed(),
        "Authorization": f"Bearer {served.accounts['bob'].key}",
        "Content-Type": "application/json",
    }
    with served.client("bob") as bob:
        bob.get("/auth/v1/user")  # the use of the key is recorded before
        with served.engine.connect() as blocker, blocker.begin():
            blocker.execute(sql("LOCK TABLE event_logs IN SHARE MODE"))
            with sent(served.url, path, headers, text.encode()):
                wait_until(served, _WAITING)
                time.sleep(0.2)
        wait_until(served, f"SELECT count(*) FROM event_logs WHERE data->>'name' = '{name}'")
        replies = [bob.post(path, content=text, headers=headers) for _ in range(2)]
    for reply in replies:
        assert reply.status_code == status, reply.text
        assert reply.json() == replies[0].json()
    query = select(event_logs.c.id).where(event_logs.c.data["name"].astext == name)
    with served.engine.connect() as connection:
        assert len(connection.execute(query).all()) == 1


_WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
     WHERE NOT granted AND datname = current_database()
"""


def wait_until(served: Served, counted: str) -> None:
    """Wait until a query counts something."""
    for _ in range(400):
        with served.engine.connect() as connection:
            if connection.execute(sql(counted)).scalar_one():
                return
        time.sleep(0.05)
    raise AssertionError(f"did not happen: {counted}")


@contextlib.contextmanager
def sent(url: str, path: str, headers: dict[str, str], body: bytes) -> Iterator[None]:
    """Send a whole request, and reset the connection at the end of a `with`, unanswered."""
    address = urlsplit(url)
    lines = [f"POST {path} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        yield
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_password_is_changed_by_who_knows_it(served: Served) -> None:
    """By rpc and as Supabase's clients do; what was open before is closed."""
    path = "/rest/v1/rpc/change_password"
    pat = account(served.engine, TENANT, "pat", Role.VIEWER)
    new = "another good password"
    with client(served.url, pat.key) as someone:
        for body, code in (
            ({"current_password": "wrong wrong", "new_password": new}, "28P01"),
            ({"current_password": PASSWORD, "new_password": "short"}, "QF422"),
            ({"new_password": new}, "PGRST102"),
        ):
            reply = someone.post(path, json=body)
            assert reply.json()["code"] == code, reply.text
        reply = someone.post(path, json={"current_password": PASSWORD, "new_password": new})
        assert reply.status_code == 200, reply.text
    login = "/auth/v1/token?grant_type=password"
    with served.client() as browser:
        for password, status in ((PASSWORD, 400), (new, 200)):
            reply = browser.post(login, json={"email": "pat", "password": password})
            assert reply.status_code == status
