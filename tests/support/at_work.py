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
from quantum_forge.eventstore.log.place import LogDiverged
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
        self.followed: list[tuple[int, str]] = []
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
            self.followed.append((each.position, str(each.event_id)))

    def proven(
        self, truth: Engine, settle: Callable[[], None] = lambda: None, *, loses: bool = False
    ) -> str:
        """Assert every promise of a database on which nobody works any more; returns figures.

        truth: engine of the database, without faults. settle: called once all is written.
        loses: events that were acknowledged may be lost; they are appended again, and a follower
        that has passed one on must have been told.
        """
        journals = [Journal(path) for path in self._paths]
        lost = self._replaced(truth, journals) if loses else 0
        told = self._told(truth) if loses else False
        for journal in journals:
            for number, items in journal.unanswered():
                journal.write_ack(number, again(truth, items))
        catch_up(truth, PROJECTIONS.values())
        settle()
        self._reading.__exit__(None, None, None)
        if loses:
            # It remembers no more than a position, and cannot know: it begins anew.
            self.reader.seen.clear()
        computed = {str(event.event_id) for event in self.computed}
        figures = assert_kept(truth, journals, self.reader, computed)
        places = places_in(truth)
        assert {id_ for _, id_ in places} >= computed, "an event of a calculation is lost"
        until = time.monotonic() + 60
        while len(self.followed) < len(places) and not told and time.monotonic() < until:
            time.sleep(0.05)
        self._read.set()
        if not told:
            self._following.result(60)
            assert self.followed == places, "a follower skipped or repeated events"
        for projection in PROJECTIONS.values():
            assert verify(truth, projection).agrees, projection.name
        for journal in journals:
            journal.close()
        self.close()
        ended = "not by a follower, who was told" if told else "by a follower"
        again_ = f"; {lost} acknowledged ones lost and appended again" if loses else ""
        return f"{figures} and {ended}; {len(PROJECTIONS)} tables agree{again_}"

    def _replaced(self, truth: Engine, journals: list[Journal]) -> int:
        """Append again what was acknowledged and is lost; returns how many events."""
        there = {id_ for _, id_ in places_in(truth)}
        lost = 0
        for journal in journals:
            for number in list(journal.acks):
                items = journal.tries[number]
                if missing := [item for item in items if item[0] not in there]:
                    lost += len(missing)
                    again(truth, items)
                    journal.write_ack(number, None)
        if missing_events := [each for each in self.computed if str(each.event_id) not in there]:
            lost += len(missing_events)
            with truth.begin() as connection:
                append(connection, missing_events)
        return lost

    def _told(self, truth: Engine) -> bool:
        """Whether the follower ended because what it has passed on is lost, as it then must."""
        passed_on_lost = set(self.followed) - set(places_in(truth))
        if not passed_on_lost:
            return False
        try:
            self._following.result(60)
        except LogDiverged:
            return True
        raise AssertionError(f"a follower was not told of {len(passed_on_lost)} lost events")

    def close(self) -> None:
        """End what is left, without asking for anything."""
        self._stop.set()
        self._read.set()
        self._pool.shutdown()
        for engine in (*self._engines, self.reader.engine):
            engine.dispose()


def places_in(engine: Engine) -> list[tuple[int, str]]:
    """Position and id of every event, in order."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, event_id::text FROM event_logs ORDER BY id"))
        return [(position, id_) for position, id_ in rows]


def _engine(url: URL) -> Engine:
    return followed(make_engine(url), DEADLINE)
