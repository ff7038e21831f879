"""Replies of the dialect: status, headers and forms of pages, and each error with its code."""

import json
from typing import Any

import pytest

from tests.web.rest.conftest import Get, id_of

OBJECT = "application/vnd.pgrst.object+json"
ALL = "/molecules?select=smiles&order=smiles"


@pytest.mark.parametrize(
    ("path", "request_", "status", "range_", "rows"),
    [
        (ALL, {}, 200, "0-3/*", 4),
        ("/projects?name=eq.x", {}, 200, "*/*", 0),
        ("/projects?name=eq.x", {"prefer": ["count=exact"]}, 200, "*/0", 0),
        (f"{ALL}&limit=2&offset=1", {}, 200, "1-2/*", 2),
        (f"{ALL}&limit=2", {"prefer": ["count=exact"]}, 206, "0-1/4", 2),
        (ALL, {"prefer": ["count=exact"]}, 200, "0-3/4", 4),
        (f"{ALL}&limit=3", {"range_": "0-1"}, 200, "0-1/*", 2),
        (f"{ALL}&limit=3", {"range_": "0-1", "is_head": True}, 200, "0-2/*", 0),
        (ALL, {"range_": "3-"}, 200, "3-3/*", 1),
        (ALL, {"range_": "items=1-2"}, 200, "1-2/*", 2),
        (f"{ALL}&limit=0", {}, 200, "*/*", 0),
        (f"{ALL}&offset=-4", {}, 200, "0-3/*", 4),
        (f"{ALL}&offset=100", {}, 200, "*/*", 0),
        (f"{ALL}&offset=4", {"prefer": ["count=exact"]}, 206, "*/4", 0),
        (ALL, {"prefer": ["count=planned"]}, 200, "0-3/4", 4),
        (ALL, {"prefer": ["count=estimated"]}, 200, "0-3/4", 4),
        (ALL, {"max_rows": 3}, 206, "0-2/4", 3),
        (ALL, {"max_rows": 4}, 200, "0-3/*", 4),
        (f"{ALL}&limit=3", {"max_rows": 2}, 206, "0-1/4", 2),
        (f"{ALL}&limit=2", {"max_rows": 2}, 200, "0-1/*", 2),
        (f"{ALL}&offset=3", {"max_rows": 2}, 200, "3-3/*", 1),
        (f"{ALL}&offset=2&limit=9", {"max_rows": 2}, 200, "2-3/*", 2),
        (ALL, {"max_rows": 3, "prefer": ["count=planned"]}, 206, "0-2/4", 3),
    ],
)
def test_a_page_says_which_rows_it_has_and_whether_there_are_more(
    get: Get, path: str, request_: dict[str, Any], status: int, range_: str, rows: int
) -> None:
    """Content-Range and 206 are what clients count and turn pages by; nothing is cut silently."""
    reply = get(path, **request_)

    assert (reply.status, reply.headers.get("Content-Range")) == (status, range_), reply.body
    assert len(json.loads(reply.body or "[]")) == rows


def test_every_page_has_the_headers_that_caches_and_clients_need(get: Get) -> None:
    """The canonical address, what the reply varies with, and the preferences that were honoured."""
    preferences = ["count=exact, return=minimal", "handling=lenient,nonsense,timezone=Asia/Tokyo"]
    reply = get("/molecules?select=created_at&limit=1&smiles=eq.C=C", prefer=preferences)

    assert reply.headers.pop("ETag").startswith('W/"')
    assert reply.headers == {
        "Cache-Control": "private, no-cache",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Location": "/molecules?limit=1&select=created_at&smiles=eq.C%3DC",
        "Content-Range": "*/0",
        "Preference-Applied": "count=exact, handling=lenient, timezone=Asia/Tokyo",
        "Vary": "Accept, Prefer, Range",
    }
    zoned = get("/molecules?select=created_at&limit=1", prefer=["timezone=Asia/Tokyo"])
    assert zoned.json[0]["created_at"].endswith("T21:00:00+09:00")
    head = get("/molecules?select=smiles", is_head=True, prefer=["count=exact"])
    full = get("/molecules?select=smiles", prefer=["count=exact"])
    assert (head.status, head.headers, head.body) == (full.status, full.headers, b"")


@pytest.mark.parametrize("accept", [OBJECT, "application/vnd.pgrst.object"])
def test_a_single_row_is_an_object(get: Get, accept: str) -> None:
    """`single()` of the clients: an object, or 406 that says how many rows there are."""
    one = get("/molecules?select=smiles&smiles=eq.C", accept=accept)
    none = get("/molecules?smiles=eq.x", accept=accept)
    several = get("/molecules?smiles=neq.C", accept=accept)
    paged = get(f"{ALL}&limit=1&offset=2", accept=accept, prefer=["count=exact"])

    assert (one.status, one.json) == (200, {"smiles": "C"})
    assert one.headers["Content-Type"] == f"{OBJECT}; charset=utf-8"
    assert [(each.status, each.json["code"]) for each in (none, several)] == [(406, "PGRST116")] * 2
    assert none.json["details"] == "The result contains 0 rows"
    assert several.json["details"] == "The result contains 3 rows"
    assert (paged.status, paged.json) == (206, {"smiles": "CCC"})
    assert paged.headers["Content-Range"] == "2-2/4"


def test_rows_come_as_csv_as_lines_and_without_nulls(get: Get) -> None:
    """The other forms have the same rows; of CSV, HEAD has the headers too."""
    query = "/molecules?select=smiles,name,molecular_weight,m:metadata->of&order=smiles&offset=1"
    csv = get(query, accept="text/csv")
    lines = get(query, accept="application/x-ndjson", prefer=["count=exact"])
    stripped = get(query, accept="application/vnd.pgrst.array+json;nulls=stripped")
    rows = get(query, accept="text/html;q=0.1, application/json;q=0.5").json

    assert csv.body.decode() == (
        "smiles,name,molecular_weight,m\n"
        'CC,"name 1, of CC",18.015,"{""who"": ""ada 1""}"\n'
        'CCC,,18.015,"{""who"": ""ada 2""}"\n'
        'CCCC,"name 3, of CCCC",18.015,"{""who"": ""ada 3""}"\n'
    )
    head = get(query, accept="text/csv", is_head=True)
    assert (head.headers, head.body) == (csv.headers, b"")
    assert csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [json.loads(line) for line in lines.body.splitlines()] == rows
    assert lines.headers["Content-Range"] == "*/4"
    assert [len(row) for row in stripped.json] == [4, 3, 4]
    assert stripped.headers["Content-Type"] == (
        "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"
    )


def test_no_cell_of_csv_is_a_formula(get: Get) -> None:
    """A text that begins like one gets an apostrophe; a negative number is a number."""
    path = '/calculations?energy=eq.-6&select=energy,"=method":status,t:energy::text'
    csv = get(path, accept="text/csv")

    assert csv.body.decode() == "energy,'=method,t\n-6,completed,'-6\n"


@pytest.mark.parametrize("accept", ["application/vnd.pgrst.plan+json; options=analyze"])
def test_a_plan_is_given_only_where_it_is_allowed(get: Get, accept: str) -> None:
    """`explain()` of the clients needs a setting, since plans tell of all tenants' rows."""
    allowed = get("/molecules?smiles=eq.C", accept=accept, plans=True)
    refused = get("/molecules?smiles=eq.C", accept=accept)

    assert "Actual Rows" in allowed.json[0]["Plan"]
    assert allowed.headers["Content-Type"] == (
        'application/vnd.pgrst.plan+json; for="application/json"; options=analyze; charset=utf-8'
    )
    assert (refused.status, refused.json["code"]) == (406, "PGRST107")


ERRORS: list[tuple[str, dict[str, Any], int, str, dict[str, Any]]] = [
    (
        f"{ALL}&limit=-1",
        {},
        416,
        "PGRST103",
        {"details": "Limit should be greater than or equal to zero."},
    ),
    (
        ALL,
        {"range_": "5-2"},
        416,
        "PGRST103",
        {
            "details": "The lower boundary must be lower than or equal to the upper boundary in the"
            " Range header."
        },
    ),
    (
        f"{ALL}&offset=100",
        {"prefer": ["count=exact"]},
        416,
        "PGRST103",
        {"details": "An offset of 100 was requested, but there are only 4 rows."},
    ),
    (f"{ALL}&limit=x", {}, 400, "PGRST100", {}),
    (
        "/molecules?name=foo.1",
        {},
        400,
        "PGRST100",
        {
            "message": '"failed to parse filter (foo.1)" (line 1, column 1)',
            "details": 'unexpected "f" expecting "not" or operator (eq, gt, ...)',
        },
    ),
    ("/molecules?or=()", {}, 400, "PGRST100", {}),
    ("/molecules?name=is.nil", {}, 400, "PGRST100", {}),
    ("/molecules?order=a.ac", {}, 400, "PGRST100", {}),
    ("/molecules?select=id,a(b", {}, 400, "PGRST100", {}),
    ("/molecules?name=neq(any).{a}", {}, 400, "PGRST100", {}),
    ("/molecules?name=like(some).{a}", {}, 400, "PGRST100", {}),
    ("/molecules?name=eq.a\0", {}, 400, "22021", {}),
    ("/molecules?select=smiles::secret", {}, 400, "42704", {}),
    (
        "/molecules?calculations.gap=gt.2",
        {},
        400,
        "PGRST108",
        {
            "message": "'calculations' is not an embedded resource in this request",
            "hint": "Verify that 'calculations' is included in the 'select' query parameter.",
        },
    ),
    ("/molecules?order=projects(name)", {}, 400, "PGRST108", {}),
    ("/molecules?select=calculations()&calculations=eq.1", {}, 400, "PGRST120", {}),
    ("/molecules?select=*,calculations()&order=calculations(gap)", {}, 400, "PGRST118", {}),
    ("/molecules?select=count()", {"aggregates": False}, 400, "PGRST123", {}),
    ("/molecules", {"prefer": ["handling=strict, anything"]}, 400, "PGRST122", {}),
    ("/molecules", {"prefer": ["handling=strict", "timezone=x/y"]}, 400, "PGRST122", {}),
    (
        "/molecules?select=*,devices(*)",
        {},
        400,
        "PGRST200",
        {
            "message": "Could not find a relationship between 'molecules' and 'devices' in the"
            " schema cache"
        },
    ),
    (
        "/molecules?select=calculation(*)",
        {},
        400,
        "PGRST200",
        {"hint": "Perhaps you meant 'calculations' instead of 'calculation'."},
    ),
    ("/molecules?select=calculations!batch_id(*)", {}, 400, "PGRST200", {}),
    (
        "/batch_jobs?select=*,calculations(*)",
        {},
        300,
        "PGRST201",
        {
            "hint": "Try changing 'calculations' to one of the following:"
            " 'calculations!calculations_batch_id_fkey', 'calculations!batch_items'. Find the"
            " desired relationship in the 'details' key.",
            "details": [
                {
                    "cardinality": "one-to-many",
                    "embedding": "batch_jobs with calculations",
                    "relationship": "calculations_batch_id_fkey using batch_jobs(id) and"
                    " calculations(batch_id)",
                },
                {
                    "cardinality": "many-to-many",
                    "embedding": "batch_jobs with calculations",
                    "relationship": "batch_items using batch_items(batch_id) and"
                    " batch_items(calculation_id)",
                },
            ],
        },
    ),
    (
        "/molecule",
        {},
        404,
        "PGRST205",
        {
            "message": "Could not find the table 'public.molecule' in the schema cache",
            "hint": "Perhaps you meant the table 'public.molecules'",
        },
    ),
    ("/event_streams", {}, 404, "PGRST205", {}),
    ("/login_bindings", {}, 404, "PGRST205", {}),
    (
        "/molecules?select=nme",
        {},
        400,
        "42703",
        {
            "message": "column molecules.nme does not exist",
            "hint": 'Perhaps you meant to reference the column "molecules.name".',
        },
    ),
    ("/molecules?nme=eq.1", {}, 400, "42703", {}),
    ("/molecules?order=nme", {}, 400, "42703", {}),
    ("/users?select=hashed_password", {}, 400, "42703", {}),
    ("/users?hashed_password=like.*", {}, 400, "42703", {}),
    ("/users?order=hashed_password", {}, 400, "42703", {}),
    ("/user_api_keys?select=*,users(hashed_password)", {}, 400, "42703", {}),
    (
        "/molecules?id=eq.x",
        {},
        400,
        "22P02",
        {"message": 'invalid input syntax for type uuid: "x"'},
    ),
    ("/molecules?id=in.(x)", {}, 400, "22P02", {}),
    ("/calculations?gap=gt.wide", {}, 400, "22P02", {}),
    ("/molecules?charge=eq.99999999999", {}, 400, "22003", {}),
    ("/molecules?name=wfts(klingon).x", {}, 400, "42704", {}),
    ("/molecules?charge=cs.1", {}, 404, "42883", {}),
    ("/molecules", {"accept": "image/png"}, 406, "PGRST107", {"details": None}),
    ("/event_logs", {}, 403, "42501", {"message": "permission denied for table event_logs"}),
    ("/event_logs", {"anonymous": True}, 401, "42501", {}),
    ("/molecules?as_of=yesterday-ish", {}, 400, "PGRST100", {}),
]


@pytest.mark.parametrize(
    ("path", "request_", "status", "code", "told"), ERRORS, ids=[each[0] for each in ERRORS]
)
def test_a_wrong_request_gets_the_code_of_postgrest_and_says_what_is_wrong(
    get: Get, path: str, request_: dict[str, Any], status: int, code: str, told: dict[str, Any]
) -> None:
    """Clients branch on the code; people read the message, and the hint."""
    reply = get(path, **request_)
    error = reply.json

    assert (reply.status, error["code"]) == (status, code), error
    assert list(error) == ["code", "message", "details", "hint"]
    assert error | told == error
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Proxy-Status"] == f"PostgREST; error={code}"
    assert ("WWW-Authenticate" in reply.headers) == (status == 401)


def test_a_row_is_found_by_its_id(get: Get) -> None:
    """Ids are UUIDs, compared as such."""
    ids = [id_of("done 0"), id_of("done 1")]
    (one,) = get(f"/calculations?select=id,energy&id=eq.{ids[0]}").json
    both = get(f"/calculations?select=energy&id=in.({ids[0]},{ids[1]})&order=energy").json

    assert one == {"id": str(ids[0]), "energy": -5}
    assert both == [{"energy": -6}, {"energy": -5}]
