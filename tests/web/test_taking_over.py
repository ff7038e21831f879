"""What a key with scopes, or a viewer, cannot make of what they have."""

import time
from uuid import uuid4

import pytest

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.hashing import hash_password
from quantum_forge.schema.domains.bookmarks import BookmarkAdded
from quantum_forge.schema.domains.users import Role
from tests.support.web import TENANT, client
from tests.web.conftest import Served, account


def raw(event_type: str, entity_type: str, entity_id: object, **data: object) -> dict[str, object]:
    """An event as `append_events` takes it."""
    return {
        "event_type": event_type,
        "entity_type": entity_type,
        "entity_id": str(entity_id),
        "data": data,
    }


@pytest.mark.parametrize("name", ["ada", "bob", "eve"])
def test_a_key_with_scopes_does_nothing_to_accounts_keys_or_sessions(
    served: Served, name: str
) -> None:
    """By no way in, whatever its user may: it would make itself a key without scopes."""
    user = served.accounts[name]
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        key = ApiKeys(recorder).issue(user.id, name="limited", scopes=["write"]).key.reveal()
    hashed = hash_password(Secret("Hacked-passw0rd"))
    events = [
        raw("user_password_changed", "user", user.id, hashed_password=hashed),
        raw("user_two_factor_disabled", "user", user.id),
        raw("user_logged_in", "user", user.id, login_method="password"),
        raw("user_role_changed", "user", user.id, role="admin"),
        raw("user_role_changed", "molecule", user.id, role="admin"),
        raw("session_closed", "session", uuid4()),
    ]
    with client(served.url, key) as thief:
        for event in events:
            reply = thief.post("/rest/v1/rpc/append_events", json=[event])
            assert reply.status_code in (400, 403), (event, reply.text)
            if event["entity_type"] == "user":
                asked = {name: event[name] for name in ("event_type", "entity_id", "data")}
                reply = thief.post("/rest/v1/rpc/record", json=asked)
                assert reply.status_code in (400, 403), (event, reply.text)
        reply = thief.patch(f"/rest/v1/users?id=eq.{user.id}", json={"full_name": "x"})
        assert reply.status_code in (403, 405), reply.text


def test_raw_events_do_not_touch_what_belongs_to_others(served: Served) -> None:
    """Whose a bookmark is, its log says, and not the event that is appended."""
    ada, eve = served.accounts["ada"], served.accounts["eve"]
    bookmark = uuid4()
    with Recorder(served.engine, Author(tenant_id=TENANT, user_id=ada.id)) as recorder:
        recorder.record(
            BookmarkAdded(user_id=ada.id, target_type="molecule", target_id=uuid4()), of=bookmark
        )
    with served.client("eve") as viewer:
        for event_type, more in (("bookmark_removed", {}), ("bookmark_relabelled", {"label": "x"})):
            event = raw(event_type, "bookmark", bookmark, user_id=str(eve.id), **more)
            reply = viewer.post("/rest/v1/rpc/append_events", json=[event])
            assert reply.status_code == 403, reply.text


def test_what_others_did_is_for_admins(served: Served) -> None:
    """As on the command line: keys, sessions, requests and trails of the others."""
    tables = ("user_api_keys", "user_sessions", "user_audit_log", "activity_logs", "api_usage_logs")
    for name, status in (("eve", 403), ("bob", 403), ("ada", 200)):
        with served.client(name) as someone:
            for table in tables:
                reply = someone.get(f"/rest/v1/{table}?limit=1")
                assert reply.status_code == status, (name, table, reply.text)


def test_a_stream_ends_when_the_role_is_taken_even_if_there_is_always_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads slowly, or all the time, is asked again as well."""
    monkeypatch.setattr("quantum_forge.web.auth.remembered.TRUSTED_FOR", 0.0)
    monkeypatch.setattr("quantum_forge.web.streams.events.RECHECK_SECONDS", 0.0)
    monkeypatch.setattr("quantum_forge.web.streams.events.HEARTBEAT_SECONDS", 0.1)
    mal = account(served.engine, TENANT, f"mal{time.time_ns()}", Role.RESEARCHER)
    with client(served.url, mal.key) as someone, someone.stream("GET", "/events") as reply:
        lines = reply.iter_lines()
        assert next(lines) == ": connected"
        with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
            Users(recorder).change_role(mal.id, role=Role.VIEWER)
        with pytest.raises(Exception, match="peer closed connection"):
            for _ in lines:
                pass
