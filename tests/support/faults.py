"""Writers that write down what they try and what was acknowledged, so that they can be killed.

A journal is a file per writer thread. A line is written before each call with its events, and one
after its commit with their places; a writer that starts again first repeats what has no answer.
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Position
from quantum_forge.eventstore.base.errors import CancelledByReplay, DatabaseUnavailable
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.availability.deadline import followed
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.support.appending import append_and_commit, heads_disagreeing_with_the_log, small_event

SOAK_SECONDS = float(os.environ.get("QFORGE_SOAK_SECONDS", "120"))
"""How long each test that is marked `soak` keeps at it."""

SHARED = [UUID(int=number, version=4) for number in range(1000, 1006)]
"""Streams that all writers append to."""

LOST = (DatabaseUnavailable, DBAPIError)
"""After these nobody knows whether the transaction was committed."""

Item = tuple[str, str, int]
"""An event in a journal: its id, its entity, its number."""


def as_event(item: Item) -> NewEvent:
    """The same event, however often it is made anew."""
    event_id, entity_id, number = item
    return small_event(UUID(entity_id), number, event_id=UUID(event_id))


class Journal:
    """What one writer tried, and what it was told; survives its kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tries: dict[int, list[Item]] = {}
        self.acks: dict[int, list[tuple[str, int, int, bool]] | None] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        for line in path.read_bytes().split(b"\n")[:-1]:
            kind, number, content = json.loads(line)
            into: dict[int, Any] = self.tries if kind == "try" else self.acks
            into[number] = content

    def close(self) -> None:
        os.close(self._file)

    def unanswered(self) -> Iterator[tuple[int, list[Item]]]:
        """The calls of which it is not known what became of them."""
        for number, items in list(self.tries.items()):
            if number not in self.acks:
                yield number, items

    def write_try(self, items: list[Item]) -> int:
        number = len(self.tries)
        self.tries[number] = items
        self._write(["try", number, items])
        return number

    def write_ack(self, number: int, placed: Sequence[Placed] | None) -> None:
        """None: all are in the log, at places not told."""
        told = None
        if placed is not None:
            told = [
                (str(each.event_id), int(each.position), each.version, each.appended)
                for each in placed
            ]
        self.acks[number] = told
        self._write(["ack", number, told])

    def _write(self, line: list[Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


def commit_calls(engine: Engine, calls: Sequence[Sequence[Item]], pause: float) -> list[Placed]:
    """Several appends in one transaction, with a pause before each end."""
    placed: list[Placed] = []
    with engine.connect() as connection:
        for items in calls:
            placed += append(connection, [as_event(item) for item in items])
            time.sleep(pause)
        connection.commit()
    return placed


def bulk(engine: Engine, items: Sequence[Item]) -> None:
    """The same events by COPY, in three transactions."""
    load(engine, map(as_event, items), chunk=max(1, len(items) // 3))


def write(
    url: URL, path: Path, seed: int, stop: Callable[[], bool], deadline: float = 60.0
) -> None:
    """Append in every way there is until told to stop, repeating whatever failed.

    deadline: in s, for each answer of the server.
    """
    engine = followed(make_engine(url), deadline)
    journal = Journal(path)
    chance = random.Random(seed)
    try:
        for number, items in journal.unanswered():
            until_answered(engine, journal, number, items, lambda items: again(engine, items), stop)
        while not stop():
            kind = chance.choices(
                ["quick", "batch", "slow", "rolled back", "bulk"], [8, 3, 2, 2, 1]
            )[0]
            entities = [*SHARED, *(uuid7() for _ in SHARED)]
            size = {"quick": 1, "batch": 20, "slow": 3, "rolled back": 5, "bulk": 90}[kind]
            items = [
                (str(uuid7()), str(chance.choice(entities)), chance.randrange(1000))
                for _ in range(size)
            ]
            if kind == "rolled back":
                roll_back(engine, items, chance)
                continue
            number = journal.write_try(items)
            pause = chance.uniform(0, 0.03) if kind == "slow" else 0.0

            def call(
                items: Sequence[Item], kind: str = kind, pause: float = pause
            ) -> list[Placed] | None:
                if kind == "bulk":
                    bulk(engine, items)
                    return None
                calls = [[item] for item in items] if kind == "slow" else [items]
                return commit_calls(engine, calls, pause)

            until_answered(engine, journal, number, items, call, stop)
    finally:
        journal.close()
        engine.dispose()


def until_answered(
    engine: Engine,
    journal: Journal,
    number: int,
    items: Sequence[Item],
    call: Callable[[Sequence[Item]], list[Placed] | None],
    stop: Callable[[], bool],
) -> None:
    """Repeat a call until it is known to have succeeded, or the time is up."""
    while True:
        try:
            journal.write_ack(number, call(items))
        except LOST as error:
            if not is_loss(error):
                raise
            if stop():
                return
            time.sleep(0.05)
        else:
            return
        call = lambda items: again(engine, items)  # noqa: E731  # as a new process would


def again(engine: Engine, items: Sequence[Item]) -> list[Placed]:
    """The retry of a call of any kind: the same ids."""
    return commit_calls(engine, [items], 0.0)


def is_loss(error: Exception) -> bool:
    """Whether an error says that the server went away, rather than that we did something wrong."""
    if isinstance(error, DatabaseUnavailable):
        return True
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    # None: the connection broke. 57P0x: it is going down. 40P01: a deadlock between two
    # transactions of several appends each, of which the server has rolled one back. 57014, 55P03,
    # 25P03, 25P04: a timeout of a statement, a lock, an idle or a long transaction.
    timeouts = ("57014", "55P03", "25P03", "25P04")
    return state is None or state.startswith("57P0") or state in ("40P01", *timeouts)


def roll_back(engine: Engine, items: Sequence[Item], chance: random.Random) -> None:
    """Leave a gap."""
    try:
        with engine.connect() as connection:
            append(connection, [as_event(item) for item in items])
            time.sleep(chance.uniform(0, 0.01))
            connection.rollback()
    except LOST as error:
        if not is_loss(error):
            raise


def kill_server(server: EmbeddedServer) -> None:
    """SIGKILL to the postmaster and all its children, as when the machine's memory runs out."""
    postmaster = int((server.data / "postmaster.pid").read_text().split("\n")[0])
    family = [postmaster, *children(postmaster)]
    for number in family:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def hold_wal_writer(server: EmbeddedServer) -> None:
    """Stop the process that writes the WAL of what is not committed, until the server is killed."""
    postmaster = int((server.data / "postmaster.pid").read_text().split("\n")[0])
    for number in children(postmaster):
        if b"walwriter" in Path(f"/proc/{number}/cmdline").read_bytes():
            os.kill(number, signal.SIGSTOP)


def end_in_a_gap(server: EmbeddedServer, engine: Engine) -> tuple[Placed, Position]:
    """Append an event, and behind it a rolled-back gap that nothing has made durable yet.

    Returns:
        The event, and the safe head at the end of the gap.
    """
    (first,) = append_and_commit(engine, small_event())
    hold_wal_writer(server)
    with engine.connect() as connection:
        append(connection, [small_event() for _ in range(60)])
        connection.rollback()
        return first, safe_head(connection)


def children(parent: int) -> list[int]:
    """The processes whose parent it is."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def process(url: str, paths: list[Path], seed: int) -> None:
    """The main function of a process of writers, one thread for each journal; ended by a kill."""
    threads = [
        threading.Thread(target=write, args=(make_url(url), path, seed + n, lambda: False))
        for n, path in enumerate(paths)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Reader:
    """Reads on from the last event that it saw, in a thread, whatever happens to the server."""

    def __init__(self, engine: Engine) -> None:
        self.seen: list[int] = []
        self.engine = engine
        self.errors = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def catch_up(self) -> None:
        with self.engine.connect() as connection:
            for event in read_all(connection, after=self.seen[-1] if self.seen else 0):
                self.seen.append(event.position)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.catch_up()
            except (*LOST, CancelledByReplay):
                self.errors += 1
            self._stop.wait(0.01)

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Read at the same time; on leaving, everything that is there has been seen."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)
        self.catch_up()


def assert_kept(
    engine: Engine, journals: Sequence[Journal], reader: Reader, others: Collection[str] = ()
) -> str:
    """Every promise of the log after a fault; repeats what is unanswered, and looks again.

    others: ids of events in the log that are in no journal.
    Returns how much was proved.
    """
    acknowledged = 0
    for repeated in (False, True):
        with engine.connect() as connection:
            log: dict[str, list[tuple[int, int]]] = {}
            query = text("SELECT event_id::text, id, version FROM event_logs ORDER BY id")
            for event_id, position, version in connection.execute(query):
                log.setdefault(event_id, []).append((position, version))
            assert heads_disagreeing_with_the_log(connection) == []
        tried = {
            item[0] for journal in journals for items in journal.tries.values() for item in items
        }
        assert log.keys() - set(others) <= tried, (
            "an event that was rolled back, or that nobody appended"
        )
        assert all(len(places) == 1 for places in log.values()), "an event is there twice"
        if repeated:
            assert log.keys() - set(others) == tried
        acknowledged = 0
        for journal in journals:
            for number, told in journal.acks.items():
                ids = [item[0] for item in journal.tries[number]]
                assert log.keys() >= set(ids), "an acknowledged event is lost"
                acknowledged += len(ids)
                for event_id, position, version, _ in told or ():
                    assert log[event_id] == [(position, version)]
        for journal in journals:
            for number, items in journal.unanswered():
                journal.write_ack(number, again(engine, items))
        reader.catch_up()
    with engine.connect() as connection:
        positions = connection.scalars(text("SELECT id FROM event_logs ORDER BY id")).all()
    assert reader.seen == positions, "a reader skipped or repeated events"
    answers = [told for journal in journals for told in journal.acks.values() if told is not None]
    again_there = sum(not appended for told in answers for *_, appended in told)
    return (
        f"{acknowledged} events acknowledged, {again_there} of them to a retry that found them "
        f"committed; {len(positions)} read in order"
    )
