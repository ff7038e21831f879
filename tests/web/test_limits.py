"""What a client can take from a server: streams, bodies, queries, paths."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import jwt
import pytest
from sqlalchemy import Engine, literal, select, text
from sqlalchemy.util import LRUCache

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READER, Caller
from quantum_forge.web.rest.statements.compiled import OF_REQUESTS
from quantum_forge.web.settings import WebSettings
from quantum_forge.web.transaction import read_only
from tests.support.web import OTHER, SECRET, TENANT, serving
from tests.support.web import client as web_client
from tests.web.conftest import Served, account, as_server

THREADS = 4
"""Of the server: as many exports at the same time, and half of them for each tenant."""

SECONDS = 4.0
"""That a part of a reply may take; a body, half of it."""

_ENOUGH = 300
"""Rows of 32 kB, which no buffer of a connection holds."""

IN_TRANSACTION = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND xact_start IS NOT NULL"
    " AND query LIKE 'FETCH%'"
)


@pytest.fixture(scope="module")
def limited(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return a server with short deadlines, and rows that no buffer of a connection holds."""
    engine = module_database.engine
    accounts = {
        name: account(engine, tenant_id, name, Role.ADMIN)
        for tenant_id, name in [(TENANT, "ada"), (OTHER, "zoe")]
    }
    catch_up(engine, [PROJECTIONS["user_api_keys"]])
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO molecules (
                    tenant_id, id, identity_key, name, formula, charge, multiplicity,
                    molecular_weight, generation_method, toolkit, toolkit_version,
                    completed_calculation_count, retracted_calculation_count,
                    failed_calculation_count, created_at, updated_at, last_position)
                SELECT :tenant, gen_random_uuid(), n::text, repeat(md5(n::text), 1000), 'H2O', 0, 1,
                       18, 'none', 'none', '0', 0, 0, 0, now(), now(), 1
                  FROM generate_series(1, :rows) AS n
            """),
            {"tenant": TENANT, "rows": _ENOUGH},
        )
    web = WebSettings(
        jwt_secret=Secret(SECRET),
        max_body=100_000,
        threads=THREADS,
        body_seconds=SECONDS / 2,
        stream_seconds=SECONDS,
        projects=False,
    )
    home = tmp_path_factory.mktemp("home")
    with as_server(module_database) as database, serving(database, home, web) as url:
        yield Served(url, engine, accounts)


def connected(served: Served, head: str, name: str) -> socket.socket:
    """Send the head of a request by a connection that holds little, and return the connection."""
    address = urlsplit(served.url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(30)
    raw.connect((address.hostname, address.port))
    key = served.accounts[name].key
    raw.sendall(f"{head}\r\nHost: test\r\nAuthorization: Bearer {key}\r\n".encode())
    return raw


def is_cut(raw: socket.socket) -> bool:
    """Whether a reply has an end before its last part."""
    try:
        while part := raw.recv(2**16):
            last = part
    except ConnectionResetError:
        return True
    return not last.endswith(b"0\r\n\r\n")


def waiting(engine: Engine) -> int:
    """Return the sessions within the transaction of an export."""
    with engine.connect() as connection:
        found: int = connection.execute(IN_TRANSACTION).scalar_one()
    return found


def test_clients_that_never_read_keep_no_transaction(limited: Served) -> None:
    """Beyond the limit they get 503; others are answered meanwhile; the rest is cut off in time."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(5 * THREADS):
            raw = connected(limited, "GET /rest/v1/molecules HTTP/1.1", "ada")
            stack.callback(raw.close)
            raw.sendall(b"Accept: application/x-ndjson\r\n\r\n")
            held.append(raw)
        statuses = [raw.recv(12) for raw in held]
        assert statuses.count(b"HTTP/1.1 200") == THREADS // 2
        assert statuses.count(b"HTTP/1.1 503") == 5 * THREADS - THREADS // 2
        refused = held[statuses.index(b"HTTP/1.1 503")]
        assert b"retry-after: 5" in refused.recv(4096).lower()
        assert waiting(limited.engine) == THREADS // 2
        with limited.client("zoe") as other:
            assert other.get("/ready").status_code == 200
            ndjson = {"Accept": "application/x-ndjson"}
            assert other.get("/rest/v1/molecules", headers=ndjson).text == ""
        deadline = time.monotonic() + 30
        while waiting(limited.engine) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert waiting(limited.engine) == 0
        for raw, status in zip(held, statuses, strict=True):
            if status.endswith(b"200"):  # what was on its way, and then the end
                assert is_cut(raw)
    with limited.client("ada") as same:
        whole = same.get("/rest/v1/molecules?select=id", headers=ndjson)
        assert len(whole.text.splitlines()) == _ENOUGH


def test_a_query_has_limits_that_its_refusal_names(limited: Served) -> None:
    """None that is within them exhausts the stack, and none beyond is compiled."""
    related = "molecules", "calculations"
    deep = "*"
    for level in range(9):
        deep = f"*,{related[level % 2]}!inner({deep})"
    nested = "energy.gt.1"
    for _ in range(28):
        nested = f"and({nested})"
    queries = [
        ("select=" + ",".join(f"a{n}:energy" for n in range(200)), None),
        ("select=" + ",".join(f"a{n}:energy" for n in range(201)), "200 selected columns"),
        ("select=" + ",".join(f"a{n}:molecules!inner(*)" for n in range(20)), None),
        ("select=" + ",".join(f"a{n}:molecules()" for n in range(21)), "20 embedded relations"),
        (f"select={deep}", "8 levels of embedded relations"),
        ("select=" + ",".join("*" * 22), "21 selections of all columns"),
        ("select=energy" + "->a" * 33, "32 steps into JSON"),
        ("select=" + ",".join(["energy" + "->a" * 32] * 9), "256 steps into JSON"),
        ("&".join(["energy=gt.1"] * 200), None),
        ("&".join(["energy=gt.1"] * 201), "200 filters"),
        ("or=(" + ",".join(["energy.gt.1"] * 201) + ")", "200 filters"),
        (f"and=({nested})", None),
        ("order=" + ",".join(["energy"] * 33), "32 terms of an order"),
        ("charge=in.(" + ",".join("1" * 10_000) + ")", None),
        ("charge=in.(" + ",".join("1" * 10_001) + ")", "10,000 values in a list"),
        (_related_filters(), "tables, counted once per condition on them"),
    ]
    with limited.client("zoe") as client:
        for query, limit in queries:
            reply = client.get(f"/rest/v1/calculations?{query}")
            assert reply.status_code == (200 if limit is None else 400), (query[:80], reply.text)
            if limit is not None:
                assert reply.json()["code"] == "PGRST100"
                assert limit in reply.json()["message"], query[:80]
        reply = client.post("/auth/v1/token?grant_type=password", content='{"x":' + "[" * 50_000)
        assert (reply.status_code, reply.json()["code"]) == (400, "54001")
        reply = client.post("/rest/v1/molecules", content="[" * 50_000)
        assert reply.status_code == 400
    long = "x" * 64_000
    with connected(limited, f"GET /rest/v1/molecules?name=eq.{long} HTTP/1.1", "zoe") as raw:
        raw.sendall(b"\r\n")
        assert raw.recv(13) == b"HTTP/1.1 414 "


def _related_filters() -> str:
    """Conditions on the rows of relations in relations, which would double on each level."""
    select, path, terms = "*", "", []
    for level in range(8):
        name = ("calculations", "molecules")[level % 2]
        select = f"*,{name}({select})"
    for level in range(8):
        name = ("molecules", "calculations")[level % 2]
        terms += [f"{path}{name}=not.is.null"] * 12
        path += f"{name}."
    return "&".join([f"select={select}", *terms])


def test_statements_of_requests_are_kept_apart_and_few(limited: Served) -> None:
    """Whoever sends ever other ones neither fills the memory nor drives out the program's own."""
    kept = OF_REQUESTS["compiled_cache"]
    assert isinstance(kept, LRUCache)
    assert kept.capacity == 32
    engine, caller = limited.engine, Caller(tenant_id=TENANT, database_role=READER)
    with read_only(engine, caller, seconds=9, idle_seconds=9, method="GET", path="/") as connection:
        own = len(engine._compiled_cache or {})
        for number in range(100):
            value = literal(number).label(f"n{number}")
            assert connection.scalar(select(value)) == number
        assert len(kept) <= 48
        assert len(engine._compiled_cache or {}) == own


def test_no_path_and_no_host_of_a_client_breaks_an_answer(limited: Served) -> None:
    """Neither NUL, nor a slash too many, nor a host that is none."""
    with limited.client("ada") as client:
        for path in ("molecules%00", "%00", "rpc/x%00", "molecules/", "molecules/%00/explain"):
            reply = client.get(f"/rest/v1/{path}", headers={"Host": "evil.example"})
            assert reply.status_code == 404, path
            assert reply.json()["code"] == "PGRST125"
            assert "location" not in reply.headers
        for path, status in [("molecules?limit=0", 200), ("nothing", 404), ("a/b", 404)]:
            reply = client.get(f"/rest/v1/{path}", headers={"Host": "["})
            assert reply.status_code == status, reply.text


def test_a_signed_token_with_half_a_character_is_refused(limited: Served) -> None:
    """JSON can write what UTF-8 cannot; nothing of it reaches the database, or a header."""
    claims = {"role": "qforge_reader", "tenant_id": str(TENANT), "exp": time.time() + 60}
    for odd in ({"name": "\ud800"}, {"role": "\ud800"}):
        token = jwt.encode(claims | odd, SECRET, algorithm="HS256")
        with web_client(limited.url, token) as client:
            reply = client.get("/rest/v1/molecules?limit=0")
        assert reply.status_code in (401, 403), (odd, reply.text)


def test_a_body_arrives_in_time_and_is_small_before_anyone_is_let_in(limited: Served) -> None:
    """408 and the end of the connection; 413 below /auth/ above 64 kB."""
    with connected(limited, "POST /rest/v1/molecules HTTP/1.1", "ada") as raw:
        raw.sendall(b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n[")
        reply = b""
        while part := raw.recv(4096):
            reply += part
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"QFORGE_WEB_BODY_SECONDS" in reply
    with limited.client() as client:
        reply_ = client.post("/auth/v1/token?grant_type=password", content=b" " * 70_000)
        assert reply_.status_code == 413
        assert "65,536" in reply_.json()["message"]


def test_nobody_takes_every_stream_of_events(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A user has a fifth of them, a tenant half; a stream that ends leaves its place to others."""
    people = [("ada", TENANT), ("bob", TENANT), ("kim", TENANT), ("zoe", OTHER)]
    keys = {
        name: account(database.engine, tenant_id, name, Role.ADMIN).key
        for name, tenant_id in people
    }
    web = WebSettings(jwt_secret=Secret(SECRET), streams=10, projects=False)
    with (
        serving(database, tmp_path_factory.mktemp("home"), web) as url,
        contextlib.ExitStack() as stack,
    ):

        def status(name: str, streams: contextlib.ExitStack) -> int:
            reply = streams.enter_context(
                streams.enter_context(web_client(url, keys[name])).stream("GET", "/events")
            )
            assert reply.status_code == 200 or reply.headers["retry-after"] == "10"
            return reply.status_code

        first = contextlib.ExitStack()
        assert [status("ada", first) for _ in range(3)] == [200, 200, 429]
        assert [status("bob", stack) for _ in range(2)] == [200, 200]
        assert [status("kim", stack) for _ in range(2)] == [200, 503]
        assert status("zoe", stack) == 200
        first.close()
        end = time.monotonic() + 20
        while status("ada", stack) != 200:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_head_that_never_ends_is_cut_off(limited: Served) -> None:
    """Whether nothing comes, a bit now and then, or ever more; also in the second request."""
    whole = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    cases = [
        (b"", b"", b"408"),
        (b"GET /live HTTP/1.1\r\nHost: x\r\n", b"X-Slow: 1\r\n", b"408"),
        (b"GET /live HTTP/1.1\r\n", b"X-Large: " + b"x" * 50_000 + b"\r\n", b"431"),
        (whole + b"GET /live HTTP/1.1\r\n", b"X: 1\r\n", b"408"),
    ]
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(lambda case: _dripped(limited.url, case[0], case[1]), cases))

    for (sent, _, status), answered in zip(cases, answers, strict=True):
        assert answered.count(b"200 OK") == sent.count(b"\r\n\r\n")
        if answered or status == b"408":  # a reply to bytes that were not read may be lost
            assert answered.rpartition(b"HTTP/1.1 ")[2].startswith(status)


def _dripped(url: str, sent: bytes, every: bytes) -> bytes:
    """Send the beginning of a request and then more of it, until the server has enough."""
    address = urlsplit(url)
    assert address.hostname is not None
    end = time.monotonic() + 5 * SECONDS
    answered = b""
    with socket.create_connection((address.hostname, address.port or 0)) as connection:
        connection.sendall(sent)
        connection.settimeout(0.2)
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                try:
                    part = connection.recv(65536)
                except ConnectionResetError:
                    return answered
                if not part:
                    return answered
                answered += part
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(every)
    raise AssertionError("the connection was kept")
