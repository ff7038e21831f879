"""Tenants: nobody sees another tenant's rows, whatever a request asks for."""

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.schema.domains.molecules import molecule_id
from tests.web.rest.conftest import OURS, THEIRS, Get, Login, get_from, id_of


def test_no_request_shows_rows_of_another_tenant(get: Get, store: Database) -> None:
    """Neither rows nor embedded ones, counts, aggregates, orders or errors tell of them."""
    theirs = molecule_id(THEIRS, "S", 0, 1)
    calculation = id_of("done 0", THEIRS)
    administered = get_from(store.engine, "/molecules?select=count()")
    assert administered.json == [{"count": 6}]

    for path, rows in (
        (f"/molecules?id=eq.{theirs}", []),
        (f"/molecules?tenant_id=eq.{THEIRS}", []),
        (f"/molecules?or=(id.eq.{theirs},tenant_id.eq.{THEIRS})", []),
        (f"/atomic_properties?calculation_id=eq.{calculation}", []),
        ("/molecules?select=count()", [{"count": 4}]),
        (f"/projects?select=name&name=not.eq.project of {OURS}", []),
        ("/users?select=molecules(count())", [{"molecules": [{"count": 0}]}]),
        (f"/molecules?select=id,calculations!inner(id)&calculations.id=eq.{calculation}", []),
        ("/molecules?select=smiles&smiles=eq.S", []),
    ):
        reply = get(path, prefer=["count=exact"])
        assert (reply.status, reply.json) == (200, rows), path
    every = get("/batch_jobs?select=calculations!batch_items(*,molecules(*),atomic_properties(*))")
    assert str(OURS) in every.body.decode()
    assert str(THEIRS) not in every.body.decode()


@pytest.mark.parametrize("count", ["planned", "estimated"])
def test_an_estimate_is_exact_for_who_may_not_know_what_statistics_cover(
    get: Get, store: Database, count: str
) -> None:
    """The planner's statistics are of all tenants: only who sees them all gets its estimates."""
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE molecules")
    path, prefer = "/molecules?select=smiles&smiles=in.(S,CCCC)", [f"count={count}"]

    assert get(path, prefer=prefer).headers["Content-Range"] == "0-0/1"
    assert get_from(store.engine, path, prefer=prefer).headers["Content-Range"] == "0-1/2"
    assert get_from(store.engine, path, prefer=prefer, max_rows=1).headers["Content-Range"] == (
        "0-0/2"
    )


@pytest.fixture(scope="module")
def auditor(login: Login) -> Engine:
    """Return an engine of a login that may read the log, too."""
    return login("qforge_reader, qforge_auditor", OURS)


def test_any_table_is_read_as_it_was(get: Get, auditor: Engine) -> None:
    """`as_of` holds for the table, for what it embeds, for filters and for counts."""
    log = get("/event_logs?select=id,event_type&order=id", engine=auditor).json
    done = next(row["id"] for row in log if row["event_type"] == "calculation_completed")
    path = (
        "/molecules?select=smiles,calculations(status,atomic_properties(count())),projects(name)"
        "&calculations.status=neq.failed&smiles=in.(C,CC)&order=smiles&as_of="
    )

    before = get(f"{path}{done - 1}", engine=auditor)
    after = get(f"{path}{done}", engine=auditor)
    now = get(path.removesuffix("&as_of="), engine=auditor)

    project = {"name": f"project of {OURS}"}
    started = {"status": "running", "atomic_properties": [{"count": 0}]}
    completed = {"status": "completed", "atomic_properties": [{"count": 5}]}
    assert before.json == [
        {"smiles": "C", "calculations": [started], "projects": project},
        {"smiles": "CC", "calculations": [], "projects": None},
    ], before.body
    assert after.json[0]["calculations"] == [completed]
    assert now.json[1]["calculations"] == [completed]
    existing = f"/molecules?select=smiles,calculations!inner()&order=smiles&as_of={done}"
    counted = get(existing, engine=auditor, prefer=["count=exact"])
    assert counted.headers["Content-Range"] == "0-0/1"
    first = get(f"/event_logs?select=count()&as_of={log[2]['id']}", engine=auditor)
    assert first.json == [{"count": 3}]
    everything = get("/molecules?as_of=0", engine=auditor)
    assert everything.json == []


@pytest.mark.parametrize(
    "path",
    ["/event_logs", "/users?select=*,event_logs(data)", "/molecules?select=users(event_logs())"],
)
def test_a_hidden_table_is_not_embedded_either(get: Get, auditor: Engine, path: str) -> None:
    """A server that keeps the log from somebody keeps it wherever it is named."""
    hidden = frozenset({"event_logs"})
    assert get(path, engine=auditor).status == 200
    reply = get(path, engine=auditor, hidden=hidden)
    assert (reply.status, reply.json["code"]) == (403, "42501")
    assert get(path, engine=auditor, hidden=hidden, anonymous=True).status == 401


@pytest.mark.parametrize(
    ("as_of", "code"), [("2000-01-01", "22023"), ("99999999", "22023"), ("soon", "PGRST100")]
)
def test_a_moment_that_the_log_does_not_have_is_refused(
    get: Get, auditor: Engine, as_of: str, code: str
) -> None:
    """Before the log, beyond its head, or no moment at all: each says so."""
    reply = get(f"/molecules?as_of={as_of}", engine=auditor)
    assert (reply.status, reply.json["code"]) == (400, code)


def test_a_view_has_no_past(get: Get, auditor: Engine) -> None:
    """What the log does not keep is not made up."""
    reply = get("/system_health?as_of=1", engine=auditor)
    assert (reply.status, reply.json["code"]) == (400, "PGRST127")
    assert "Traceback" not in reply.body.decode()
