"""Time from the append of an event to its arrival at clients of server-sent events."""

import asyncio
import itertools
import multiprocessing
import re
import statistics
import time
from typing import Any

from sqlalchemy import Engine

from benchmarks.web_servers import Served
from benchmarks.workload import TENANT, USER
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.append import append
from quantum_forge.schema.domains.discovery import ProjectCreated

CLIENTS = 100
READING = 10
"""Of the clients, those that look into what they get: all of them would keep a core busy."""

EVENTS_PER_SECOND = 1_000
TOGETHER = 10
"""Events of one append."""

LONGEST = 60.0
"""Seconds after the last append in which all have to arrive."""

_SENT = re.compile(rb'"name": ?"at (\d+)"')


def arrival(engine: Engine, served: Served, seconds: float) -> dict[str, float]:
    """Return how many ms pass from an append to its arrival, at 1,000 events a second.

    The time is taken before the append begins.
    """
    context = multiprocessing.get_context("fork")
    ready, expected, results = context.Event(), context.Queue(), context.Queue()
    readers = context.Process(
        target=_read, args=(served.address, served.key, ready, expected, results), daemon=True
    )
    readers.start()
    if not ready.wait(60):
        raise RuntimeError("the clients did not connect")
    began = time.monotonic()
    appended = _write(engine, seconds)
    elapsed = time.monotonic() - began
    expected.put(appended)
    found: list[float] = results.get(timeout=LONGEST + 30)
    readers.join()
    if not found:
        raise RuntimeError("no event arrived")
    cuts = statistics.quantiles(found, n=100)
    return {
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "clients": CLIENTS,
        "events_per_second": appended / elapsed,
        "arrived_share": len(found) / (appended * READING),
    }


def _write(engine: Engine, seconds: float) -> int:
    """Append at the rate that is wanted, or as fast as it goes."""
    began = time.monotonic()
    for number in itertools.count():
        due = began + number * TOGETHER / EVENTS_PER_SECOND
        if due > began + seconds:
            return number * TOGETHER
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic_ns()
        with engine.begin() as connection:
            append(
                connection,
                [
                    NewEvent(
                        tenant_id=TENANT,
                        entity_id=uuid7(),
                        event=ProjectCreated(name=f"at {now}"),
                        user_id=USER,
                    )
                    for _ in range(TOGETHER)
                ],
            )
    raise AssertionError


def _read(address: tuple[str, int], key: str, ready: Any, expected: Any, results: Any) -> None:
    results.put(asyncio.run(_follow_all(address, key, ready, expected)))


async def _follow_all(address: tuple[str, int], key: str, ready: Any, expected: Any) -> list[float]:
    """Follow by all clients until every event has come, or that takes too long."""
    delays: list[float] = []
    opened = [await _opened(address, key) for _ in range(CLIENTS)]
    tasks = [
        asyncio.create_task(_follow(reader, delays if number < READING else None))
        for number, (reader, _) in enumerate(opened)
    ]
    ready.set()
    events: int = await asyncio.to_thread(expected.get)
    end = time.monotonic() + LONGEST
    while len(delays) < events * READING and time.monotonic() < end:
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in opened:
        writer.close()
    return delays


async def _opened(
    address: tuple[str, int], key: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(
        f"GET /events?type=project_created HTTP/1.1\r\nHost: {address[0]}\r\n"
        f"Authorization: Bearer {key}\r\n\r\n".encode()
    )
    while b": connected" not in (said := await reader.read(65536)):
        if not said or b" 200 " not in said:
            raise RuntimeError(f"the stream did not begin: {said[:300]!r}")
    return reader, writer


async def _follow(reader: asyncio.StreamReader, delays: list[float] | None) -> None:
    rest = b""
    while part := await reader.read(2**18):
        if delays is None:
            continue
        now = time.monotonic_ns()
        whole, _, rest = (rest + part).rpartition(b"\n")
        delays += [(now - int(sent)) / 1e6 for sent in _SENT.findall(whole)]
