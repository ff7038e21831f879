"""The store over HTTP: pages, streams, appends, one row, each against what could be had without.

`qforge serve` runs as a process of its own with one worker, by a login as the documentation asks
for; its callers use an API key.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from benchmarks.append import record_one
from benchmarks.catalogue_workload import events, smiles
from benchmarks.measure import Comparison, compare, say
from benchmarks.server import BenchmarkServer, connected
from benchmarks.web_servers import Served, by_hand, memory, serving
from benchmarks.web_stream import arrival
from benchmarks.workload import STATES, histories
from benchmarks.writers import Write, Writers
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.load import load
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS

PAGE = 1_000
"""Calculations of a page."""

ATOMS = 9
"""Of each calculation; a molecule has two."""

PAGES_EACH = 10
"""Copies of a page by each psql: its start is not what is measured."""


class Extent(msgspec.Struct, frozen=True):
    """Size of a run.

    seconds: of each measurement. molecules: in the database. rounds: of each comparison. streaming:
    seconds for which clients follow the log.
    """

    seconds: float
    molecules: int
    rounds: int
    streaming: float


FULL = Extent(seconds=5, molecules=56_000, rounds=5, streaming=20)
QUICK = Extent(seconds=1.5, molecules=3_000, rounds=3, streaming=5)


def measure(server: BenchmarkServer, extent: Extent) -> tuple[list[Comparison], dict[str, Any]]:
    """Every comparison over HTTP, how soon events arrive, and what a worker takes for it."""
    with server.database() as url, connected(url) as engine:
        _fill(engine, extent.molecules)
        with serving(url) as served:
            comparisons = [
                _page(served, extent),
                _stream(served, extent),
                _one(served, extent),
                _append(url, served, extent),
            ]
            figures = {
                "http_events": arrival(engine, served, extent.streaming),
                "http_memory": memory(served.process.pid),
            }
    for name, found in figures.items():
        say(f"{name}: {', '.join(f'{part} {value:,.1f}' for part, value in found.items())}")
    return comparisons, figures


def _fill(engine: Engine, molecules: int) -> None:
    load(engine, events(molecules))
    catch_up(engine, PROJECTIONS.values())
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))
    say(f"{molecules:,} molecules with two calculations each are there")


@contextmanager
def _getter(address: tuple[str, int], key: str, paths: Callable[[], str]) -> Iterator[Write]:
    """Send GET requests, one after the other, over one connection."""
    connection = HTTPConnection(*address)
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def get() -> int:
        connection.request("GET", paths(), headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        if reply.status not in (200, 206) or len(body) < 10:
            raise RuntimeError(f"{reply.status}: {body[:200]!r}")
        return 1

    yield get
    connection.close()


def _pages(molecules: int) -> Callable[[], str]:
    """Return what gives the path of some page of calculations."""
    chance = random.Random()
    last = max(1, 2 * molecules // PAGE)

    def path() -> str:
        offset = chance.randrange(last) * PAGE
        return f"/rest/v1/calculations?order=id&limit={PAGE}&offset={offset}"

    return path


def _page(served: Served, extent: Extent) -> Comparison:
    clients = 8
    columns = served.columns("calculations")
    chance = random.Random(1)

    def copied() -> float:
        scripts = []
        for _ in range(clients):
            lines = []
            for _ in range(PAGES_EACH):
                offset = chance.randrange(max(1, 2 * extent.molecules // PAGE)) * PAGE
                rows = (
                    f"SELECT {columns} FROM calculations ORDER BY id LIMIT {PAGE} OFFSET {offset}"
                )
                lines.append(f"\\copy (SELECT json_agg(r) FROM ({rows}) AS r) TO /dev/null")
            scripts.append("\n".join(lines))
        began = time.perf_counter()
        started = [served.psql(script) for script in scripts]
        for each in started:
            if each.wait():
                raise RuntimeError("psql failed")
        return clients * PAGES_EACH / (time.perf_counter() - began)

    open_writer = partial(_getter, served.address, served.key, _pages(extent.molecules))
    with Writers(open_writer, clients) as ours:
        return compare(
            "http_page",
            unit="pages/s",
            target=0.5,
            ours=lambda: ours.run(extent.seconds),
            reference=copied,
            rounds=extent.rounds,
        )


def _stream(served: Served, extent: Extent) -> Comparison:
    rows = extent.molecules * 2 * ATOMS
    columns = served.columns("atomic_properties")

    def ours() -> float:
        connection = HTTPConnection(*served.address)
        headers = {"Authorization": f"Bearer {served.key}", "Accept": "application/x-ndjson"}
        began = time.perf_counter()
        connection.request("GET", "/rest/v1/atomic_properties", headers=headers)
        reply = connection.getresponse()
        lines = 0
        while part := reply.read1(2**18):
            lines += part.count(b"\n")
        elapsed = time.perf_counter() - began
        connection.close()
        if lines != rows:
            raise RuntimeError(f"{lines} rows came, not {rows}: status {reply.status}")
        return rows / elapsed

    def copied() -> float:
        began = time.perf_counter()
        rows_of = f"SELECT {columns} FROM atomic_properties"
        script = f"\\copy (SELECT row_to_json(r) FROM ({rows_of}) AS r) TO /dev/null"
        if served.psql(script).wait():
            raise RuntimeError("psql failed")
        return rows / (time.perf_counter() - began)

    return compare(
        "http_stream",
        unit="rows/s",
        target=0.7,
        ours=ours,
        reference=copied,
        rounds=extent.rounds,
    )


def _one(served: Served, extent: Extent) -> Comparison:
    clients = 8
    columns = "id,smiles,name,formula,charge,multiplicity,molecular_weight,inchikey"
    chance = random.Random()

    def some() -> str:
        return smiles(chance.randrange(extent.molecules))

    def our_path() -> str:
        return "/rest/v1/molecules?" + urlencode({"select": columns, "smiles": f"eq.{some()}"})

    with (
        by_hand(served, columns) as theirs,
        Writers(partial(_getter, served.address, served.key, our_path), clients) as ours,
        Writers(
            partial(_getter, theirs, "", lambda: f"/molecule?smiles={quote(some())}"), clients
        ) as reference,
    ):
        return compare(
            "http_one",
            unit="requests/s",
            target=1,
            ours=lambda: ours.run(extent.seconds),
            reference=lambda: reference.run(extent.seconds),
            rounds=extent.rounds,
        )


def _append(url: URL, served: Served, extent: Extent) -> Comparison:
    clients = 16
    with (
        Writers(partial(_poster, served.address, served.key), clients) as ours,
        Writers(partial(record_one, url), 1, threads=clients) as reference,
    ):
        return compare(
            "http_append",
            unit="events/s",
            target=0.5,
            ours=lambda: ours.run(extent.seconds),
            reference=lambda: reference.run(extent.seconds),
            rounds=extent.rounds,
        )


@contextmanager
def _poster(address: tuple[str, int], key: str) -> Iterator[Write]:
    """Append one event a request."""
    connection = HTTPConnection(*address)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    own = histories()

    def post() -> int:
        calculation, version, event = next(own)
        body = b'[{"event_id":"%s","entity_id":"%s","event_type":"%s","data":%s}]' % (
            str(uuid7()).encode(),
            str(calculation).encode(),
            event.event_type.encode(),
            STATES[version],
        )
        connection.request("POST", "/rest/v1/rpc/append_events", body=body, headers=headers)
        reply = connection.getresponse()
        said = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{reply.status}: {said[:200]!r}")
        return 1

    yield post
    connection.close()
