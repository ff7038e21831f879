"""Actions over HTTP: raw events in one append, and any event by its name."""

from uuid import uuid4

import quantum_forge as qf
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.web import client
from tests.web.conftest import Served

APPEND = "/rest/v1/rpc/append_events"


def test_raw_events_of_many_streams_are_one_append(served: Served) -> None:
    """All or none; repeated with its key, it appends nothing; without one, it is another append."""
    names = [
        {"event_type": "project_created", "entity_id": str(uuid4()), "data": {"name": name}}
        for name in ("a", "b")
    ]
    with served.client("bob") as bob, served.client("eve") as eve:
        key = {"Idempotency-Key": "one"}
        first = bob.post(APPEND, json={"events": names}, headers=key)
        assert first.status_code == 200, first.text
        assert [each["appended"] for each in first.json()] == [True, True]
        again = bob.post(APPEND, json=names, headers=key).json()
        assert [each["appended"] for each in again] == [False, False]
        assert [each["position"] for each in again] == [each["position"] for each in first.json()]
        other = [names[0], {**names[1], "data": {"name": "c"}}]
        reply = bob.post(APPEND, json=other, headers=key)
        assert (reply.status_code, reply.json()["code"]) == (409, "23505")
        assert all(each["appended"] for each in bob.post(APPEND, json=names).json())

        bad = [names[0], {**names[1], "data": {"name": 5}}]
        reply = bob.post(APPEND, json=bad)
        assert reply.status_code == 400
        assert "event 2" in reply.json()["message"]
        assert bob.post(APPEND, content=b"{").json()["code"] == "PGRST102"
        theirs = [{**names[0], "tenant_id": str(uuid4())}]
        assert bob.post(APPEND, json=theirs).status_code == 403
        assert eve.post(APPEND, json=names).status_code == 403
        assert bob.post(APPEND, json=[]).json() == []


def test_any_event_is_recorded_by_its_name(served: Served) -> None:
    """By the rules; unknown actions, and other methods, are refused with a suggestion."""
    with served.client("bob") as bob:
        event = {"event_type": "project_created", "data": {"name": "x"}}
        reply = bob.post("/rest/v1/rpc/record", json=event)
        assert reply.status_code == 200, reply.text
        assert reply.json()["version"] == 1
        again = {**event, "entity_id": reply.json()["entity_id"]}
        assert bob.post("/rest/v1/rpc/record", json=again).status_code == 409
        reply = bob.post("/rest/v1/rpc/append_event", json=[])
        assert (reply.status_code, reply.json()["code"]) == (404, "PGRST202")
        assert "append_events" in reply.json()["hint"]
        assert bob.get(APPEND).json()["code"] == "25006"
        assert bob.delete(APPEND).json()["code"] == "PGRST101"


def test_accounts_and_keys_are_actions_of_who_may(served: Served) -> None:
    """An admin registers users; everybody issues keys of their own; no key outgrows its scopes."""
    with served.client("ada") as ada, served.client("bob") as bob:
        path = "/rest/v1/rpc/register_user"
        new = {"email": "kim@example.org", "username": "kim", "password": "correct horse battery"}
        assert bob.post(path, json=new).status_code == 403
        reply = ada.post(path, json=new)
        assert reply.status_code == 200, reply.text
        kim = reply.json()["user_id"]
        assert ada.post(path, json=new).status_code == 409
        role = {"user_id": kim, "role": "viewer"}
        assert bob.post("/rest/v1/rpc/change_role", json=role).status_code == 403
        assert ada.post("/rest/v1/rpc/change_role", json=role).status_code == 200
        assert ada.post("/rest/v1/rpc/deactivate_user", json={"user_id": kim}).status_code == 200

        path = "/rest/v1/rpc/issue_key"
        issued = bob.post(path, json={"name": "script", "scopes": ["write"]}).json()
        ada_id = str(served.accounts["ada"].id)
        assert bob.post(path, json={"name": "x", "user_id": ada_id}).status_code == 403
        refused = bob.post(path, json={"name": "x", "scopes": ["reed"]})
        assert (refused.status_code, "the scopes are read, write" in refused.text) == (400, True)
        with client(served.url, issued["key"]) as script:
            assert script.post("/rest/v1/projects", json={"name": "s"}).status_code == 201
            assert script.post(path, json={"name": "more"}).status_code == 403
        revoke = {"key_id": issued["key_id"]}
        assert ada.post("/rest/v1/rpc/revoke_key", json=revoke).status_code == 200
        assert ada.post("/rest/v1/rpc/revoke_key", json=revoke).status_code == 409


def test_results_are_retracted_by_who_may(served: Served) -> None:
    """With a reason and criteria that are known; null, where nothing is left to retract."""
    path = "/rest/v1/rpc/retract"
    asked = {"reason": "wrong geometry", "molecule_id": str(uuid4())}
    with served.client("bob") as bob, served.client("eve") as eve:
        assert eve.post(path, json=asked).status_code == 403
        reply = bob.post(path, json=asked)
        assert (reply.status_code, reply.json()) == (200, None), reply.text
        for bad in ({"reason": "x"}, {"molecule_id": str(uuid4())}, {**asked, "molecul": "x"}):
            assert bob.post(path, json=bad).status_code == 400, bad


def test_searches_answer_who_may_read_with_what_is_theirs(served: Served) -> None:
    """By GET and POST, with a status that tells of more; bad input gets the reason."""
    rpc = "/rest/v1/rpc"
    with served.client("bob") as bob, served.client("eve") as eve, served.client("zoe") as zoe:
        made = [
            {"smiles": "Cc1ccc(O)cc1", "name": "4-methylphenol"},
            {"smiles": "CCO", "name": None},
        ]
        assert bob.post("/rest/v1/molecules", json=made).status_code == 201
        assert zoe.post("/rest/v1/molecules", json={"smiles": "CCCO"}).status_code == 201
        catch_up(served.engine, PROJECTIONS.values())

        reply = eve.get(f"{rpc}/substructure", params={"smarts": "[OX2H1]"})
        assert (reply.status_code, reply.headers["content-range"]) == (200, "0-1/2")
        assert [hit["smiles"] for hit in reply.json()] == ["CCO", "Cc1ccc(O)cc1"]
        cut = eve.post(f"{rpc}/substructure", json={"smarts": "O", "limit": 1})
        assert (cut.status_code, cut.headers["content-range"]) == (206, "0-0/*")
        near = eve.get(f"{rpc}/similar", params={"smiles": "OCC", "threshold": 0.9}).json()
        assert [(hit["smiles"], hit["similarity"]) for hit in near] == [("CCO", 1.0)]
        words = eve.get(f"{rpc}/search", params={"words": "methylphenol"}).json()
        assert [group["kind"] for group in words["groups"]] == ["molecules"]
        assert zoe.get(f"{rpc}/search", params={"words": "methylphenol"}).json()["groups"] == []
        theirs = zoe.get(f"{rpc}/substructure", params={"smarts": "O"}).json()
        assert [hit["smiles"] for hit in theirs] == ["CCCO"]

        for path, params, told in [
            ("substructure", {"smarts": "c1"}, "unclosed ring"),
            ("substructure", {"smarts": "C", "limit": "many"}, "limit"),
            ("substructure", {"smiles": "C"}, "smiles"),
            ("similar", {"smiles": "C", "threshold": "0"}, "threshold 0"),
            ("search", {"words": " "}, "nothing to search for"),
        ]:
            reply = eve.get(f"{rpc}/{path}", params=params)
            assert reply.status_code == 400, reply.text
            assert told in reply.json()["message"]
        assert eve.delete(f"{rpc}/search").json()["code"] == "PGRST101"
        assert eve.post(f"{rpc}/search", content=b"{").json()["code"] == "PGRST102"
    with served.client() as nobody:
        assert nobody.get(f"{rpc}/substructure", params={"smarts": "C"}).status_code == 401
    with qf.connect(served.url, served.accounts["eve"].key) as ours:
        assert [hit["smiles"] for hit in ours.substructure("cO")] == ["Cc1ccc(O)cc1"]
        assert ours.similar("OCC", threshold=1.0)[0]["name"] is None
        assert ours.search("methylphenol")["groups"][0]["kind"] == "molecules"
