"""No reader skips an event, whatever writers do, and without holding anybody up."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import UnsafeIsolation
from quantum_forge.eventstore.log.append import append, translated_errors
from quantum_forge.eventstore.log.read import EVERYTHING, matching, read_all, safe_head
from quantum_forge.schema.tables import event_logs
from tests.support.appending import append_and_commit, positions_in_log, small_event

WRITERS = 16
Reader = Callable[[Connection, int], list[int]]


def up_to_the_safe_head(connection: Connection, after: int) -> list[int]:
    """Read as everybody does."""
    return [event.position for event in read_all(connection, after=after)]


def without_the_floor(connection: Connection, after: int) -> list[int]:
    """Read as a reader without the protocol does: whatever has a position and is visible."""
    assigned = last_assigned(connection)
    query = matching(EVERYTHING).where(event_logs.c.id > after, event_logs.c.id <= assigned)
    return list(connection.scalars(query.order_by(event_logs.c.id)))


def last_assigned(connection: Connection) -> int:
    """The highest position that any append has taken."""
    return int(connection.execute(text("SELECT last_assigned_position()")).scalar_one())


def test_no_reader_skips_an_event_of_slow_failing_and_repeating_writers(engine: Engine) -> None:
    """A reader that remembers only its last position sees each committed event once, in order."""
    # When: many writers append while one reader goes on from where it was
    seen = read_while_writing(engine, up_to_the_safe_head, seconds=4.0)

    # Then: it has seen exactly what was committed, ascending
    with engine.connect() as connection:
        committed = positions_in_log(connection)
    assert len(committed) > 200
    assert committed[-1] > len(committed), "nobody rolled back: the test proves too little"
    assert seen == committed


def test_a_reader_without_the_floor_does_skip(engine: Engine) -> None:
    """The test above can fail: the same writers defeat a reader that trusts what it sees."""
    seen = read_while_writing(engine, without_the_floor, seconds=1.5)

    with engine.connect() as connection:
        committed = positions_in_log(connection)
    assert set(committed) - set(seen)


def test_a_rolled_back_append_holds_nobody_up(engine: Engine) -> None:
    """The gap that it leaves is passed over at once."""
    # Given: a gap between two events
    (before,) = append_and_commit(engine, small_event())
    with engine.connect() as connection:
        append(connection, [small_event(), small_event()])
        connection.rollback()
    (after,) = append_and_commit(engine, small_event())

    # When: the log is read
    with engine.connect() as connection:
        positions = up_to_the_safe_head(connection, 0)
        head = safe_head(connection)

    # Then: the gap is there, and the head lies behind it
    assert after.position == before.position + 3
    assert positions == [before.position, after.position]
    assert head == after.position


def test_a_gap_at_the_end_holds_nobody_up(engine: Engine) -> None:
    """The head counts positions that will never exist as done."""
    append_and_commit(engine, small_event())
    with engine.connect() as connection:
        append(connection, [small_event()])
        connection.rollback()

    with engine.connect() as connection:
        assert safe_head(connection) == last_assigned(connection) == 2


def test_a_slow_writer_holds_the_head_exactly_at_its_floor(engine: Engine) -> None:
    """Nothing above what was assigned when it began is read, everything below is."""
    # Given: a log, and a writer that has appended but not committed
    append_and_commit(engine, *(small_event() for _ in range(3)))
    with engine.connect() as slow, engine.connect() as reader:
        floor = last_assigned(reader)
        (pending,) = append(slow, [small_event()])

        # When: another one commits after it
        (later,) = append_and_commit(engine, small_event())

        # Then: readers stop at the floor, until the slow one ends
        assert pending.position < later.position
        assert safe_head(reader) == floor
        assert up_to_the_safe_head(reader, floor) == []
        slow.commit()
        assert safe_head(reader) == later.position
        assert up_to_the_safe_head(reader, floor) == [pending.position, later.position]


def test_the_floor_of_a_transaction_is_that_of_its_first_append(engine: Engine) -> None:
    """A second append does not lift it: the first one's events are still pending."""
    with engine.connect() as slow, engine.connect() as reader:
        append(slow, [small_event()])
        append_and_commit(engine, small_event())
        append(slow, [small_event()])
        append_and_commit(engine, small_event())
        assert safe_head(reader) == 0
        slow.rollback()
        assert safe_head(reader) == 4


def test_the_lowest_of_several_floors_counts(engine: Engine) -> None:
    """One slow writer is enough, and the others' ends do not lift its floor."""
    with engine.connect() as first, engine.connect() as second, engine.connect() as reader:
        append(first, [small_event()])
        append(second, [small_event()])
        assert safe_head(reader) == 0
        second.commit()
        assert safe_head(reader) == 0
        first.commit()
        assert safe_head(reader) == 2


def test_a_refused_append_releases_its_floor_with_its_transaction(engine: Engine) -> None:
    """Not even an error of ours leaves something behind that holds readers up."""
    with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT append_events('[{}]')"))
        connection.rollback()
    append_and_commit(engine, small_event())
    with engine.connect() as connection:
        assert safe_head(connection) == last_assigned(connection)


def test_locks_of_others_do_not_move_the_head(engine: Engine) -> None:
    """Other programs use advisory locks too, with one key or two, and in other databases."""
    (placed,) = append_and_commit(engine, small_event())
    with engine.connect() as other, engine.connect() as reader:
        for key in (0, 1, 5, -1, 2**62, -(2**63)):
            other.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": key})
        # The same 64 bits as a floor of 0, but as a pair of keys.
        high, low = 0x51460000, 0
        other.execute(text("SELECT pg_advisory_lock(:a, :b)"), {"a": high, "b": low})
        assert safe_head(reader) == placed.position
        other.execute(text("SELECT pg_advisory_unlock_all()"))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_reading_in_an_old_snapshot_is_refused(engine: Engine, level: str) -> None:
    """A transaction that cannot see what was committed meanwhile would skip it."""
    append_and_commit(engine, small_event())
    with engine.connect().execution_options(isolation_level=level) as connection:
        with pytest.raises(UnsafeIsolation):
            safe_head(connection)
        connection.rollback()
        with pytest.raises(UnsafeIsolation):
            list(read_all(connection))


def test_a_log_without_events_is_read_to_its_end(connection: Connection) -> None:
    """The head of an empty log is 0, and nothing is read."""
    assert safe_head(connection) == 0
    assert up_to_the_safe_head(connection, 0) == []


def test_the_sequence_keeps_no_values_back(connection: Connection) -> None:
    """Cached values lie below last_value: with them, the floor would be a lie."""
    with translated_errors():
        cache = connection.execute(
            text("SELECT seqcache FROM pg_sequence WHERE seqrelid = 'event_logs_id_seq'::regclass")
        ).scalar_one()
    assert cache == 1


def read_while_writing(engine: Engine, read: Reader, *, seconds: float) -> list[int]:
    """The positions that a reader sees in the order in which it sees them, while many write."""
    seen: list[int] = []
    with writers(engine, seconds), engine.connect() as connection:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            seen += read(connection, seen[-1] if seen else 0)
            connection.rollback()
    with engine.connect() as connection:
        seen += read(connection, seen[-1] if seen else 0)
    return seen


@contextmanager
def writers(engine: Engine, seconds: float) -> Iterator[None]:
    """WRITERS writers of four kinds at work; on leaving, all have ended, and none with an error."""
    stop = threading.Event()
    kinds = [quick, slow, rolling_back, in_several_appends]
    with ThreadPoolExecutor(WRITERS) as threads:
        running = [
            threads.submit(write_until, engine, stop, kinds[n % len(kinds)], random.Random(n))
            for n in range(WRITERS)
        ]
        try:
            yield
        finally:
            stop.set()
        for writer in running:
            writer.result(timeout=seconds + 30)


def write_until(
    engine: Engine,
    stop: threading.Event,
    write: Callable[[Connection, random.Random], None],
    chance: random.Random,
) -> None:
    """Run transactions of one kind until told to stop."""
    with engine.connect() as connection:
        while not stop.is_set():
            write(connection, chance)
            connection.rollback()
            time.sleep(chance.uniform(0, 0.004))


def quick(connection: Connection, chance: random.Random) -> None:
    append(connection, [small_event() for _ in range(chance.choice([1, 1, 1, 20]))])
    connection.commit()


def slow(connection: Connection, chance: random.Random) -> None:
    append(connection, [small_event()])
    time.sleep(chance.uniform(0, 0.2))
    connection.commit()


def rolling_back(connection: Connection, chance: random.Random) -> None:
    append(connection, [small_event(), small_event()])
    time.sleep(chance.uniform(0, 0.02))
    connection.rollback()


def in_several_appends(connection: Connection, chance: random.Random) -> None:
    for _ in range(chance.randint(2, 4)):
        append(connection, [small_event()])
        time.sleep(chance.uniform(0, 0.03))
    connection.commit()
