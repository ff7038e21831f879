"""The client that people use already, PyPI's postgrest, against a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
from postgrest import CountMethod, ReturnMethod, SyncPostgrestClient
from postgrest.exceptions import APIError

from tests.support.web import bearer
from tests.web.conftest import Served


@pytest.fixture
def client(served: Served) -> Iterator[SyncPostgrestClient]:
    """Return a client with the key of a researcher."""
    headers = bearer(served.accounts["bob"].key)
    with SyncPostgrestClient(f"{served.url}/rest/v1", headers=headers) as made:
        yield made


def test_the_client_writes_and_reads_its_own_writes(client: Any) -> None:
    """Insert, upsert, update, delete; one row, many, none, and too many."""
    projects = client.from_("projects")
    made = projects.insert([{"name": "p"}, {"name": "q"}], count=CountMethod.exact).execute()
    assert made.count == 2
    first, second = (row["id"] for row in made.data)
    silent = projects.insert({"name": "r"}, returning=ReturnMethod.minimal).execute()
    assert silent.data == []
    changed = projects.update({"description": "d"}).eq("id", first).execute()
    assert [row["description"] for row in changed.data] == ["d"]
    put = projects.upsert({"id": first, "name": "s"}).execute()
    assert [(row["name"], row["description"]) for row in put.data] == [("s", "d")]
    with pytest.raises(APIError) as refused:
        projects.delete().in_("id", [first, second]).max_affected(1).execute()
    assert refused.value.code == "PGRST124"
    gone = projects.delete().in_("id", [first, second]).max_affected(2).execute()
    assert {row["id"] for row in gone.data} == {first, second}

    molecules = client.from_("molecules")
    for name in ("one", "two"):
        kept = molecules.upsert(
            {"smiles": "CCCCN", "name": name}, on_conflict="smiles", ignore_duplicates=True
        ).execute()
        assert len(kept.data) == (1 if name == "one" else 0)
    with pytest.raises(APIError) as refused:
        client.from_("users").insert({"email": "x@y.z"}).execute()
    assert refused.value.code == "QF405"


def test_the_client_calls_actions(client: Any) -> None:
    """By rpc, with arguments as JSON."""
    event = {"event_type": "project_created", "data": {"name": "by rpc"}}
    made = client.rpc("record", event).execute()
    assert made.data["event_type"] == "project_created"
    with pytest.raises(APIError) as refused:
        client.rpc("nothing", {}).execute()
    assert refused.value.code == "PGRST202"
