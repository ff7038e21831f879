"""Writers, a projector, a reader and a follower at work; and what must be true after any faults."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.projections.follow.following import follow
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.chemical_history import completed, created, failed, started
from tests.support.faults import LOST, Journal, Reader, again, assert_kept, is_loss, write

WRITERS = 4
DEADLINE = 5.0
"""Seconds for each answer of a server that may have fallen silent."""
SMILES = ["O", "C", "CC", "CCO"]


class AtWork:
    """Threads that write, fold and read until the block ends.

    computed: the events of calculations, in the order in which they were appended.

    Args:
        url: of the database, for writers and the projector.
        folder: of the journals; those that are there are gone on with.
        seed: of what the writers do.
        reading: where the reader and the follower read; `url` unless given.
        before: who worked on the same log before, with the same folder.
    """

    def __init__(
        self,
        url: URL,
        folder: Path,
        seed: int,
        *,
        reading: URL | None = None,
        before: "AtWork | None" = None,
    ) -> None:
        self.reader = Reader(_engine(reading or url))
        self.followed: list[int] = []
        self.computed: list[NewEvent] = [] if before is None else list(before.computed)
        self._paths = [folder / f"{number}.journal" for number in range(WRITERS)]
        self._stop, self._read = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(WRITERS + 3)
        self._engines = [_engine(each) for each in (url, url, reading or url)]
        for path in self._paths:
            path.touch()
        self._work: list[Future[None]] = [
            self._pool.submit(write, url, path, seed + number, self._stop.is_set, DEADLINE)
            for number, path in enumerate(self._paths)
        ]
        self._work.append(self._pool.submit(self._compute, self._engines[0]))
        projecting = (self._engines[1], PROJECTIONS.values(), self._stop)
        self._work.append(self._pool.submit(follow, *projecting))
        self._following = self._pool.submit(self._follow, self._engines[2])
        self._reading = self.reader.reading()

    def __enter__(self) -> Self:
        self._reading.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the writers and the projector; what they raised is raised."""
        self._stop.set()
        for each in self._work:
            each.result(120)

    def _compute(self, engine: Engine) -> None:
        """Calculations, each appended again and again until it is known to be in the log."""
        while not self._stop.is_set():
            smiles = SMILES[len(self.computed) % len(SMILES)]
            id_ = uuid7()
            end = failed if len(self.computed) % 5 == 0 else completed
            events = [created(smiles), started(id_, smiles), end(id_, smiles)]
            self.computed += events
            until = time.monotonic() + 60
            while True:
                try:
                    with engine.begin() as connection:
                        append(connection, events)
                    break
                except LOST as lost:
                    if not is_loss(lost) or (self._stop.is_set() and time.monotonic() > until):
                        raise
                    time.sleep(0.05)

    def _follow(self, engine: Engine) -> None:
        for each in subscribe(engine, stop=self._read, patience=None):
            self.followed.append(each.position)

    def proven(self, truth: Engine, settle: Callable[[], None] = lambda: None) -> str:
        """Assert every promise of a database on which nobody works any more; returns figures.

        truth: engine of the database, without faults. settle: called once all is written.
        """
        journals = [Journal(path) for path in self._paths]
        for journal in journals:
            for number, items in journal.unanswered():
                journal.write_ack(number, again(truth, items))
        catch_up(truth, PROJECTIONS.values())
        settle()
        self._reading.__exit__(None, None, None)
        computed = {str(event.event_id) for event in self.computed}
        figures = assert_kept(truth, journals, self.reader, computed)
        with truth.connect() as connection:
            positions = list(connection.scalars(text("SELECT id FROM event_logs ORDER BY id")))
            ids = set(connection.scalars(text("SELECT event_id::text FROM event_logs")))
        assert ids >= computed, "an event of a calculation is lost"
        until = time.monotonic() + 60
        while len(self.followed) < len(positions) and time.monotonic() < until:
            time.sleep(0.05)
        self._read.set()
        self._following.result(60)
        assert self.followed == positions, "a follower skipped or repeated events"
        for projection in PROJECTIONS.values():
            assert verify(truth, projection).agrees, projection.name
        for journal in journals:
            journal.close()
        self.close()
        return f"{figures} and by a follower; {len(PROJECTIONS)} tables agree"

    def close(self) -> None:
        """End what is left, without asking for anything."""
        self._stop.set()
        self._read.set()
        self._pool.shutdown()
        for engine in (*self._engines, self.reader.engine):
            engine.dispose()


def _engine(url: URL) -> Engine:
    return followed(make_engine(url), DEADLINE)
