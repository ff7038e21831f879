"""From an acknowledged append to its visible row, while a thousand events a second come in."""

import multiprocessing
import statistics
import threading
import time
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL

from benchmarks.server import connected
from benchmarks.workload import new_events
from quantum_forge.eventstore.log.appender import Appender
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS

RATE = 1_000
"""Events a second, of all writers together."""

WRITERS = 4
LOOK_EVERY = 0.001

_POSITION = text("SELECT position FROM projection_checkpoints WHERE projection = 'calculations'")


def measure(url: URL, seconds: float) -> dict[str, float]:
    """Percentiles in ms over every event, with all projections followed by one process.

    A row is visible when the checkpoint has passed its event, since both are committed at once.
    The time of looking, some milliseconds, counts against us.
    """
    context = multiprocessing.get_context("fork")
    ready, stop = context.Event(), context.Event()
    followers = context.Process(target=_follow, args=(url, ready, stop), daemon=True)
    followers.start()
    if not ready.wait(60):
        raise RuntimeError("the projector did not begin")
    acknowledged: Any = context.SimpleQueue()
    writers = [
        context.Process(target=_write, args=(url, seconds, acknowledged), daemon=True)
        for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    seen = _watch(url, writers, acknowledged)
    stop.set()
    followers.join()
    late = sorted(seen)
    cuts = statistics.quantiles(late, n=100)
    return {
        "p50": round(cuts[49], 1),
        "p90": round(cuts[89], 1),
        "p99": round(cuts[98], 1),
        "max": round(late[-1], 1),
        "events_per_second": round(len(late) / seconds),
    }


def _watch(url: URL, writers: list[Any], acknowledged: Any) -> list[float]:
    """How long each event took to be seen, in ms."""
    waiting: list[tuple[int, float]] = []
    late: list[float] = []
    received = 0
    finished = threading.Event()

    def collect() -> None:
        nonlocal received
        for _ in writers:
            waiting.extend(acknowledged.get())
        finished.set()

    passed: list[tuple[int, float]] = []
    collector = threading.Thread(target=collect)
    collector.start()
    deadline = time.monotonic() + 120
    with connected(url) as engine, engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        while time.monotonic() < deadline:
            position = connection.execute(_POSITION).scalar_one()
            if not passed or position > passed[-1][0]:
                passed.append((position, time.monotonic()))
            if finished.is_set() and position >= max(p for p, _ in waiting):
                break
            time.sleep(LOOK_EVERY)
        else:
            raise RuntimeError("the projector did not arrive")
    collector.join()
    steps = iter(passed)
    position, at = next(steps)
    for event, acknowledged_at in sorted(waiting):
        while position < event:
            position, at = next(steps)
        late.append(max(0.0, at - acknowledged_at) * 1000)
    return late


def _write(url: URL, seconds: float, acknowledged: Any) -> None:
    """Append at an even pace, and report each position with the time of its acknowledgement."""
    told: list[tuple[int, float]] = []
    events = new_events()
    with connected(url) as engine:
        announce_appends(engine)
        with Appender(engine) as appender:
            began = time.monotonic()
            for number in range(int(seconds * RATE / WRITERS)):
                time.sleep(max(0.0, began + number * WRITERS / RATE - time.monotonic()))
                placed = appender.append([next(events)])
                told.append((placed[0].position, time.monotonic()))
    acknowledged.put(told)


def _follow(url: URL, ready: Any, stop: Any) -> None:
    stopped = threading.Event()
    with connected(url) as engine:
        catch_up(engine, PROJECTIONS.values())
        follower = threading.Thread(target=follow, args=(engine, PROJECTIONS.values(), stopped))
        follower.start()
        ready.set()
        stop.wait()
        stopped.set()
        follower.join()
