"""The servers of the comparisons over HTTP: ours, and one that is written for one question."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
from sqlalchemy import text
from sqlalchemy.engine import URL

from benchmarks.server import connected
from benchmarks.workload import TENANT
from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.server.binaries import tool_path
from quantum_forge.schema.domains.users import Role

LOGIN = "web_benchmark"
_ROLES = "qforge_admin, qforge_projector, qforge_reader, qforge_auditor"

_READER = f"-c role=qforge_reader -c qforge.tenant_id={TENANT}"

BY_HAND = """
import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, HTTPException

QUESTION = "SELECT {columns} FROM molecules WHERE tenant_id = '{tenant}' AND smiles = $1"


@asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool(
        user=os.environ["PGUSER"], host=os.environ["PGHOST"], port=os.environ["PGPORT"],
        database=os.environ["PGDATABASE"], min_size=8, max_size=16,
        server_settings={{"role": "qforge_reader", "qforge.tenant_id": "{tenant}"}},
    )
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/molecule")
async def molecule(smiles: str):
    row = await app.state.pool.fetchrow(QUESTION, smiles)
    if row is None:
        raise HTTPException(404)
    return dict(row)
"""
"""As one writes it for one question: a pool, the row as it is, and nobody asked who they are."""


class Served(msgspec.Struct):
    """Our server, and how to reach it and its database."""

    url: URL
    process: subprocess.Popen[str]
    address: tuple[str, int]
    key: str

    def psql(self, script: str) -> subprocess.Popen[bytes]:
        """Run a script by the login of the server, in the role that it reads by."""
        return subprocess.Popen(
            [
                str(tool_path("psql")),
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                f"--file={_script(script)}",
                libpq_url(self.url),
            ],
            env={**os.environ, "PGOPTIONS": _READER},
            stdout=subprocess.DEVNULL,
        )

    def columns(self, table: str) -> str:
        """Return the columns of a table that a request without `select` gets."""
        address = f"http://{self.address[0]}:{self.address[1]}/rest/v1/{table}?limit=1"
        row = httpx.get(address, headers={"Authorization": f"Bearer {self.key}"}).json()[0]
        return ", ".join(row)


@contextmanager
def serving(url: URL) -> Iterator[Served]:
    """Run `qforge serve` with what it does by default, but for a line for each request."""
    with connected(url) as engine:
        with engine.begin() as connection:
            connection.execute(text(f"DROP ROLE IF EXISTS {LOGIN}"))
            connection.execute(text(f"CREATE ROLE {LOGIN} LOGIN IN ROLE {_ROLES}"))
        with Recorder(engine, Author(tenant_id=TENANT)) as recorder:
            user_id = Users(recorder).register(
                email="ada@example.org", username="ada", role=Role.ADMIN
            )
            key = ApiKeys(recorder).issue(user_id, name="benchmark").key.reveal()
    by_login = url.set(username=LOGIN)
    with tempfile.TemporaryDirectory(prefix="qforge-bench-web-") as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "quantum_forge.cli.main", "serve", "--quiet", "--port", "0"],
            env={
                **os.environ,
                "DATABASE_URL": libpq_url(by_login),
                "QFORGE_HOME": home,
                "QFORGE_TENANT_ID": str(TENANT),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Served(by_login, process, _address(process), key)
        finally:
            process.terminate()
            process.communicate()


@contextmanager
def by_hand(served: Served, columns: str) -> Iterator[tuple[str, int]]:
    """Run `BY_HAND` by uvicorn, as its documentation says; return its address."""
    with tempfile.TemporaryDirectory(prefix="qforge-bench-hand-") as home:
        Path(home, "question.py").write_text(BY_HAND.format(columns=columns, tenant=TENANT))
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "question:app", "--port", "0", "--no-access-log"],
            env={
                **os.environ,
                "PGUSER": LOGIN,
                "PGHOST": str(served.url.query["host"]),
                "PGPORT": str(served.url.query["port"]),
                "PGDATABASE": str(served.url.database),
            },
            cwd=home,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield _address(process)
        finally:
            process.terminate()
            process.communicate()


def memory(pid: int) -> dict[str, float]:
    """Return the megabytes that a process holds now, and held at most."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            found[{"VmRSS": "now_mb", "VmHWM": "most_mb"}[name]] = int(value.split()[0]) / 1024
    return found


def _address(process: subprocess.Popen[str]) -> tuple[str, int]:
    """Wait until a server says where it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if "http://" in line:
            host, _, port = line.partition("http://")[2].split()[0].rstrip(";").partition(":")
            return host, int(port)
    raise RuntimeError("a server did not start")


def _script(content: str) -> str:
    """Return the path of a script; psql reads it once, and the folder of all goes with the run."""
    folder = Path(tempfile.gettempdir(), f"qforge-bench-scripts-{os.getpid()}")
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.monotonic_ns()}.sql"
    path.write_text(content)
    return str(path)
