"""Writing over HTTP: every change of a row is an event, and whoever writes sees it at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import func, select

from quantum_forge.schema.tables import event_logs
from tests.web.conftest import Served

ROWS = {"Prefer": "return=representation"}


@pytest.fixture
def bob(served: Served) -> Iterator[httpx2.Client]:
    """Return a client of a researcher."""
    with served.client("bob") as client:
        yield client


def events(served: Served, *types: str) -> int:
    """How many events of these types the log has."""
    query = select(func.count()).where(event_logs.c.event_type.in_(types))
    with served.engine.connect() as connection:
        return connection.execute(query).scalar_one()


def project(client: httpx2.Client, name: str | None = None, **fields: object) -> str:
    """Insert a project, with a name that no other has unless one is given; returns its id."""
    row = {"name": name or f"Malaria {uuid4()}", **fields}
    reply = client.post("/rest/v1/projects", json=row, headers=ROWS)
    assert reply.status_code == 201, reply.text
    return str(reply.json()[0]["id"])


def test_an_insert_is_an_event_whose_row_is_there_at_once(bob: httpx2.Client) -> None:
    """With and without the row, as one object or several, and with what is embedded."""
    reply = bob.post("/rest/v1/projects", json={"name": "Silent"})
    assert (reply.status_code, reply.content) == (201, b"")
    assert "content-type" not in reply.headers
    assert "location" not in reply.headers
    assert reply.headers["content-length"] == "0"

    reply = bob.post(
        "/rest/v1/projects?select=id,name",
        json=[{"name": "A"}, {"name": "B"}],
        headers={"Prefer": "return=representation,count=exact"},
    )
    assert reply.status_code == 201
    assert [row["name"] for row in reply.json()] == ["A", "B"]
    assert reply.headers["content-range"] == "*/2"
    assert reply.headers["preference-applied"] == "return=representation, count=exact"

    reply = bob.post(
        "/rest/v1/projects", json={"name": "C"}, headers={"Prefer": "return=headers-only"}
    )
    location = reply.headers["location"]
    assert location.startswith("/projects?id=eq.")
    assert reply.content == b""

    one = {**ROWS, "Accept": "application/vnd.pgrst.object+json"}
    reply = bob.post(
        "/rest/v1/molecules?select=smiles,formula,projects(name)",
        json={"smiles": "OCC", "name": "ethanol", "project_id": project(bob, "Spirits")},
        headers=one,
    )
    assert reply.json() == {"smiles": "CCO", "formula": "C2H6O", "projects": {"name": "Spirits"}}


def test_an_update_is_an_event_of_each_row(bob: httpx2.Client) -> None:
    """Of all of them or none, found by what they are now."""
    first, second = project(bob), project(bob)
    reply = bob.patch(f"/rest/v1/projects?id=eq.{first}", json={"description": "x"})
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["content-range"] == "0-0/*"

    reply = bob.patch(
        f"/rest/v1/projects?id=in.({first},{second})&select=id,description",
        json={"description": None},
        headers={"Prefer": "return=representation,count=exact"},
    )
    assert reply.status_code == 200
    assert reply.headers["content-range"] == "0-1/2"
    assert {row["id"]: row["description"] for row in reply.json()} == {first: None, second: None}

    reply = bob.patch(f"/rest/v1/projects?id=eq.{uuid4()}", json={"name": "n"}, headers=ROWS)
    assert (reply.status_code, reply.json()) == (200, [])
    reply = bob.patch(f"/rest/v1/projects?id=eq.{uuid4()}", json={"name": "n"})
    assert (reply.status_code, reply.headers["content-range"]) == (204, "*/*")
    reply = bob.patch(f"/rest/v1/projects?id=eq.{first}", json={}, headers=ROWS)
    assert (reply.status_code, reply.json()) == (200, [])


def test_a_value_that_an_event_stands_for_is_set_by_that_event(bob: httpx2.Client) -> None:
    """A status, or the project of a molecule, which leaves the other one first."""
    platform = bob.post(
        "/rest/v1/platforms", json={"name": "P", "provider": "Q"}, headers=ROWS
    ).json()[0]["id"]
    device = bob.post(
        "/rest/v1/devices",
        json={"platform_id": platform, "name": "D", "qubits": 5},
        headers=ROWS,
    ).json()[0]
    assert device["status"] == "offline"
    where = f"/rest/v1/devices?id=eq.{device['id']}&select=name,status,status_reason"
    reply = bob.patch(where, json={"status": "online", "name": "E"}, headers=ROWS)
    assert reply.json() == [{"name": "E", "status": "online", "status_reason": None}]
    reply = bob.patch(where, json={"status": "offline", "status_reason": "dust"}, headers=ROWS)
    assert reply.json() == [{"name": "E", "status": "offline", "status_reason": "dust"}]
    reply = bob.patch(where, json={"status": "broken"})
    assert (reply.status_code, reply.json()["code"]) == (400, "23514")
    assert "online, offline, maintenance" in reply.json()["hint"]
    reply = bob.patch(where, json={"status_reason": "rust"})
    assert (reply.status_code, reply.json()["code"]) == (400, "23514")

    one, two = project(bob), project(bob)
    molecule = bob.post(
        "/rest/v1/molecules", json={"smiles": "CCCCCCO", "project_id": one}, headers=ROWS
    ).json()[0]
    where = f"/rest/v1/molecules?id=eq.{molecule['id']}&select=name,project_id"
    for target in (two, two, None, one):
        reply = bob.patch(where, json={"project_id": target, "name": "hexanol"}, headers=ROWS)
        assert reply.json() == [{"name": "hexanol", "project_id": target}], reply.text


def test_a_deletion_is_an_event_and_takes_along_what_belongs_to_the_row(
    bob: httpx2.Client,
) -> None:
    """The rows come back as they were."""
    doomed = project(bob, "doomed")
    molecule = bob.post(
        "/rest/v1/molecules", json={"smiles": "CCCCCCCO", "project_id": doomed}, headers=ROWS
    ).json()[0]
    reply = bob.request(
        "DELETE",
        f"/rest/v1/projects?id=eq.{doomed}&select=name,molecule_count",
        json={},
        headers=ROWS,
    )
    assert reply.status_code == 200
    assert reply.json() == [{"name": "doomed", "molecule_count": 1}]
    reply = bob.patch(f"/rest/v1/molecules?id=eq.{molecule['id']}", json={"name": "gone"})
    assert reply.headers["content-range"] == "*/*"
    reply = bob.delete(f"/rest/v1/projects?id=eq.{doomed}", headers={"Prefer": "count=exact"})
    assert (reply.status_code, reply.headers["content-range"]) == (204, "*/0")


def test_what_cannot_be_written_is_refused_in_words(served: Served, bob: httpx2.Client) -> None:
    """With PostgREST's codes, and what would be accepted; nothing of the request is recorded."""
    before = events(served, "project_created")
    there = project(bob)
    for method, path, body, status, code in [
        ("POST", "projects", b"", 400, "PGRST102"),
        ("POST", "projects", b"[1]", 400, "PGRST102"),
        (
            "POST",
            "projects",
            b'[{"name": "a"}, {"name": "b", "description": "c"}]',
            400,
            "PGRST102",
        ),
        ("POST", "projects", b'{"nam": "a"}', 400, "PGRST204"),
        ("POST", "projects", b'{"name": "a", "molecule_count": 1}', 400, "PGRST204"),
        ("POST", "projects?columns=nam", b'{"name": "a"}', 400, "PGRST204"),
        ("POST", "projects", b'{"description": "a"}', 400, "23502"),
        ("POST", "projects", b'{"name": null}', 400, "23502"),
        ("POST", "projects", b'{"name": 5}', 400, "22023"),
        ("POST", "projects", b'{"name": "a", "id": "b"}', 400, "22P02"),
        ("POST", "projects", f'{{"name": "a", "id": "{there}"}}'.encode(), 409, "23505"),
        ("POST", "projects", b'[{"name": "a"}, {"name": ""}]', 400, "22023"),
        (
            "POST",
            "protein_structures",
            f'{{"sequence": "M", "structure_method": "RCSB", "project_id": "{uuid4()}"}}'.encode(),
            409,
            "23503",
        ),
        ("POST", "molecules", b'{"smiles": "C("}', 400, "QF000"),
        ("POST", "molecules", b'{"smiles": 5}', 400, "22P02"),
        ("POST", "nothing", b"{}", 404, "PGRST205"),
        ("POST", "users", b"{}", 405, "QF405"),
        ("DELETE", "jobs?id=eq.1", b"", 405, "QF405"),
        ("POST", "event_logs", b"{}", 405, "QF405"),
        ("PATCH", "projects", b'{"name": "a"}', 400, "21000"),
        ("DELETE", "projects", b"", 400, "21000"),
        ("PATCH", "projects?id=eq.x", b'{"name": "a"}', 400, "22P02"),
        ("PATCH", "projects?nam=eq.x", b'{"name": "a"}', 400, "42703"),
        ("PATCH", f"projects?id=eq.{there}", b'{"user_id": null}', 400, "PGRST204"),
        ("PATCH", f"projects?id=eq.{there}", b'{"name": null}', 400, "23502"),
        ("POST", "projects?as_of=1h", b'{"name": "a"}', 400, "PGRST100"),
    ]:
        reply = bob.request(method, f"/rest/v1/{path}", content=body)
        assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
        assert reply.json().keys() == {"code", "message", "details", "hint"}
    assert events(served, "project_created") == before + 1
    reply = bob.post("/rest/v1/projects", json={"nam": "a"})
    assert "name, description" in reply.json()["hint"]
    reply = bob.post("/rest/v1/users", json={})
    assert reply.headers["allow"] == "OPTIONS,GET,HEAD"
    assert "molecules" in reply.json()["hint"]


def test_only_whose_rows_they_are_and_who_may_writes(served: Served, bob: httpx2.Client) -> None:
    """Another tenant finds nothing to change; viewers, and keys without the scope, are refused."""
    ours = project(bob, "ours")
    with served.client("zoe") as zoe, served.client("eve") as eve, served.client() as nobody:
        for path in (f"id=eq.{ours}", "name=eq.ours"):
            reply = zoe.patch(f"/rest/v1/projects?{path}", json={"name": "theirs"}, headers=ROWS)
            assert reply.json() == []
            assert zoe.delete(f"/rest/v1/projects?{path}", headers=ROWS).json() == []
        reply = zoe.post("/rest/v1/molecules", json={"smiles": "C", "project_id": ours})
        assert (reply.status_code, reply.json()["code"]) == (409, "23503")
        reply = zoe.post(
            "/rest/v1/molecules?select=*,projects(*)", json={"smiles": "C"}, headers=ROWS
        )
        assert [row["projects"] for row in reply.json()] == [None]
        reply = eve.post("/rest/v1/projects", json={"name": "x"})
        assert (reply.status_code, reply.json()["code"]) == (403, "42501")
        assert eve.patch(f"/rest/v1/projects?id=eq.{ours}", json={"name": "x"}).status_code == 403
        assert eve.delete(f"/rest/v1/projects?id=eq.{ours}").status_code == 403
        assert nobody.post("/rest/v1/projects", json={"name": "x"}).status_code == 401
    reply = bob.patch(f"/rest/v1/projects?id=eq.{ours}", json={"description": "y"}, headers=ROWS)
    assert [row["name"] for row in reply.json()] == ["ours"]


def test_rows_that_are_there_are_updated_or_left(served: Served, bob: httpx2.Client) -> None:
    """By the structure of a molecule, or by an id; one append for all of them."""
    merge = {"Prefer": "return=representation,resolution=merge-duplicates"}
    ignore = {"Prefer": "return=representation,resolution=ignore-duplicates"}
    path = "/rest/v1/molecules?on_conflict=smiles&select=smiles,name"
    reply = bob.post(path, json={"smiles": "NCC", "name": "a"}, headers=merge)
    assert (reply.status_code, reply.json()) == (201, [{"smiles": "CCN", "name": "a"}])
    reply = bob.post(path, json={"smiles": "CCN", "name": "b"}, headers=merge)
    assert (reply.status_code, reply.json()) == (200, [{"smiles": "CCN", "name": "b"}])
    before = events(served, "molecule_updated", "molecule_created")
    reply = bob.post(path, json={"smiles": "CCN", "name": "b"}, headers=merge)
    assert (reply.status_code, reply.json()) == (200, [{"smiles": "CCN", "name": "b"}])
    reply = bob.post(path, json={"smiles": "CCN", "name": "c"}, headers=ignore)
    assert (reply.status_code, reply.json()) == (201, [])
    assert events(served, "molecule_updated", "molecule_created") == before
    reply = bob.post(
        path, json=[{"smiles": "CCCN", "name": "d"}, {"smiles": "CCN", "name": "e"}], headers=merge
    )
    assert reply.status_code == 201
    assert [row["name"] for row in reply.json()] == ["d", "e"]
    twice = [{"smiles": "CCN", "name": "d"}, {"smiles": "NCC", "name": "e"}]
    assert bob.post(path, json=twice, headers=merge).json()["code"] == "21000"
    reply = bob.post(path.replace("smiles&", "name&"), json={"smiles": "C"}, headers=merge)
    assert (reply.status_code, reply.json()["code"]) == (400, "42P10")

    id_ = project(bob)
    where = f"/rest/v1/projects?id=eq.{id_}"
    assert bob.put(where, json={"id": id_, "name": "put"}).status_code == 204
    new = str(uuid4())
    reply = bob.put(f"/rest/v1/projects?id=eq.{new}", json={"id": new, "name": "n"}, headers=ROWS)
    assert (reply.status_code, reply.json()[0]["id"]) == (201, new)
    for query, body, code in [
        (f"id=eq.{id_}&name=eq.x", {"id": id_, "name": "x"}, "PGRST105"),
        (f"id=eq.{id_}", {"id": new, "name": "x"}, "PGRST115"),
        (f"id=eq.{id_}&limit=1", {"id": id_, "name": "x"}, "PGRST114"),
    ]:
        assert bob.put(f"/rest/v1/projects?{query}", json=body).json()["code"] == code


def test_preferences_bound_a_change_or_try_it(served: Served, bob: httpx2.Client) -> None:
    """Too many rows, more than one where one is wanted, or a rollback: nothing is recorded."""
    shared = str(uuid4())
    for _ in range(3):
        project(bob, description=shared)
    where = f"/rest/v1/projects?description=eq.{shared}"
    types = ("project_created", "project_updated", "project_deleted")
    before = events(served, *types)
    few = {"Prefer": "handling=strict,max-affected=2"}
    for reply in (
        bob.patch(where, json={"description": "x"}, headers=few),
        bob.delete(where, headers=few),
    ):
        assert (reply.status_code, reply.json()["code"]) == (400, "PGRST124")
        assert reply.json()["details"] == "The query affects 3 rows"
    one = {**ROWS, "Accept": "application/vnd.pgrst.object+json"}
    for reply in (
        bob.patch(where, json={"description": "x"}, headers=one),
        bob.delete(where, headers=one),
        bob.post("/rest/v1/projects", json=[{"name": "a"}, {"name": "b"}], headers=one),
    ):
        assert (reply.status_code, reply.json()["code"]) == (406, "PGRST116")
    tried = {"Prefer": "return=representation,tx=rollback"}
    reply = bob.patch(f"{where}&select=description", json={"description": "x"}, headers=tried)
    assert reply.json() == [{"description": "x"}] * 3
    assert reply.headers["preference-applied"] == "return=representation, tx=rollback"
    assert len(bob.delete(where, headers=tried).json()) == 3
    reply = bob.post("/rest/v1/projects?select=name", json={"name": "t"}, headers=tried)
    assert (reply.status_code, reply.json()) == (201, [{"name": "t"}])
    assert events(served, *types) == before
    strict = {"Prefer": "handling=strict,anything"}
    assert bob.post("/rest/v1/projects", json={"name": "a"}, headers=strict).status_code == 400


def test_writers_at_the_same_time_keep_every_event(served: Served, bob: httpx2.Client) -> None:
    """Of one row; the last one of them is what the row says."""
    id_ = project(bob)
    before = events(served, "project_updated")

    def write(number: int) -> int:
        with served.client("bob") as client:
            return client.patch(
                f"/rest/v1/projects?id=eq.{id_}", json={"description": str(number)}
            ).status_code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(write, range(16))) == [204] * 16
    assert events(served, "project_updated") == before + 16


def test_a_condition_holds_when_the_row_changes(served: Served, bob: httpx2.Client) -> None:
    """Of many who claim what is free, one gets it."""
    id_ = project(bob, description="free")

    def claim(number: int) -> int:
        with served.client("bob") as client:
            reply = client.patch(
                f"/rest/v1/projects?id=eq.{id_}&description=eq.free",
                json={"description": str(number)},
                headers=ROWS,
            )
            assert reply.status_code == 200, reply.text
            return len(reply.json())

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


def test_options_tell_what_a_table_takes(bob: httpx2.Client) -> None:
    """As far as there are events."""
    for table, allowed in [
        ("projects", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
        ("calculation_errors", "OPTIONS,GET,HEAD,PATCH"),
        ("users", "OPTIONS,GET,HEAD"),
    ]:
        reply = bob.options(f"/rest/v1/{table}")
        assert (reply.status_code, reply.headers["allow"]) == (200, allowed)
        assert reply.headers["content-length"] == "0"
    assert bob.options("/rest/v1/nothing").status_code == 404


def test_a_request_that_is_sent_again_with_its_key_records_nothing(
    served: Served, bob: httpx2.Client
) -> None:
    """It has the same reply; the key of another request is refused; without a key, it is two."""
    types = ("project_created", "project_updated", "project_deleted")

    def twice(method: str, path: str, body: object) -> list[dict[str, str]]:
        headers = {**ROWS, "Idempotency-Key": str(uuid4())}
        before = events(served, *types)
        path = f"/rest/v1/projects{path}"
        first = bob.request(method, path, json=body, headers=headers)
        assert first.status_code in (200, 201), first.text
        again = bob.request(method, path, json=body, headers=headers)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert events(served, *types) == before + len(first.json())
        other = bob.request(method, path, json={"name": "other"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (409, "23505")
        rows: list[dict[str, str]] = first.json()
        return rows

    rows = twice("POST", "", [{"name": "a"}, {"name": "b"}])
    where = f"?id=in.({rows[0]['id']},{rows[1]['id']})"
    twice("PATCH", f"{where}&description=is.null", {"description": "once"})
    twice("DELETE", where, {})

    metric = {"metric_type": "timer", "metric_name": "t", "value": 1.5, "unit": "s"}
    key = {**ROWS, "Idempotency-Key": str(uuid4())}
    first, again = (
        bob.post("/rest/v1/performance_metrics", json=[metric, metric], headers=key).json()
        for _ in range(2)
    )
    assert len(first) == 2
    assert first == again

    key = {"Idempotency-Key": str(uuid4())}

    def insert(_: int) -> int:
        with served.client("bob") as client:
            return client.post("/rest/v1/projects", json={"name": "k"}, headers=key).status_code

    before = events(served, *types)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(insert, range(4))) == [201] * 4
    assert events(served, *types) == before + 1


def test_times_are_in_the_zone_that_is_asked_for(bob: httpx2.Client) -> None:
    """In the rows of a reply; a zone that there is not is not honoured, or refused if strict."""
    for zone, preference, offset in (
        ("Asia/Tokyo", "timezone=Asia/Tokyo", "+09:00"),
        ("Mars/Olympus", "", "+00:00"),
    ):
        wanted = {"Prefer": f"return=representation,timezone={zone}"}
        reply = bob.post("/rest/v1/projects", json={"name": f"in {zone}"}, headers=wanted)
        assert reply.json()[0]["created_at"].endswith(offset)
        assert preference in reply.headers["preference-applied"]
        assert ("timezone" in reply.headers["preference-applied"]) == bool(preference)
    wanted["Prefer"] += ",handling=strict"
    reply = bob.post("/rest/v1/projects", json={"name": "zoned"}, headers=wanted)
    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST122")


def test_rows_are_inserted_as_csv(served: Served, bob: httpx2.Client) -> None:
    """By the types of the columns; what is no CSV of the table records nothing."""
    headers = {**ROWS, "Content-Type": "text/csv; charset=utf-8"}
    body = (
        'smiles,name,charge,metadata\r\nC(=O)N,"a, ""b"" µ",NULL,"{""k"": 1}"\r\nCCCCl,,0,NULL\r\n'
    )
    reply = bob.post(
        "/rest/v1/molecules?select=name,charge,metadata", content=body.encode(), headers=headers
    )
    assert reply.status_code == 201, reply.text
    assert reply.json() == [
        {"name": 'a, "b" µ', "charge": 0, "metadata": {"k": 1}},
        {"name": "", "charge": 0, "metadata": None},
    ]

    before = events(served, "molecule_created")
    for wrong, code in [
        (b"", "PGRST102"),
        (b"\xff", "PGRST102"),
        (b"smiles,smiles\nC,C", "PGRST102"),
        (b'smiles,name\n"C', "PGRST102"),
        (b"smiles,name\nC", "PGRST102"),
        (b"smiles,charge\nC,one", "22P02"),
        (b"smiles,metadata\nC,{", "22P02"),
        (b"smiles,nonsense\nC,1", "PGRST204"),
    ]:
        refused = bob.post("/rest/v1/molecules", content=wrong, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (400, code), wrong
    assert events(served, "molecule_created") == before
