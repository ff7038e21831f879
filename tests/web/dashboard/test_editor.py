"""The molecule editor: what is written is kept, and what is submitted is recorded."""

import html
import json
from typing import Any

from tests.support.projecting import wait_until_projected
from tests.web.conftest import Served
from tests.web.dashboard.conftest import Signed, sign_in

WATER = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692"


def content(**given: Any) -> str:
    """A state of the editor as the page sends it."""
    return json.dumps({"structure": "CC", "selection": [1, 2], "scroll": 7, **given})


def test_the_state_of_the_editor_survives_the_session(
    signed_in: dict[str, Signed], served: Served
) -> None:
    """Another browser of the same user begins where this one was; nobody else's does."""
    bob, eve = signed_in["bob"], signed_in["eve"]
    written = "Cc1ccccc1 <&\"'>\n  ☃"
    reply = bob.post("/editor", action="save", content=content(structure=written, charge="-1"))
    assert reply.status_code == 200
    wait_until_projected(served.engine)

    with sign_in(served, "bob") as elsewhere:
        page = elsewhere.get("/editor").text
    area = page.partition("<textarea")[2].partition(">\n")[2].partition("</textarea>")[0]
    assert html.unescape(area) == written
    assert 'name="charge" value="-1"' in page
    state = html.unescape(page.partition('data-editor="')[2].partition('"')[0])
    assert json.loads(state) == {"selection": [1, 2], "scroll": 7}
    assert "ccccc" not in eve.page("/editor")
    assert "N#N" in bob.page("/editor?smiles=N%23N")

    for wrong in ("{", '{"structure": 1}', content(structure="C" * 100_001)):
        assert bob.post("/editor", action="save", content=wrong).status_code in (400, 413)


def test_a_structure_is_submitted_once(signed_in: dict[str, Signed], served: Served) -> None:
    """As the calculation that the runner would make of it; a geometry comes along."""
    bob, eve = signed_in["bob"], signed_in["eve"]
    given = {"action": "submit", "structure": "OCCCO", "method": "GFN1-xTB", "solvent": "water"}
    first = bob.post("/editor", **given)
    assert "it waits for a runner" in first.text
    wait_until_projected(served.engine)
    with served.client("bob") as reader:
        (row,) = reader.get(
            "/rest/v1/calculations?select=id,status,method,solvation_model,molecules!inner(smiles)"
            "&molecules.smiles=eq.OCCCO"
        ).json()
    assert first.url.path == f"/calculations/{row['id']}"
    assert (row["status"], row["method"]) == ("pending", "GFN1-xTB")
    assert row["solvation_model"] == "ALPB(water)"
    again = bob.post("/editor", **{**given, "structure": "C(CO)CO"})
    assert "asked for before" in again.text
    assert again.url.path == first.url.path

    reply = bob.post("/editor", action="submit", structure=WATER, name="my water")
    assert reply.status_code == 200, reply.text
    wait_until_projected(served.engine)
    with served.client("bob") as reader:
        path = reply.url.path.removeprefix("/calculations/")
        (row,) = reader.get(f"/rest/v1/calculations?id=eq.{path}&select=metadata").json()
    assert row["metadata"]["xyz"].splitlines()[0] == "3"

    for wrong, told in [
        ({"structure": ""}, "write a SMILES"),
        ({"structure": "C(C"}, "open parentheses"),
        ({"structure": "C", "charge": "x"}, "whole number"),
        ({"structure": "C", "method": "B3LYP"}, "B3LYP"),
        ({"structure": "C", "solvent": "beer"}, "beer"),
        ({"structure": f"{WATER}\n{WATER}"}, "one geometry"),
        ({"structure": "2\n\nC 0 0 0"}, "1 of 2 atoms"),
    ]:
        refused = bob.post("/editor", action="submit", **wrong)
        assert refused.status_code == 400, (wrong, refused.text)
        assert told in html.unescape(refused.text), refused.text
    assert eve.post("/editor", **given).status_code == 403
