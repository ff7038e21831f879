"""Tables over HTTP: who sees which rows."""

import json
import threading

import pytest

from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.discovery import ProjectCreated
from tests.support.projecting import wait_until_projected
from tests.support.web import OTHER, TENANT, client, old_key
from tests.web.conftest import Served


@pytest.fixture(scope="module")
def projects(served: Served) -> list[str]:
    """Record a few projects of both tenants; returns the names of ours."""
    for tenant_id, names in ((TENANT, ["a", "b", "c"]), (OTHER, ["theirs"])):
        with Recorder(served.engine, Author(tenant_id=tenant_id)) as recorder:
            for name in names:
                recorder.record(ProjectCreated(name=name))
    wait_until_projected(served.engine)
    return ["a", "b", "c"]


def test_everybody_sees_the_rows_of_their_tenant_alone(served: Served, projects: list[str]) -> None:
    """In pages, counts, lines and errors."""
    for name, expected in (("eve", projects), ("ada", projects), ("zoe", ["theirs"])):
        with served.client(name) as someone:
            query = "/rest/v1/projects?select=name&order=name"
            reply = someone.get(query, headers={"Prefer": "count=exact"})
            assert [row["name"] for row in reply.json()] == expected
            assert reply.headers["content-range"].endswith(f"/{len(expected)}")
            lines = someone.get(query, headers={"Accept": "application/x-ndjson"}).text
            assert [json.loads(line)["name"] for line in lines.splitlines()] == expected
            reply = someone.get(f"{query}&tenant_id=eq.{OTHER if name != 'zoe' else TENANT}")
            assert reply.json() == []


def test_the_log_as_it_is_is_for_admins(served: Served) -> None:
    """It has the hashes of passwords, which no table has."""
    for name, status in (("eve", 403), ("bob", 403), ("ada", 200)):
        with served.client(name) as someone:
            reply = someone.get("/rest/v1/event_logs?limit=1")
            assert reply.status_code == status, reply.text


def test_a_key_reads_only_with_the_scope_to_read(served: Served) -> None:
    """Writing includes reading; any other scope does not."""
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        for scopes, status in ((["read"], 200), (["write"], 200), (["export"], 403), ([], 200)):
            key = old_key(recorder, served.accounts["eve"].id, scopes)
            with client(served.url, key) as script:
                assert script.get("/rest/v1/projects?limit=1").status_code == status


def test_the_past_of_ones_own_rows_is_there_for_every_viewer(
    served: Served, projects: list[str]
) -> None:
    """As by `qforge as-of`; the log from which it is folded stays closed, in embeds as well."""
    with served.engine.connect() as connection:
        head = safe_head(connection)
    for name, expected in (("eve", projects), ("zoe", ["theirs"])):
        with served.client(name) as someone:
            reply = someone.get(f"/rest/v1/projects?select=name&order=name&as_of={head}")
            assert [row["name"] for row in reply.json()] == expected, reply.text
            assert someone.get("/rest/v1/projects?as_of=0").json() == []
    with served.client("eve") as viewer:
        reply = viewer.get(f"/rest/v1/event_logs?as_of={head}")
        assert reply.status_code == 403


@pytest.mark.usefixtures("projects")
def test_requests_at_the_same_time_keep_their_callers_apart(served: Served) -> None:
    """Connections are shared, and what one transaction claims ends with it."""
    wrong: list[str] = []

    def ask(name: str, expected: int) -> None:
        with served.client(name) as someone:
            for _ in range(15):
                found = len(someone.get("/rest/v1/projects?select=id").json())
                if found != expected:
                    wrong.append(f"{name} saw {found}")

    counts = {"eve": 3, "ada": 3, "zoe": 1}
    threads = [threading.Thread(target=ask, args=pair) for pair in list(counts.items()) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
