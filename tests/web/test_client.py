"""Our own client, sync and for asyncio, against a real server."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest

import quantum_forge as qf
from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.schema.domains.discovery import ProjectCreated
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.client.calls import ONCE, WrongCall, get
from quantum_forge.web.rpc import ACTIONS, REPEATABLE
from quantum_forge.web.settings import WebSettings
from tests.support.projecting import wait_until_projected
from tests.support.web import TENANT, serving
from tests.web.conftest import Served, account


@pytest.fixture(scope="module")
def names(served: Served) -> list[str]:
    """Record projects whose names are awkward; returns them in order."""
    names = sorted(["a", 'quote " and \\', "comma, (brackets)", "line\u2028separator", "z.eq.1"])
    author = Author(tenant_id=TENANT)
    with served.engine.begin() as connection:
        append(connection, [author.new(uuid4(), ProjectCreated(name=name)) for name in names])
    wait_until_projected(served.engine)
    return names


@pytest.fixture
def client(served: Served) -> Iterator[qf.Client]:
    """Return a client of a researcher."""
    with qf.connect(served.url, served.accounts["bob"].key) as client:
        yield client


def test_rows_are_read_by_filters_as_of_a_query(client: qf.Client, names: list[str]) -> None:
    """Equal, one of several, a range, null; whatever the text holds."""
    found = client.get("projects", select="name", order_by="name.asc")
    assert sorted(row["name"] for row in found) == names
    for name in names:
        assert [row["name"] for row in client.get("projects", filters={"name": name})] == [name]
    assert client.count("projects", filters={"name": names}) == len(names)
    assert client.count("projects", filters={"name": ("a", "b")}) == 1
    assert client.count("projects", filters={"description": None}) == len(names)
    assert client.get("projects", limit=2, offset=1, order_by="name") != []
    with pytest.raises(qf.RemoteError, match=r"column projects\.nam does not") as refused:
        client.get("projects", filters={"nam": "a"})
    assert (refused.value.status, refused.value.code) == (400, "42703")


def test_every_action_can_be_called(client: qf.Client) -> None:
    """Also those whose reply is not kept: they go without a key, and are sent once."""
    event = {"event_type": "platform_registered", "data": {"name": "P", "provider": "Q"}}
    assert client.rpc("record", **event)["version"] == 1
    assert client.rpc("issue_key", name="script")["key"].startswith("qf_")
    with pytest.raises(qf.RemoteError, match="the present password is wrong"):
        client.rpc("change_password", current_password="wrong wrong", new_password="a new password")
    assert set(ACTIONS) - REPEATABLE == ONCE


def test_any_number_of_rows_comes_line_by_line(client: qf.Client, names: list[str]) -> None:
    """A separator of lines within a name does not end a line."""
    assert sorted(row["name"] for row in client.rows("projects", select="name")) == names
    pages = list(client.pages("projects", size=2, select=["name"], order_by=["name.asc"]))
    assert [len(page) for page in pages] == [2, 2, 1]
    with pytest.raises(qf.RemoteError, match="Could not find the table"):
        next(client.rows("project"))


def test_events_are_followed_through_a_restart_of_the_server(
    database: Database, tmp_path: Path
) -> None:
    """What is recorded while the server is away is not skipped, even before the first event."""
    author = Author(tenant_id=TENANT)

    def record(name: str) -> None:
        with database.engine.begin() as connection:
            append(connection, [author.new(uuid4(), ProjectCreated(name=name))])

    bob = account(database.engine, TENANT, "bob", Role.RESEARCHER)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    found: list[str] = []

    def follow() -> None:
        with qf.connect(f"http://127.0.0.1:{port}", bob.key) as client:
            for event in client.events(types=["project_created"]):
                found.append(event.data["name"])
                if len(found) == 3:
                    return

    thread = threading.Thread(target=follow, daemon=True)
    with serving(database, tmp_path, WebSettings(), port=port):
        thread.start()
        time.sleep(3)  # until it follows
    record("first")
    with serving(database, tmp_path, WebSettings(), port=port):
        while not found:
            time.sleep(0.05)
        record("second")
        while len(found) < 2:
            time.sleep(0.05)
    record("third")
    with serving(database, tmp_path, WebSettings(), port=port):
        thread.join(timeout=60)
    assert found == ["first", "second", "third"]


def test_asyncio_has_the_same_methods(served: Served, names: list[str]) -> None:
    """Each is awaited, or iterated over."""

    async def use() -> tuple[int, list[str], list[int], str]:
        async with qf.connect_async(served.url, served.accounts["bob"].key) as client:
            found = await client.get("projects", select="name")
            rows = [row["name"] async for row in client.rows("projects")]
            sizes = [len(page) async for page in client.pages("projects", size=3)]
            events = client.events(after=0, types=["project_created"])
            async for event in events:
                first = event.data["name"]
                break
            await events.aclose()
            return len(found), rows, sizes, first

    count, rows, sizes, first = asyncio.run(use())
    assert (count, sorted(rows), sizes, first) == (5, names, [3, 2], names[0])
    public = {name for name in dir(qf.Client) if not name.startswith("_")}
    public.remove(
        "recorder"
    )  # it blocks, by its spool too: a thread of its own is the place for it
    assert public == {name for name in dir(qf.AsyncClient) if not name.startswith("_")}


def test_a_server_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """After all tries, with what to look at."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with (
        qf.connect("http://127.0.0.1:9", "qf_x") as client,
        pytest.raises(qf.RemoteUnreachable, match=r"no answer from http://127\.0\.0\.1:9"),
    ):
        client.get("molecules")


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of Supabase's clients, too; what is missing is named, the key never shown."""
    for name in ("QFORGE_URL", "QFORGE_KEY", "SUPABASE_URL", "SUPABASE_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidSetting, match="QFORGE_URL"):
        qf.connect()
    monkeypatch.setenv("SUPABASE_URL", "https://forge.example/")
    with pytest.raises(InvalidSetting, match="QFORGE_KEY"):
        qf.connect()
    monkeypatch.setenv("SUPABASE_KEY", "qf_hidden")
    with qf.connect() as client:
        assert client.url == "https://forge.example"
        assert "qf_hidden" not in repr(vars(client))
    with pytest.raises(InvalidSetting, match="must begin with https"):
        qf.connect("forge.example", "x")


def test_what_cannot_be_sent_is_refused_before(client: qf.Client) -> None:
    """Nothing is deleted for want of a filter."""
    for wrong in (
        lambda: client.delete("projects", filters={}),
        lambda: client.update("projects", {"name": "x"}, filters={}),
        lambda: get("projects", filters={"created_at": datetime(2026, 1, 1)}),  # noqa: DTZ001
        lambda: get("projects", filters={"name": (1, 2, 3)}),
        lambda: get("projects?select=*"),
        lambda: get("projects", filters={"name": object()}),
    ):
        with pytest.raises(WrongCall):
            wrong()
