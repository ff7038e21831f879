"""Bulk loading keeps every guarantee of append, in bounded memory, whatever kills it when."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import ConnectionLost, EventIdReused, EventRefused
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import EncodedEvent, Loaded, encoded, load
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.schema.domains.batches import BatchResumed
from tests.support.appending import (
    OTHER_TENANT,
    TENANT,
    append_and_commit,
    heads_disagreeing_with_the_log,
    small_event,
)

ROOT = UUID(int=5, version=4)


def numbered(count: int, *, streams: int) -> Iterator[NewEvent]:
    """Return events with ids of their own that are the same on every call."""
    for number in range(count):
        yield small_event(
            uuid5(ROOT, f"stream {number % streams}"),
            number,
            event_id=uuid5(ROOT, f"event {number} of {streams}"),
        )


def totals(engine: Engine) -> list[int]:
    """Return the numbers of the events in the log, in its order."""
    with engine.connect() as connection:
        return list(
            connection.scalars(
                text("SELECT (data->>'total_count')::int FROM event_logs ORDER BY id")
            )
        )


def assert_in_order(engine: Engine) -> None:
    """Fail unless every stream is dense and its head is its last version."""
    with engine.connect() as connection:
        assert heads_disagreeing_with_the_log(connection) == []


@pytest.mark.parametrize("streams", [1, 7, 1000])
def test_a_load_appends_all_in_the_given_order(engine: Engine, streams: int) -> None:
    """Chunks of any size end in dense versions and ascending positions."""
    seen: list[Loaded] = []

    done = load(engine, numbered(1000, streams=streams), chunk=300, on_chunk=seen.append)

    assert done == Loaded(appended=1000, repeated=0)
    assert [loaded.appended for loaded in seen] == [300, 600, 900, 1000]
    assert totals(engine) == list(range(1000))
    assert_in_order(engine)


def test_what_is_loaded_reads_back_equal(engine: Engine) -> None:
    """Envelope and payload arrive as if appended, whatever of them is left out."""
    full = NewEvent(
        tenant_id=OTHER_TENANT,
        entity_id=uuid4(),
        event=BatchResumed(total_count=3),
        user_id=uuid4(),
        occurred_at=datetime(1066, 10, 14, 9, 0, 0, 123456, UTC),
        metadata={"host": "n1", "ünï": ["☃", None, 1.5]},
    )
    timeless = small_event(user_id=uuid4())
    anonymous = small_event(occurred_at=datetime(2026, 11, 20, tzinfo=UTC))
    bare = small_event()

    load(engine, [full, timeless, anonymous, encoded(bare)])

    with engine.connect() as connection:
        for new, read in zip([full, timeless, anonymous, bare], read_all(connection), strict=True):
            assert read.stream == new.stream
            assert read.event_id == new.event_id
            assert read.event == new.event
            assert read.metadata == new.metadata
            assert read.user_id == new.user_id
            if new.occurred_at is not None:
                assert read.occurred_at == new.occurred_at
            else:
                assert read.occurred_at <= read.recorded_at


def test_loading_again_appends_nothing_and_loading_more_appends_the_rest(engine: Engine) -> None:
    """A repeated event is counted, wherever the chunks are cut."""
    events = list(numbered(500, streams=40))
    load(engine, events[:333], chunk=100)

    assert load(engine, events, chunk=77) == Loaded(appended=167, repeated=333)
    assert load(engine, events) == Loaded(appended=0, repeated=500)

    assert totals(engine) == list(range(500))
    assert_in_order(engine)


def test_an_event_that_comes_twice_in_a_load_is_appended_once(engine: Engine) -> None:
    """In one chunk or in two."""
    events = list(numbered(10, streams=3))
    given = [events[0], *events, events[4], events[4]]

    assert load(engine, given) == Loaded(appended=10, repeated=3)
    assert load(engine, [*given, *events], chunk=4) == Loaded(appended=0, repeated=23)

    assert totals(engine) == list(range(10))
    assert_in_order(engine)


@pytest.mark.parametrize("chunk", [1, 10])
def test_an_id_with_other_content_is_refused(engine: Engine, chunk: int) -> None:
    """Otherwise one of two events would be lost; chunks before it are kept."""
    first = small_event(number=1)
    other = small_event(first.entity_id, 2, event_id=first.event_id)

    with pytest.raises(EventIdReused):
        load(engine, [first, other], chunk=chunk)

    assert totals(engine) == ([1] if chunk == 1 else [])
    assert_in_order(engine)


def test_a_load_continues_streams_that_append_began(engine: Engine) -> None:
    """Both see each other's versions and event ids."""
    events = list(numbered(60, streams=5))
    append_and_commit(engine, *events[:20])

    assert load(engine, events[10:50]) == Loaded(appended=30, repeated=10)
    placed = append_and_commit(engine, *events[40:])

    assert [event.appended for event in placed] == [False] * 10 + [True] * 10
    assert totals(engine) == list(range(60))
    assert_in_order(engine)


def test_what_does_not_fit_is_refused_and_its_chunk_left_out(engine: Engine) -> None:
    """By Python before it is sent, by the database where only it can tell."""
    good = small_event()
    wrong = small_event(event_id=uuid4())
    bad_type = NewEvent(tenant_id=TENANT, entity_id=uuid4(), event=BatchResumed(total_count="x"))  # type: ignore[arg-type]  # what is tested
    bad_json = encoded(wrong)

    with pytest.raises(EventRefused, match="total_count"):
        load(engine, [good, bad_type])
    with pytest.raises(EventRefused, match="expected_version"):
        load(engine, [good, small_event(expected_version=0)])
    for data in (b"{", b'"text"', b'{"a": "\\u0000"}', b"\xff"):
        broken = EncodedEvent(
            event_id=bad_json.event_id,
            tenant_id=TENANT,
            entity_type="batch",
            entity_id=uuid4(),
            event_type="batch_resumed",
            data=data,
        )
        with pytest.raises(EventRefused):
            load(engine, [good, broken])

    assert totals(engine) == []
    assert load(engine, []) == Loaded()


def test_an_error_of_the_source_keeps_what_was_committed(engine: Engine) -> None:
    """A generator that fails ends the load; the chunk that it was in is left out."""

    def failing() -> Iterator[NewEvent]:
        yield from numbered(25, streams=2)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        load(engine, failing(), chunk=10)

    kept = len(totals(engine))
    assert kept in (10, 20)
    assert load(engine, numbered(30, streams=2)) == Loaded(appended=30 - kept, repeated=kept)
    assert totals(engine) == list(range(30))


def test_the_staging_table_of_somebody_else_is_refused(engine: Engine) -> None:
    """A look-alike could run its maker's code with the rights of the log's owner."""
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY VIEW load_staging AS SELECT 1 AS ord"))
        with pytest.raises(DBAPIError, match="prepare_load"):
            connection.execute(text("SELECT load_events()"))


def test_loads_and_appends_of_the_same_streams_go_on_together(engine: Engine) -> None:
    """Nobody deadlocks, versions stay dense, and no reader skips an event meanwhile."""
    streams = 20
    stop = threading.Event()
    seen: list[int] = []

    def append_some(seed: int) -> int:
        chance = random.Random(seed)
        done = 0
        while not stop.is_set():
            entities = [
                uuid5(ROOT, f"stream {chance.randrange(streams)}")
                for _ in range(chance.choice([1, 10]))
            ]
            append_and_commit(engine, *(small_event(entity) for entity in entities))
            done += len(entities)
        return done

    def read_on() -> None:
        with engine.connect() as connection:
            while not stop.is_set():
                after = seen[-1] if seen else 0
                seen.extend(event.position for event in read_all(connection, after=after))
                connection.rollback()

    def fresh(count: int) -> Iterator[NewEvent]:
        for number in range(count):
            yield small_event(uuid5(ROOT, f"stream {number * 7 % streams}"), number)

    with ThreadPoolExecutor(6) as threads:
        appenders = [threads.submit(append_some, seed) for seed in range(2)]
        reader = threads.submit(read_on)
        loads = [threads.submit(load, engine, fresh(2000), chunk=125) for _ in range(2)]
        try:
            loaded = sum(each.result(60).appended for each in loads)
        finally:
            stop.set()
        appended = sum(each.result(60) for each in appenders)
        reader.result(60)

    assert loaded == 4000
    with engine.connect() as connection:
        seen.extend(event.position for event in read_all(connection, after=seen[-1]))
        committed = list(connection.scalars(text("SELECT id FROM event_logs ORDER BY id")))
    assert seen == committed
    assert len(committed) == loaded + appended
    assert_in_order(engine)


LOADER = """
import sys
from sqlalchemy import make_url
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.load import load
from tests.eventstore.log.test_load import numbered
engine = make_engine(make_url(sys.argv[1]))
load(engine, numbered(int(sys.argv[2]), streams=int(sys.argv[3])), chunk=500,
     on_chunk=lambda done: print(done.appended, flush=True))
print("end", flush=True)
"""


@pytest.mark.parametrize("streams", [3, 4000])
def test_a_load_killed_at_any_instant_is_completed_by_the_next(
    database: Database, streams: int
) -> None:
    """Killed again and again, then run to its end: everything is there once, in order."""
    count = 10_000
    chance = random.Random(streams)
    command = [
        sys.executable,
        "-c",
        LOADER,
        database.url.render_as_string(hide_password=False),
        str(count),
        str(streams),
    ]
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.25))
        process.kill()
        acknowledged = [line for line in process.communicate()[0].split() if line.isdigit()]
        kills += process.returncode == -signal.SIGKILL
        assert len(totals(database.engine)) >= int(acknowledged[-1] if acknowledged else 0)
        assert_in_order(database.engine)
    before = len(totals(database.engine))

    done = load(database.engine, numbered(count, streams=streams))

    assert kills
    assert done == Loaded(appended=count - before, repeated=before)
    assert totals(database.engine) == list(range(count))
    assert_in_order(database.engine)


def test_a_lost_connection_is_told_and_the_next_load_completes_it(database: Database) -> None:
    """The server ends the backends in the middle."""
    killer = make_engine(database.url)

    def kill(_: Loaded) -> None:
        with killer.begin() as connection:
            connection.execute(
                text("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND pid <> pg_backend_pid()""")
            )

    with pytest.raises((ConnectionLost, DBAPIError)):
        load(database.engine, numbered(5000, streams=10), chunk=500, on_chunk=kill)
    killer.dispose()

    done = load(database.engine, numbered(5000, streams=10))
    assert done.repeated >= 500
    assert totals(database.engine) == list(range(5000))
    assert_in_order(database.engine)


def test_ctrl_c_ends_a_load_that_waits(engine: Engine) -> None:
    """What waits for another transaction is given up at once; its chunk is not appended."""
    (first,) = list(numbered(1, streams=1))

    def interrupted_later() -> Iterator[NewEvent]:
        yield from numbered(10, streams=1)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        yield from numbered(20, streams=1)

    with engine.connect() as slow:
        append(slow, [small_event(first.entity_id)])
        with pytest.raises(KeyboardInterrupt):
            load(engine, interrupted_later(), chunk=10)
        slow.rollback()

    assert totals(engine) == []


def test_memory_does_not_grow_with_the_number_of_events(engine: Engine) -> None:
    """Five times the events take no more of it."""

    def peak(count: int) -> int:
        events = (
            EncodedEvent(
                event_id=uuid4(),
                tenant_id=TENANT,
                entity_type="batch",
                entity_id=uuid4(),
                event_type="batch_resumed",
                data=b'{"total_count": 1, "text": "' + b"x" * 200 + b'"}',
            )
            for _ in range(count)
        )
        tracemalloc.start()
        try:
            load(engine, events, chunk=1000)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(10_000) < peak(2000) + 250_000
