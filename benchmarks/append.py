"""The log's speed: one event, many writers, batches, loading, reading; each against its limit."""

import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from benchmarks import peer
from benchmarks.measure import Comparison, Run, compare, say
from benchmarks.pgbench import append_script, insert_script, pgbench, plain_table
from benchmarks.psql import copy_rows, write_rows
from benchmarks.server import BenchmarkServer, connected
from benchmarks.workload import METADATA, TENANT, USER, encoded_events, new_events
from benchmarks.writers import Write, Writers
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.tables import event_logs


class Extent(msgspec.Struct, frozen=True):
    """How long each run takes: seconds of writing, events to read and to load, rounds.

    is_quick: only what has a target.
    """

    seconds: float
    events_read: int
    events_loaded: int
    rounds: int
    is_quick: bool = False


FULL = Extent(seconds=5, events_read=100_000, events_loaded=500_000, rounds=5)
QUICK = Extent(seconds=0.4, events_read=15_000, events_loaded=15_000, rounds=3, is_quick=True)


def measure(server: BenchmarkServer, extent: Extent) -> tuple[list[Comparison], dict[str, Any]]:
    """Every comparison of the log, and what an event takes on the disk."""
    comparisons = [
        *(_server(server, extent, clients) for clients in (1, 16)),
        _python(server, extent, "python_1", writers=1, target=3),
        _python(server, extent, "python_16", writers=16, target=5, as_threads=True),
        _python(server, extent, "batch_100", writers=8, batch=100, target=3),
        *(_rules(server, extent, threads) for threads in (1, 16)),
        _load(server, extent),
        *_reading(server, extent),
        _while_projecting(server, extent),
    ]
    if not extent.is_quick:
        comparisons.append(_python(server, extent, "python_16_processes", writers=16))
    return comparisons, {"bytes_per_event": _bytes_per_event(server)}


def _server(server: BenchmarkServer, extent: Extent, clients: int) -> Comparison:
    with server.database() as url, TemporaryDirectory() as directory:
        with connected(url) as engine, engine.begin() as connection:
            connection.exec_driver_sql(plain_table("plain"))
        ours, reference = Path(directory, "append.sql"), Path(directory, "insert.sql")
        ours.write_text(append_script())
        reference.write_text(insert_script("plain"))
        seconds = max(1, round(extent.seconds))  # pgbench knows whole ones only
        return compare(
            f"server_{clients}",
            unit="events/s",
            target=0.75,
            ours=lambda: pgbench(url, ours, clients=clients, seconds=seconds),
            reference=lambda: pgbench(url, reference, clients=clients, seconds=seconds),
            rounds=extent.rounds,
        )


def _python(
    server: BenchmarkServer,
    extent: Extent,
    key: str,
    *,
    writers: int,
    batch: int = 1,
    target: float | None = None,
    as_threads: bool = False,
) -> Comparison:
    """So many processes, or so many threads that share a recorder, and the peer's beside ours."""
    with server.database() as url:
        with peer.recorder(url, create_table=True):
            pass
        processes, threads = (1, writers) if as_threads else (writers, 1)
        with (
            Writers(partial(_writer, url, batch), processes, threads=threads) as ours,
            Writers(partial(peer.writer, url, batch), processes, threads=threads) as theirs,
        ):
            return compare(
                key,
                unit="events/s",
                target=target,
                ours=lambda: ours.run(extent.seconds),
                reference=lambda: theirs.run(extent.seconds),
                rounds=extent.rounds,
            )


def _rules(server: BenchmarkServer, extent: Extent, threads: int) -> Comparison:
    """Compare a recorder that checks the lifecycle with one that does not."""
    with (
        server.database() as url,
        Writers(partial(_writer, url, 1), 1, threads=threads) as ours,
        Writers(partial(_writer, url, 1, rules=False), 1, threads=threads) as theirs,
    ):
        return compare(
            f"rules_{threads}",
            unit="events/s",
            target=0.95,
            ours=lambda: ours.run(extent.seconds),
            reference=lambda: theirs.run(extent.seconds),
            rounds=extent.rounds,
        )


@contextmanager
def _writer(url: URL, batch: int, *, rules: bool = True) -> Iterator[Write]:
    """Record `batch` events a call, as the runner does: with rules, and a spool at hand.

    Each call is a transaction of its own unless threads share it.
    """
    own = threading.local()

    def write() -> int:
        if not hasattr(own, "events"):
            own.events = new_events()
        placed = recorder.record_all(*itertools.islice(own.events, batch))
        if placed is None:
            raise RuntimeError("the database was slower than the deadline")
        return batch

    author = Author(tenant_id=TENANT, user_id=USER, more=METADATA)
    with (
        TemporaryDirectory() as spool,
        connected(url) as engine,
        Recorder(engine, author, rules=rules, spool=Path(spool)) as recorder,
    ):
        yield write


def record_one(url: URL) -> AbstractContextManager[Write]:
    """Return what records one event a call, as the runner does."""
    return _writer(url, 1)


def _load(server: BenchmarkServer, extent: Extent) -> Comparison:
    with server.database() as url, connected(url) as engine, TemporaryDirectory() as directory:
        with engine.begin() as connection:
            connection.exec_driver_sql(plain_table("plain"))
        # Each round has events of its own, made before the clock runs, and both sides the same.
        rounds = [encoded_events(extent.events_loaded) for _ in range(extent.rounds)]
        files = [Path(directory, f"{number}.tsv") for number in range(extent.rounds)]
        for file, events in zip(files, rounds, strict=True):
            write_rows(file, events)
        own, theirs = iter(rounds), iter(files)

        def ours() -> int:
            return load(engine, next(own)).appended

        def reference() -> int:
            return copy_rows(url, "plain", next(theirs))

        return compare(
            "load",
            unit="events/s",
            target=0.8,
            ours=partial(_rate, ours, extent.events_loaded),
            reference=partial(_rate, reference, extent.events_loaded),
            rounds=extent.rounds,
        )


def _reading(server: BenchmarkServer, extent: Extent) -> list[Comparison]:
    with server.database() as url, connected(url) as engine:
        _fill(engine, extent.events_read)
        with peer.recorder(url, create_table=True) as recorder:
            with engine.begin() as connection:
                peer.copy_log(connection)

            def every(read: Callable[[], int]) -> Run:
                return partial(_rate, read, extent.events_read)

            return [
                compare(
                    "read_raw",
                    unit="events/s",
                    target=0.8,
                    ours=every(partial(_read_raw, engine)),
                    reference=every(partial(_fetch, url)),
                    rounds=extent.rounds,
                ),
                compare(
                    "read_typed",
                    unit="events/s",
                    target=2,
                    ours=every(partial(_read_typed, engine)),
                    reference=every(partial(peer.read_all, recorder)),
                    rounds=extent.rounds,
                ),
            ]


def _rate(work: Callable[[], int], expected: int) -> float:
    began = time.perf_counter()
    events = work()
    elapsed = time.perf_counter() - began
    if events != expected:
        raise RuntimeError(f"{events} events were there, not {expected}")
    return events / elapsed


def _fill(engine: Engine, count: int) -> None:
    events = new_events()
    for size in _parts(count):
        with engine.begin() as connection:
            append(connection, list(itertools.islice(events, size)))


def _parts(count: int, size: int = 1_000) -> Iterator[int]:
    while count > 0:
        yield min(size, count)
        count -= size


def _read_raw(engine: Engine) -> int:
    with engine.connect() as connection:
        return sum(1 for _ in read_all(connection))


def _read_typed(engine: Engine) -> int:
    with engine.connect() as connection:
        return sum(recorded.event is not None for recorded in read_all(connection))


def _fetch(url: URL) -> int:
    """What psycopg alone does: a server-side cursor over the same columns, rows as tuples."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in event_logs.columns)
    query = sql.SQL("SELECT {} FROM event_logs ORDER BY id").format(columns)
    with _psycopg(url) as connection, connection.cursor("every_event") as cursor:
        cursor.itersize = 1_000  # as many as read_all fetches at once
        cursor.execute(query)
        return sum(1 for _ in cursor)


def _psycopg(url: URL) -> psycopg.Connection:
    return psycopg.connect(
        dbname=url.database,
        host=str(url.query["host"]),
        port=str(url.query["port"]),
        user=url.username,
    )


def _while_projecting(server: BenchmarkServer, extent: Extent) -> Comparison:
    behind: list[int] = []
    with server.database() as url, Writers(partial(_writer, url, 1), 16) as writers:
        with connected(url) as engine:
            catch_up(engine, PROJECTIONS.values())

        def with_projectors() -> float:
            with _projectors(url):
                rate = writers.run(extent.seconds)
                behind.append(_behind(url))
            return rate

        def alone() -> float:
            return writers.run(extent.seconds)

        comparison = compare(
            "append_while_projecting",
            unit="events/s",
            target=0.7,
            ours=with_projectors,
            reference=alone,
            rounds=extent.rounds,
        )
    notes = {"events_behind_at_the_end": max(behind)}
    say(f"projectors were at most {max(behind):,} events behind when the writers stopped")
    return Comparison(
        comparison.key,
        comparison.unit,
        comparison.target,
        comparison.ours,
        comparison.reference,
        notes,
    )


@contextmanager
def _projectors(url: URL) -> Iterator[None]:
    """A process that keeps every projection up to date, from when it has caught up."""
    context = multiprocessing.get_context("fork")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=_project, args=(url, ready, stop), daemon=True)
    process.start()
    if not ready.wait(300):
        raise RuntimeError("the projectors did not catch up")
    try:
        yield
    finally:
        stop.set()
        process.join()


def _project(url: URL, ready: Any, stop: Any) -> None:
    stopped = threading.Event()
    with connected(url) as engine:
        catch_up(engine, PROJECTIONS.values())
        ready.set()
        follower = threading.Thread(target=follow, args=(engine, PROJECTIONS.values(), stopped))
        follower.start()
        stop.wait()
        stopped.set()
        follower.join()


def _behind(url: URL) -> int:
    with connected(url) as engine, engine.connect() as connection:
        positions = [checkpoint.position for checkpoint in read_checkpoints(connection).values()]
        return safe_head(connection) - min(positions)


def _bytes_per_event(server: BenchmarkServer) -> dict[str, float]:
    """Bytes on the disk of the log, its indexes and the heads, beside those of the JSON."""
    count = 10_000
    with server.database() as url, connected(url) as engine:
        _fill(engine, count)
        with engine.connect() as connection:
            sizes = connection.execute(
                text("""
                SELECT sum(pg_table_size(relid)) FILTER (WHERE isleaf) AS "table",
                       sum(pg_indexes_size(relid)) FILTER (WHERE isleaf) AS indexes,
                       pg_total_relation_size('event_streams') AS heads,
                       (SELECT sum(length(to_jsonb(e)::text)) FROM event_logs AS e) AS json
                  FROM pg_partition_tree('event_logs')
                """)
            ).one()
    each = {name: round(float(size) / count, 1) for name, size in sizes._mapping.items()}
    on_disk = each["table"] + each["indexes"] + each["heads"]
    return {**each, "on_disk": round(on_disk, 1), "ratio": round(on_disk / each["json"], 2)}
