"""Projectors as processes of their own, to be killed, paused and cut off; and what must be true."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.project.batch_size import BatchSize
from quantum_forge.projections.project.checkpoint import move_checkpoints, read_checkpoints
from quantum_forge.projections.project.log_range import Contents, count_events
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import BatchProgressed, BatchStarted
from tests.support.appending import TENANT
from tests.support.tables import table_rows

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.support.projecting", "tests.support.projecting_warm"])

BATCH_JOBS = PROJECTIONS["batch_jobs"]


def history(size: int) -> list[NewEvent]:
    """A batch and its progress."""
    entity = uuid4()
    events = [BatchStarted(name="b", parameters={}, total_count=size)]
    progress = [BatchProgressed(successful_count=n, failed_count=0) for n in range(size - 1)]
    return [
        NewEvent(tenant_id=TENANT, entity_id=entity, event=event) for event in [*events, *progress]
    ]


@contextmanager
def projecting(
    engine: Engine, *, batch: int = 7, pause_in: str = "", advanced: Event | None = None
) -> Iterator[BaseProcess]:
    """Follow the log in a process of its own, in small batches; it is killed with the block.

    pause_in: the projection in whose first batch it stops itself, rows written and not committed.
    advanced: set once it has committed something.
    """
    url = engine.url.render_as_string(hide_password=False)
    process = context.Process(target=_follow, args=(url, batch, pause_in, advanced))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def _follow(url: str, batch: int, pause_in: str, advanced: Event | None) -> None:
    engine = make_engine(make_url(url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "quantum_forge.projections.project.projector.BatchSize", lambda _: BatchSize(batch)
        )
        if pause_in:
            patch.setattr(
                "quantum_forge.projections.project.projector.move_checkpoints", _pausing(pause_in)
            )
        follow(
            engine,
            PROJECTIONS.values(),
            threading.Event(),
            on_advance=lambda _: None if advanced is None else advanced.set(),
        )


def _pausing(name: str) -> Callable[[Connection, Mapping[str, Contents], int], None]:
    """Moves checkpoints, but stops the process once before it moves this one."""
    paused = False

    def pause(connection: Connection, moved: Mapping[str, Contents], upto: int) -> None:
        nonlocal paused
        if not paused and moved.get(name, Contents()).events:
            paused = True
            os.kill(os.getpid(), signal.SIGSTOP)
        move_checkpoints(connection, moved, upto)

    return pause


def wait_until_stopped(process: BaseProcess) -> None:
    """Wait until a process has stopped itself."""
    stat = Path(f"/proc/{process.pid}/stat")
    deadline = time.monotonic() + 30
    while stat.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it did not stop"
        time.sleep(0.01)


def wait_until_projected(engine: Engine) -> None:
    """Wait until every checkpoint has reached the head of the log."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            head = safe_head(connection)
            checkpoints = read_checkpoints(connection)
        if len(checkpoints) == len(PROJECTIONS) and all(
            checkpoint.position == head for checkpoint in checkpoints.values()
        ):
            return
        time.sleep(0.02)
    pytest.fail("the projectors did not reach the head")


def assert_projected(engine: Engine) -> None:
    """Every table is what the reference says, every checkpoint what the log says."""
    with engine.connect() as connection:
        head = safe_head(connection)
        events = list(read_all(connection))
        checkpoints = read_checkpoints(connection)
        for projection in PROJECTIONS.values():
            checkpoint = checkpoints[projection.name]
            assert checkpoint.position == head
            assert (checkpoint.consumed, checkpoint.ids_hash) == count_events(
                connection, projection, 0, head
            )
            reference = Reference(projection)
            reference.apply_all(events)
            assert table_rows(connection, projection) == reference.rows
