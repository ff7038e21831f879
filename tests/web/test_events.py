"""The log as server-sent events: in order, skipping none, of one's own tenant."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.discovery import ProjectCreated
from quantum_forge.schema.domains.users import Role
from tests.conftest import OTHERS_VARIABLES
from tests.support.web import OTHER, TENANT, bearer
from tests.web.conftest import Served


def made(name: str, tenant_id: UUID = TENANT) -> NewEvent:
    """A project that was created."""
    return Author(tenant_id=tenant_id).new(uuid4(), ProjectCreated(name=name))


def record(engine: Engine, *events: NewEvent) -> int:
    """Append events, and return the position of the last."""
    with engine.begin() as connection:
        return append(connection, events)[-1].position


def stream(
    served: Served, name: str, count: int, *, after: int | None = None, **query: str
) -> list[dict[str, Any]]:
    """Read events from the stream until there are so many."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with (
        served.client(name) as client,
        client.stream("GET", "/events", headers=headers, params=query) as reply,
    ):
        assert reply.headers["content-type"].startswith("text/event-stream")
        found = []
        for event in frames(reply):
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended early")


def frames(reply: httpx2.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream, with id and name checked against their data."""
    fields: dict[str, str] = {}
    for line in reply.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            event = json.loads(fields["data"])
            assert int(fields["id"]) == event["position"]
            assert fields["event"] == event["event_type"]
            yield event
            fields = {}


def test_a_stream_skips_no_event_of_its_tenant_and_shows_no_other(served: Served) -> None:
    """Eight writers append to two tenants while a client reads, breaks off and comes back."""
    start = record(served.engine, made("before"))
    writers, each = 8, 25

    def write(number: int) -> None:
        for index in range(each):
            record(served.engine, made(f"{number}.{index}"), made("hidden", OTHER))

    threads = [threading.Thread(target=write, args=[number]) for number in range(writers)]
    for thread in threads:
        thread.start()
    found: list[dict[str, Any]] = []
    while len(found) < writers * each:
        after = found[-1]["position"] if found else start
        wanted = min(60, writers * each - len(found))
        found += stream(served, "bob", wanted, after=after, type="project_created")
    for thread in threads:
        thread.join()
    assert {event["tenant_id"] for event in found} == {str(TENANT)}
    positions = [event["position"] for event in found]
    assert positions == sorted(set(positions))
    names = {event["data"]["name"] for event in found}
    assert names == {f"{number}.{index}" for number in range(writers) for index in range(each)}


def test_a_stream_without_a_position_begins_now(served: Served) -> None:
    """What was recorded before is not sent; what is recorded from now on is."""
    record(served.engine, made("old"))
    path = "/events?type=project_created"
    with served.client("bob") as client, client.stream("GET", path) as reply:
        lines = reply.iter_lines()
        assert next(lines) == ": connected"
        record(served.engine, made("new"))
        data = next(line for line in lines if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))["data"]["name"] == "new"


def test_what_is_behind_what_is_at_hand_is_read_from_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few events at hand, many in the log: the client notices nothing."""
    monkeypatch.setattr("quantum_forge.web.streams.hub.MOST_EVENTS", 7)
    monkeypatch.setattr("quantum_forge.web.streams.events._PAGE", 5)
    start = record(served.engine, made("first"))
    record(served.engine, *(made(f"number {number}") for number in range(40)))
    found = stream(served, "bob", 40, after=start, type="project_created")
    assert [event["data"]["name"] for event in found] == [f"number {n}" for n in range(40)]


def test_filters_choose_and_secrets_are_hidden(served: Served) -> None:
    """By type and by entity; the hash of a password is not sent to anybody."""
    ada = served.accounts["ada"]
    (event,) = stream(
        served, "bob", 1, after=0, entity_id=str(ada.id), type="user_registered,user_role_changed"
    )
    assert event["data"]["username"] == "ada"
    assert event["data"]["hashed_password"] == "***"
    (issued,) = stream(served, "bob", 1, after=0, entity_type="api_key", type="api_key_issued")
    assert issued["data"]["key_hash"] == "***"


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("after=-1", 400, "is no number"),
        ("after=9223372036854775808", 400, "is no number"),
        ("after=999999999", 409, "the log ends at position"),
        ("entity_id=x", 400, "invalid input syntax for type uuid"),
        ("limit=3", 400, "unknown parameter 'limit'"),
        ("type=project_create", 400, "unknown event type; did you mean project_created"),
        ("entity_type=projekt", 400, "unknown entity type; did you mean project"),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_words(
    served: Served, query: str, status: int, said: str
) -> None:
    """A position beyond the log is of another log: nothing would ever come."""
    with served.client("bob") as client:
        reply = client.get(f"/events?{query}")
    assert reply.status_code == status
    assert said in reply.json()["message"]


def test_a_stream_ends_when_its_key_no_longer_lets_in(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was shut out does not go on reading over a connection from before."""
    monkeypatch.setattr("quantum_forge.web.auth.remembered.TRUSTED_FOR", 0.0)
    monkeypatch.setattr("quantum_forge.web.streams.events.RECHECK_SECONDS", 0.0)
    monkeypatch.setattr("quantum_forge.web.streams.events.HEARTBEAT_SECONDS", 0.1)
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        key = ApiKeys(recorder).issue(served.accounts["bob"].id, name="short")
        headers = bearer(key.key.reveal())
        with (
            httpx2.Client(base_url=served.url, timeout=30) as client,
            client.stream("GET", "/events", headers=headers) as reply,
        ):
            lines = reply.iter_lines()
            assert next(lines) == ": connected"
            ApiKeys(recorder).revoke(key.id)
            with pytest.raises(httpx2.RemoteProtocolError):
                for _ in lines:
                    pass


def test_requests_are_recorded_with_who_sent_them(served: Served) -> None:
    """A row of api_usage_logs for each request comes later, in one append with others."""
    request_id = uuid4()
    long = "x" * 5000
    with served.client("eve") as client:
        client.get(
            f"/auth/v1/user?token=hidden&odd=%00%ff&long={long}&{long}=1&last=",
            headers={"X-Request-Id": str(request_id)},
        )
    query = text(
        "SELECT user_id, data FROM event_logs WHERE event_type = 'api_request_served'"
        " AND metadata ->> 'correlation_id' = :id"
    )
    for _ in range(100):
        with served.engine.connect() as connection:
            row = connection.execute(query, {"id": str(request_id)}).one_or_none()
        if row is not None:
            break
        time.sleep(0.1)
    assert row is not None
    assert row.user_id == served.accounts["eve"].id
    assert row.data["endpoint"] == "/auth/v1/user"
    parameters = row.data["query_parameters"]
    assert len(parameters.pop("long")) in range(1900, 2000)
    assert parameters == {"token": "***", "odd": "��", "…": 2}


def test_a_body_beyond_the_limit_is_refused(served: Served) -> None:
    """Whether its length is announced or not; the message names the setting."""
    body = b'{"email": "' + b"x" * 100_000 + b'"}'
    with served.client("bob") as client:
        for content in (body, iter([body[:60_000], body[60_000:]])):
            reply = client.post("/rest/v1/molecules", content=content)
            assert reply.status_code == 413
            assert "QFORGE_WEB_MAX_BODY" in reply.json()["hint"]


def test_a_page_of_another_origin_may_ask(served: Served) -> None:
    """Browsers ask first; what they may read of a reply is said."""
    with served.client() as browser:
        asked = browser.options(
            "/auth/v1/user",
            headers={
                "Origin": "https://lab.example",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization, x-client-info",
            },
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-max-age"] == "86400"
        assert "PATCH" in asked.headers["access-control-allow-methods"]
        assert "authorization" in asked.headers["access-control-allow-headers"].lower()
        reply = browser.get("/auth/v1/user", headers={"Origin": "https://lab.example"})
        assert reply.status_code == 401
        assert "Content-Range" in reply.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("options", [["--quiet"], ["--quiet", "--workers", "2"]])
def test_a_server_ends_soon_with_streams_open(
    database: Database, tmp_path: Path, options: list[str]
) -> None:
    """SIGTERM ends `qforge serve` within seconds, and its streams in order, not cut off."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(OTHERS_VARIABLES)
    }
    environment |= {
        "QFORGE_HOME": str(tmp_path),
        "DATABASE_URL": libpq_url(database.url),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "quantum_forge.cli.main", "serve", "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        url = said.split()[2].rstrip(";")
        assert url.startswith("http://127.0.0.1:"), said
        with httpx2.Client(base_url=url, timeout=60) as client:
            with Recorder(database.engine, Author(tenant_id=TENANT)) as recorder:
                user_id = Users(recorder).register(
                    email="ada@example.org", username="ada", role=Role.ADMIN
                )
                key = ApiKeys(recorder).issue(user_id, name="tests").key.reveal()
            with client.stream("GET", "/events", headers=bearer(key)) as reply:
                lines = reply.iter_lines()
                assert next(lines) == ": connected"
                process.send_signal(signal.SIGTERM)
                list(lines)  # ends in order: one that is cut off raises
        assert process.wait(timeout=30) in (0, 128 + signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
