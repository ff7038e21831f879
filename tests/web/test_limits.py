"""What a client can take from a server: streams, bodies, queries, paths."""

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.settings import WebSettings
from tests.support.web import OTHER, SECRET, TENANT, serving
from tests.web.conftest import ROLES, Served, account

THREADS = 4
"""Of the server: as many exports at the same time, and half of them for each tenant."""

SECONDS = 2.0
"""That a part of a reply, or a body, may take."""

_ENOUGH = 300
"""Rows of 32 kB, which no buffer of a connection holds."""

IN_TRANSACTION = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
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
        body_seconds=SECONDS,
        stream_seconds=SECONDS,
        projects=False,
    )
    home = tmp_path_factory.mktemp("home")
    login = f"web_{uuid4().hex[:12]}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {login} LOGIN IN ROLE {ROLES}"))
    as_login = Database(make_engine(module_database.url.set(username=login)))
    with as_login, serving(as_login, home, web) as url:
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
    """Return the sessions that wait within the transaction of an export."""
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
