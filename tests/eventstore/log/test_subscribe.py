"""Following the log: at once, until told to stop, across restarts; and reading one's own writes."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.errors import DatabaseUnavailable
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.installation.migrations import upgrade
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import EVERYTHING, Filter
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.follow.waiting import ProjectionBehind, wait_for
from quantum_forge.projections.project.projector import RebuildNeeded, catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import IN_A_HURRY
from tests.support.appending import OTHER_TENANT, append_and_commit, small_event

OTHERS = text("""SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND backend_type = 'client backend'
                    AND pid <> pg_backend_pid()""")


class Subscriber:
    """Follows the log in a thread."""

    def __init__(self, iterate: Callable[[threading.Event], Iterator[RecordedEvent]]) -> None:
        self.stop = threading.Event()
        self.arrived: queue.Queue[RecordedEvent] = queue.Queue()
        self.thread = ThreadPoolExecutor(1)
        self.ended: Future[None] = self.thread.submit(self._run, iterate)

    def next(self) -> RecordedEvent:
        """Return the next event, within a time that is long for a person."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.arrived.get(timeout=0.2)
            except queue.Empty:
                if self.ended.done():
                    self.ended.result()
                assert time.monotonic() < deadline, "no event came"

    def _run(self, iterate: Callable[[threading.Event], Iterator[RecordedEvent]]) -> None:
        for event in iterate(self.stop):
            self.arrived.put(event)


@contextmanager
def subscriber(
    engine: Engine, *, after: int = 0, where: Filter = EVERYTHING, listen: bool = True
) -> Iterator[Subscriber]:
    """A subscriber that is stopped at the end."""
    follower = Subscriber(
        lambda stop: subscribe(engine, after=after, where=where, stop=stop, listen=listen)
    )
    try:
        yield follower
    finally:
        follower.stop.set()
        follower.thread.shutdown()


@pytest.mark.parametrize("listen", [True, False])
def test_a_subscriber_catches_up_and_then_follows(engine: Engine, listen: bool) -> None:
    """Each event once, in order, from where it was, of those that are wanted."""
    placed = append_and_commit(engine, *(small_event(number=n) for n in range(5)))
    with subscriber(engine, after=placed[1].position, listen=listen) as follower:
        assert [follower.next().data["total_count"] for _ in range(3)] == [2, 3, 4]

        append_and_commit(engine, small_event(number=5), small_event(number=6))
        load(engine, [small_event(number=7)])

        assert [follower.next().data["total_count"] for _ in range(3)] == [5, 6, 7]
        assert follower.arrived.empty()


def test_only_what_matches_arrives(engine: Engine) -> None:
    """Others' events move the position along and are not seen."""
    with subscriber(engine, where=Filter(tenant_id=OTHER_TENANT)) as follower:
        append_and_commit(engine, *(small_event() for _ in range(3)))
        (wanted,) = append_and_commit(engine, small_event(tenant_id=OTHER_TENANT))
        assert follower.next().position == wanted.position


@pytest.mark.parametrize("listen", [True, False])
def test_an_announced_append_arrives_before_the_next_poll(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, listen: bool
) -> None:
    """A wake-up saves the wait, however long it is; without one, polling finds the event."""
    announce_appends(engine)
    if listen:
        monkeypatch.setattr("quantum_forge.eventstore.log.wakeups.POLL_SECONDS", 600)

    with subscriber(engine, after=head(engine), listen=listen) as follower:
        for pause in (0.0, 0.31, 0.37):
            time.sleep(pause)
            (placed,) = append_and_commit(engine, small_event())
            assert follower.next().position == placed.position


def head(engine: Engine) -> int:
    """Return the last position."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT last_assigned_position()")).scalar_one())


@pytest.mark.parametrize("listen", [True, False])
def test_a_waiting_subscriber_stops_at_once_and_closes_its_connection(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, listen: bool
) -> None:
    """Told from another thread, whatever it waits for, and long before it would look again."""
    monkeypatch.setattr("quantum_forge.eventstore.log.wakeups.POLL_SECONDS", 600)
    append_and_commit(engine, small_event())
    with subscriber(engine, listen=listen) as follower:
        follower.next()
        time.sleep(0.1)
        follower.stop.set()
        follower.ended.result(timeout=60)

    with engine.connect() as connection:
        for _ in range(100):
            if connection.execute(OTHERS).scalar_one() == 0:
                break
            connection.rollback()
            time.sleep(0.02)
        assert connection.execute(OTHERS).scalar_one() == 0


def test_a_subscriber_that_is_dropped_closes_its_connection(engine: Engine) -> None:
    """Whoever breaks out of the loop leaves nothing behind."""
    append_and_commit(engine, small_event(), small_event())

    events = subscribe(engine)
    assert [event.position for event in itertools.islice(events, 2)] == [1, 2]
    assert getattr(engine.pool, "checkedout")() == 0  # noqa: B009  # of QueuePool, not of Pool
    getattr(events, "close")()  # noqa: B009  # of the generator, not of the Iterator


def test_a_lost_connection_is_replaced_and_nothing_lost_or_repeated(engine: Engine) -> None:
    """The server ends the subscriber's backend again and again."""
    with subscriber(engine) as follower:
        for number in range(4):
            append_and_commit(engine, small_event(number=number))
            assert follower.next().data["total_count"] == number
            with engine.begin() as connection:
                connection.execute(
                    text("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                             WHERE datname = current_database() AND pid <> pg_backend_pid()""")
                )
        assert follower.arrived.empty()


def test_a_subscriber_survives_a_restart_of_the_server(bin_directory: Path, tmp_path: Path) -> None:
    """While it is down, it is waited for; then it goes on where it was."""
    home = tmp_path / "h"
    with EmbeddedServer(home, bin_directory=bin_directory, settings=IN_A_HURRY) as server:
        engine = make_engine(server.url("postgres"))
        upgrade(engine)
        append_and_commit(engine, small_event(number=1))
        with subscriber(engine) as follower:
            assert follower.next().data["total_count"] == 1
            server.close()
            time.sleep(0.5)
            assert not follower.ended.done()
            server.start()
            append_and_commit(engine, small_event(number=2))
            assert follower.next().data["total_count"] == 2
        engine.dispose()


def test_a_database_that_was_never_there_is_told_at_once(engine: Engine) -> None:
    """Only what was lost is waited for."""
    nowhere = make_engine(engine.url.set(database="nowhere"))
    with pytest.raises(DatabaseUnavailable):
        next(subscribe(nowhere))
    nowhere.dispose()


def test_waiting_for_a_projection_ends_when_it_has_the_event(engine: Engine) -> None:
    """Whoever appended reads what they wrote."""
    jobs = PROJECTIONS["batch_jobs"]
    (placed,) = append_and_commit(engine, small_event())

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait_for, engine, jobs, placed.position, timeout=30)
        time.sleep(0.05)
        assert not waiting.done()
        catch_up(engine, [jobs])
        waiting.result(timeout=30)

    wait_for(engine, jobs, placed.position, timeout=0)


def test_waiting_in_vain_says_how_far_behind_and_what_to_do(engine: Engine) -> None:
    """Nobody projects, or the definition has changed."""
    jobs = PROJECTIONS["batch_jobs"]
    catch_up(engine, [jobs])
    placed = append_and_commit(engine, small_event(), small_event())

    with pytest.raises(ProjectionBehind, match=r"2 positions behind.*qforge project") as raised:
        wait_for(engine, jobs, placed[-1].position, timeout=0.05)
    assert raised.value.reached == 0

    with engine.begin() as connection:
        connection.execute(text("UPDATE projection_checkpoints SET fingerprint = 'old'"))
    with pytest.raises(RebuildNeeded):
        wait_for(engine, jobs, placed[-1].position, timeout=5)
