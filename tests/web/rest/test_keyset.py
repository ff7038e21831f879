"""Keyset pages: following Link gives every row once, in order, whatever the order is."""

import re
from typing import Any

import pytest

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.chemical_history import created, record
from tests.web.rest.conftest import OURS, Get
from tests.web.rest.test_statements import nodes


def paged(get: Get, path: str, **request: Any) -> list[Any]:
    """Every row, page by page."""
    rows = []
    following: str | None = path
    while following is not None:
        reply = get(following, **request)
        assert reply.status in (200, 206), reply.body
        rows += reply.json
        found = re.fullmatch(r'<(.*)>; rel="next"', reply.headers.get("Link", ""))
        following = None if found is None else found[1]
        assert len(rows) < 100
    return rows


@pytest.mark.parametrize(
    "order",
    [
        "",
        "&order=id",
        "&order=smiles.desc",
        "&order=name",
        "&order=name.desc",
        "&order=name.nullsfirst",
        "&order=name.desc.nullslast",
        "&order=charge,name.desc",
        "&order=metadata->size.desc",
        "&order=projects(name),smiles",
        "&order=created_at.desc,molecular_weight",
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_that_follow_each_other_have_every_row_once(get: Get, order: str, limit: int) -> None:
    """Nulls, equal values, both directions and embedded relations among them."""
    path = f"/molecules?select=smiles,projects()&limit={limit}{order}"
    whole = get(path.replace(f"limit={limit}", "limit=100"), prefer=["count=exact"]).json

    assert paged(get, f"{path}&after=") == whole
    assert paged(get, f"/molecules?select=smiles,projects(){order}&after=", max_rows=limit) == whole


def test_rows_that_come_meanwhile_move_no_page(get: Get, store: Database) -> None:
    """With an offset, a row that is added before the page would repeat one."""
    path = "/molecules?select=smiles&order=smiles&limit=2"
    first = get(f"{path}&after=", prefer=["count=exact"])
    record(store.engine, created("B", tenant_id=OURS))
    catch_up(store.engine, PROJECTIONS.values())
    following = first.headers["Link"].partition("<")[2].partition(">")[0]

    assert [row["smiles"] for row in first.json] == ["C", "CC"]
    assert first.status == 206
    assert [row["smiles"] for row in get(following).json] == ["CCC", "CCCC"]
    assert [row["smiles"] for row in get(f"{path}&offset=2").json] == ["CC", "CCC"]


def test_a_page_far_behind_is_found_by_the_key(get: Get) -> None:
    """It reads its own rows: the place is a bound of the index, nothing before it is read."""
    first = get("/molecules?select=smiles&limit=1&after=")
    following = first.headers["Link"].partition("<")[2].partition(">")[0]
    plan = get(following, plans=True, accept="application/vnd.pgrst.plan+json").json[0]["Plan"]
    conditions = [str(node.get("Index Cond", "")) for node in nodes(plan)]

    assert any("ROW(tenant_id, id) > ROW(" in condition for condition in conditions), plan


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/molecules?after=x", "PGRST100"),
        ("/molecules?after=WyIxIl0", "PGRST100"),
        ("/molecules?after=WzEsMl0", "PGRST100"),
        ("/molecules?after=WyJ4IiwieCJd", "22P02"),
        ("/molecules?select=count()&after=", "PGRST127"),
        ("/database_stats?after=", "PGRST127"),
    ],
)
def test_what_is_no_place_is_refused(get: Get, path: str, code: str) -> None:
    """A place of another order, one that somebody made up, and rows without a key."""
    reply = get(path)
    assert (reply.status, reply.json["code"]) == (400, code)
