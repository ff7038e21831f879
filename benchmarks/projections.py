"""The speed of projections: catching up, rebuilding, time travel; each against SQL by hand."""

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.engine import URL

from benchmarks import lag, peer, peer_projection
from benchmarks.by_hand import (
    CALCULATIONS_BATCH,
    MAINTENANCE,
    SELECTS,
    make_by_hand,
    require_same_rows,
)
from benchmarks.chemistry_log import events
from benchmarks.measure import Comparison, compare, say
from benchmarks.server import BenchmarkServer, connected
from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.log.load import EncodedEvent, load
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.projector import Advance, catch_up
from quantum_forge.projections.rebuild import rebuild, rebuild_all
from quantum_forge.projections.registry import PROJECTIONS

CALCULATIONS = PROJECTIONS["calculations"]
HAND = "calculations_by_hand"


class Extent(msgspec.Struct, frozen=True):
    """How many events each part has, and how long lag is measured, in s."""

    few: int
    catch_up: int
    peer: int
    rebuild: int
    many: int
    lag_seconds: float
    rounds: int


FULL = Extent(
    few=200_000,
    catch_up=300_000,
    peer=5_000,
    rebuild=1_000_000,
    many=2_000_000,
    lag_seconds=20,
    rounds=3,
)
QUICK = Extent(
    few=20_000,
    catch_up=30_000,
    peer=1_000,
    rebuild=60_000,
    many=100_000,
    lag_seconds=3,
    rounds=3,
)


def measure(server: BenchmarkServer, extent: Extent) -> tuple[list[Comparison], dict[str, Any]]:
    """Every comparison over one log that grows from part to part, then lag and memory."""
    with server.database() as url, connected(url) as engine:
        log = events(extent.many)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {HAND} (LIKE calculations INCLUDING ALL)")
        _grow(engine, log, extent.few)
        few = [_caught_up(engine) for _ in range(extent.rounds)]
        _grow(engine, log, extent.catch_up - extent.few)
        comparisons = [
            _catch_up(engine, extent.rounds),
            _catch_up_vs_peer(url, engine, extent),
        ]
        _grow(engine, log, extent.rebuild - extent.catch_up)
        comparisons += [
            _rebuild(engine, extent.rounds),
            _rebuild_all(engine, extent.rounds),
            _as_of(engine, extent.rounds),
        ]
        _grow(engine, log, extent.many - extent.rebuild)
        many = [_caught_up(engine) for _ in range(extent.rounds)]
        linear = Comparison("linear", "events/s", 0.85, many, few)
        memory = _memory(url, engine)
        comparisons.append(linear)
    with server.database() as url:
        behind = lag.measure(url, extent.lag_seconds)
    return comparisons, {"lag_ms": behind, "projector_memory_mb": memory}


def _grow(engine: Engine, log: Iterator[EncodedEvent], count: int) -> None:
    """Append the next events of the log, and let the planner know of them."""
    load(engine, itertools.islice(log, count))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE event_logs"))
        say(f"the log has {_head(connection):,} events")


def _head(connection: Connection) -> int:
    return safe_head(connection)


# catching up


def _forget(engine: Engine) -> None:
    """As if `calculations` had never been projected."""
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE calculations")
        connection.exec_driver_sql("DELETE FROM projection_checkpoints")


def _caught_up(engine: Engine, batches: list[int] | None = None) -> float:
    """Project `calculations` from the beginning; return how many of its events a second."""
    _forget(engine)
    ends: list[int] = []

    def note(advance: Advance) -> None:
        ends.append(advance.position)

    began = time.perf_counter()
    folded = catch_up(engine, [CALCULATIONS], on_advance=note)
    elapsed = time.perf_counter() - began
    if batches is not None:
        batches[:] = ends
    return folded / elapsed


def _catch_up(engine: Engine, rounds: int) -> Comparison:
    """Both sides fold the same batches into tables with the same keys and indexes."""
    batches: list[int] = []
    _caught_up(engine, batches)  # who goes second warms nothing that the first did not have
    folded = _count(engine)

    def by_hand() -> float:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {HAND}")
            connection.exec_driver_sql("DROP TABLE IF EXISTS checkpoint_by_hand")
            connection.exec_driver_sql("CREATE TABLE checkpoint_by_hand AS SELECT 0 AS position")
        began = time.perf_counter()
        after = 0
        for upto in list(batches):
            with engine.begin() as connection:
                connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")
                bounds = {"after": after, "upto": upto}
                connection.exec_driver_sql(CALCULATIONS_BATCH % bounds)
                connection.exec_driver_sql(f"UPDATE checkpoint_by_hand SET position = {upto}")
            after = upto
        return folded / (time.perf_counter() - began)

    comparison = compare(
        "catch_up",
        unit="events/s",
        target=0.8,
        ours=lambda: _caught_up(engine, batches),
        reference=by_hand,
        rounds=rounds,
    )
    require_same_rows(engine, "calculations", HAND)
    return comparison


def _catch_up_vs_peer(url: URL, engine: Engine, extent: Extent) -> Comparison:
    with peer.infrastructure(url, create_table=True) as factory:
        factory.application_recorder()
    with engine.begin() as connection:
        table = peer_projection.TABLE
        connection.exec_driver_sql(f"CREATE TABLE {table} (LIKE calculations INCLUDING ALL)")
        connection.exec_driver_sql(peer_projection.COPY_LOG, {"upto": 4 * extent.peer})

    def theirs() -> float:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {table}")
            connection.exec_driver_sql("DROP TABLE IF EXISTS notification_tracking")
        return peer_projection.project(url, extent.peer)

    comparison = compare(
        "catch_up_vs_peer",
        unit="events/s",
        target=70,
        ours=lambda: _caught_up(engine),
        reference=theirs,
        rounds=extent.rounds,
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}, stored_events, notification_tracking")
    return comparison


# rebuilding


def _rebuild(engine: Engine, rounds: int) -> Comparison:
    catch_up(engine, [CALCULATIONS])
    count = _count(engine)

    def ours() -> float:
        began = time.perf_counter()
        rebuild(engine, CALCULATIONS)
        return count / (time.perf_counter() - began)

    comparison = compare(
        "rebuild",
        unit="events/s",
        target=0.7,
        ours=ours,
        reference=lambda: count / make_by_hand(engine, "calculations"),
        rounds=rounds,
    )
    require_same_rows(engine, "calculations", HAND)
    return comparison


def _rebuild_all(engine: Engine, rounds: int) -> Comparison:
    """Ours are all projections; by hand, only the tables that the log's events feed."""
    catch_up(engine, PROJECTIONS.values())
    with engine.connect() as connection:
        count = _head(connection)

    def ours() -> float:
        began = time.perf_counter()
        rebuild_all(engine, PROJECTIONS.values())
        return count / (time.perf_counter() - began)

    comparison = compare(
        "rebuild_all",
        unit="events/s",
        target=0.7,
        ours=ours,
        reference=lambda: count / sum(make_by_hand(engine, name) for name in SELECTS),
        rounds=rounds,
    )
    for name in SELECTS:
        require_same_rows(engine, name, f"{name}_by_hand")
    return comparison


# time travel


def _as_of(engine: Engine, rounds: int) -> Comparison:
    """The rows at the middle of the log; counted, column by column, so that none is left out."""
    with engine.connect() as connection:
        middle = _head(connection) // 2
    past = as_of(CALCULATIONS, middle)
    ours = select(func.count(), *(func.count(column) for column in past.c)).select_from(past)
    names = [column.name for column in past.c]
    by_hand = (
        f"SELECT count(*), {', '.join(f'count({name})' for name in names)}"
        f" FROM ({SELECTS['calculations'] % {'after': 0, 'upto': middle}}) AS past"
        f" ({', '.join(names)})"
    )
    found: dict[str, tuple[Any, ...]] = {}

    def run(side: str) -> float:
        with engine.begin() as connection:
            connection.exec_driver_sql(MAINTENANCE)
            began = time.perf_counter()
            result = (
                connection.execute(ours) if side == "ours" else connection.exec_driver_sql(by_hand)
            )
            found[side] = tuple(result.one())
            return middle / (time.perf_counter() - began)

    comparison = compare(
        "as_of",
        unit="events/s",
        target=0.9,
        ours=partial(run, "ours"),
        reference=partial(run, "by hand"),
        rounds=rounds,
    )
    if found["ours"] != found["by hand"]:
        raise RuntimeError(f"the pasts differ: {found}")
    return comparison


# figures


def _memory(url: URL, engine: Engine) -> dict[str, float]:
    """The most memory that `qforge project --once` had, from an empty table to the head, in MB."""
    _forget(engine)
    environment = {**os.environ, "DATABASE_URL": libpq_url(url)}
    command = [sys.executable, "-m", "quantum_forge.cli.main", "project", "--once", "calculations"]
    peak = 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        done = threading.Event()
        while not done.wait(0.02) and process.poll() is None:
            peak = max(peak, _resident_mb(process.pid))
        if process.wait() != 0:
            raise RuntimeError("the projector failed")
    return {"peak": round(peak, 1)}


def _resident_mb(pid: int) -> float:
    """The high-water mark of a process's resident memory, as Linux keeps it; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return next(
            (int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line), 0.0
        )
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _count(engine: Engine) -> int:
    """How many events `calculations` has consumed."""
    with engine.connect() as connection:
        return read_checkpoints(connection)["calculations"].consumed
