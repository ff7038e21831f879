"""What was acknowledged is there exactly once, and no reader skips an event, whatever is killed."""

import multiprocessing
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.support.faults import (
    SOAK_SECONDS,
    Journal,
    Reader,
    assert_kept,
    kill_server,
    process,
    write,
)
from tests.support.killable import migrated_home

WRITERS = 16
PROCESSES = 4
SOAK = pytest.param(SOAK_SECONDS, marks=pytest.mark.soak)

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.support.faults"])


@pytest.fixture
def durable(bin_directory: Path) -> Iterator[Path]:
    """Return the home of a migrated server that keeps what it acknowledges, with fsync on."""
    home = migrated_home(bin_directory, "qforge-test-")
    with server_in(home, bin_directory):
        yield home
    shutil.rmtree(home)


def server_in(home: Path, bin_directory: Path) -> EmbeddedServer:
    """A server of a test's own, with fsync on."""
    return EmbeddedServer(home, bin_directory=bin_directory, settings={})


@pytest.mark.parametrize("seconds", [0.0, SOAK])
def test_killed_writers_lose_nothing_and_repeat_nothing(
    database: Database, tmp_path: Path, seconds: float
) -> None:
    """Kill -9 of writing processes at random instants, between the call and the answer, too."""
    chance = random.Random(7)
    kills = 0
    reader = Reader(database.engine)

    # Given: processes of writers, and a reader
    with reader.reading(), writing_processes(database, tmp_path) as processes:
        until = time.monotonic() + seconds

        # When: one after the other is killed, and another goes on with its journals
        while kills < 6 or time.monotonic() < until:
            time.sleep(chance.uniform(0.05, 0.5))
            number = chance.randrange(len(processes))
            kill(processes[number])
            kills += 1
            processes[number] = started(database, tmp_path, number, kills)

    # Then: nothing is lost, doubled or skipped
    print(f"{kills} kills of writers:", assert_kept(database.engine, journals_in(tmp_path), reader))
    assert kills >= 5
    assert len(reader.seen) > 100


@pytest.mark.parametrize("seconds", [0.0, SOAK])
def test_a_killed_server_keeps_what_it_acknowledged(
    durable: Path, bin_directory: Path, tmp_path: Path, seconds: float
) -> None:
    """Kill -9 of the server and all its processes under 16 writers; they and a reader go on."""
    chance = random.Random(11)
    kills = 0
    stop = threading.Event()
    server = server_in(durable, bin_directory)
    engine = make_engine(server.url())
    reader = Reader(engine)
    paths = [tmp_path / f"{n}.journal" for n in range(WRITERS)]

    # Given: writers and a reader
    with ThreadPoolExecutor(WRITERS) as threads, reader.reading():
        running = [
            threads.submit(write, server.url(), path, n, stop.is_set)
            for n, path in enumerate(paths)
        ]
        try:
            # When: the server is killed and started again, several times
            until = time.monotonic() + seconds
            while kills < 3 or time.monotonic() < until:
                seen = len(reader.seen)
                wait_until(partial(has_seen, reader, seen + 50))
                time.sleep(chance.uniform(0, 0.7))
                kill_server(server)
                kills += 1
                server_in(durable, bin_directory).start()
        finally:
            stop.set()
        for writer in running:
            writer.result(timeout=60)

    # Then: what was acknowledged is there, and a retry of the rest makes it so
    print(f"{kills} kills of the server:", assert_kept(engine, journals_in(tmp_path), reader))
    engine.dispose()
    assert kills >= 3
    assert len(reader.seen) > 100


@pytest.mark.parametrize("seconds", [1.5, SOAK])
def test_no_reader_skips_an_event_of_any_kind_of_writer(
    database: Database, tmp_path: Path, seconds: float
) -> None:
    """Quick, batched, slow, rolled-back and bulk-loading writers at once: none skipped."""
    stop = threading.Event()
    reader = Reader(database.engine)

    with ThreadPoolExecutor(WRITERS) as threads, reader.reading():
        running = [
            threads.submit(write, database.url, tmp_path / f"{n}.journal", n, stop.is_set)
            for n in range(WRITERS)
        ]
        time.sleep(seconds)
        stop.set()
        for writer in running:
            writer.result(timeout=60)

    print(assert_kept(database.engine, journals_in(tmp_path), reader))
    assert reader.seen[-1] > len(reader.seen), "nobody rolled back: the test proves too little"
    assert len(reader.seen) > 200


@contextmanager
def writing_processes(database: Database, directory: Path) -> Iterator[list[BaseProcess]]:
    """Processes at work; on leaving they are killed."""
    processes = [started(database, directory, n, 0) for n in range(PROCESSES)]
    try:
        yield processes
    finally:
        for each in processes:
            kill(each)


def started(database: Database, directory: Path, number: int, seed: int) -> BaseProcess:
    """A process of writers that goes on with the journals of its number."""
    paths = [directory / f"{number}-{n}.journal" for n in range(WRITERS // PROCESSES)]
    url = database.url.render_as_string(hide_password=False)
    each = context.Process(target=process, args=(url, paths, 1000 * seed + number))
    each.start()
    return each


def kill(each: BaseProcess) -> None:
    """SIGKILL."""
    each.kill()
    each.join()


def journals_in(directory: Path) -> list[Journal]:
    """What all writers wrote down."""
    return [Journal(path) for path in sorted(directory.glob("*.journal"))]


def has_seen(reader: Reader, events: int) -> bool:
    """Whether it has read so many."""
    return len(reader.seen) >= events


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return as soon as the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)
