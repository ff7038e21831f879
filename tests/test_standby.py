"""On a hot standby: no event is skipped, and every command works or names the primary."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from eventstore.append import append
from eventstore.database import Database, make_engine
from eventstore.embedded import EmbeddedServer
from eventstore.errors import NoPublishedHead
from eventstore.read import read_all, safe_head
from eventstore.standby import publish_head
from eventstore.subscribe import subscribe
from projections.projector import catch_up
from projections.registry import PROJECTIONS
from tests.appending import append_and_commit, positions_in_log, small_event
from tests.pooler import PROGRAM, pooler
from tests.standby import standby, wait_for_replay
from tests.test_safe_head import writers


@pytest.fixture(scope="module")
def standby_server(server: EmbeddedServer, bin_directory: Path) -> Iterator[EmbeddedServer]:
    """Return a standby of the session's server."""
    with standby(server, bin_directory) as replica:
        yield replica


@pytest.fixture
def replica(standby_server: EmbeddedServer, database: Database) -> Iterator[Engine]:
    """Return an engine of the test's database on the standby."""
    anywhere = make_engine(standby_server.url("postgres"))
    wait_for_replay(database.engine, anywhere)
    anywhere.dispose()
    engine = make_engine(standby_server.url(database.url.database or ""))
    yield engine
    engine.dispose()


def publish(engine: Engine) -> int:
    """Publish the safe head on the primary, as projectors do."""
    with engine.begin() as connection:
        return publish_head(connection)


def test_a_standby_without_a_published_head_is_refused(engine: Engine, replica: Engine) -> None:
    """Reading there says what to do, instead of skipping events."""
    append_and_commit(engine, small_event())
    wait_for_replay(engine, replica)

    with replica.connect() as connection:
        with pytest.raises(NoPublishedHead, match="qforge project"):
            safe_head(connection)
        connection.rollback()
        with pytest.raises(NoPublishedHead):
            list(read_all(connection))


def test_a_standby_reads_up_to_the_published_head(engine: Engine, replica: Engine) -> None:
    """An append that is open on the primary holds readers on the standby, too."""
    # Given: an unfinished append below a finished one, and a projector that publishes
    append_and_commit(engine, small_event())
    with engine.connect() as slow:
        append(slow, [small_event()])
        append_and_commit(engine, small_event())
        catch_up(engine, PROJECTIONS.values())
        wait_for_replay(engine, replica)

        # Then: the standby shows what lies below both
        with replica.connect() as connection:
            assert safe_head(connection) == 1
            assert [event.position for event in read_all(connection)] == [1]
        slow.commit()

    # And all of it when it was published again
    catch_up(engine, PROJECTIONS.values())
    wait_for_replay(engine, replica)
    with replica.connect() as connection:
        assert [event.position for event in read_all(connection)] == [1, 2, 3]


def test_a_published_head_never_goes_back(engine: Engine) -> None:
    """A publisher that was late, or held back by an append, does not undo another one's."""
    append_and_commit(engine, small_event(), small_event())
    assert publish(engine) == 2
    with engine.connect() as held:
        held.execute(text("SELECT pg_advisory_xact_lock_shared(append_lock_key(1))"))
        publish(engine)
        with engine.connect() as connection:
            row = connection.execute(text("SELECT position FROM published_head"))
            assert row.scalar_one() == 2


def test_no_checkpoint_is_beyond_the_published_head(engine: Engine) -> None:
    """Whoever compares a read model with the log on a standby finds its events there."""
    append_and_commit(engine, *(small_event() for _ in range(5)))
    catch_up(engine, PROJECTIONS.values())
    beyond = text("""
        SELECT count(*) FROM projection_checkpoints AS c, published_head AS h
         WHERE c.position > h.position
    """)
    with engine.connect() as connection:
        assert connection.execute(beyond).scalar_one() == 0
        assert connection.execute(text("SELECT position FROM published_head")).scalar_one() == 5


@contextmanager
def there(server: EmbeddedServer, url: URL, *, pooled: bool) -> Iterator[Engine]:
    """An engine of a database on the standby, through a pooler or not."""
    with ExitStack() as stack:
        address = url
        if pooled:
            pool = stack.enter_context(pooler(server, connections=5))
            address = pool.set(database=url.database)
        engine = make_engine(address)
        stack.callback(engine.dispose)
        yield engine


def last(engine: Engine, head: int) -> int:
    """The last position up to the head at which there is an event."""
    with engine.connect() as connection:
        return max(position for position in positions_in_log(connection) if position <= head)


Seen = list[int]


def reading(engine: Engine, seen: Seen, stop: threading.Event) -> None:
    """Read what is new, and remember the last position only."""
    with engine.connect() as connection:
        while not stop.is_set():
            seen += [e.position for e in read_all(connection, after=seen[-1] if seen else 0)]
            connection.rollback()


def subscribing(engine: Engine, seen: Seen, stop: threading.Event) -> None:
    """Subscribe."""
    seen += (event.position for event in subscribe(engine, stop=stop))


@pytest.mark.parametrize("follow", [reading, subscribing])
@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pooled"])
def test_a_follower_on_a_standby_skips_no_event_of_writers_on_the_primary(
    engine: Engine,
    replica: Engine,
    standby_server: EmbeddedServer,
    follow: Callable[[Engine, Seen, threading.Event], None],
    pooled: bool,
) -> None:
    """Slow, failing and repeating writers, a publisher, and one who remembers its position."""
    if pooled and PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    publish(engine)
    wait_for_replay(engine, replica)
    stop = threading.Event()

    def publishing() -> None:
        while not stop.wait(0.01):
            publish(engine)

    # When: writers are at work for two seconds
    with ThreadPoolExecutor(2) as threads:
        seen: Seen = []
        with there(standby_server, replica.url, pooled=pooled) as reader:
            try:
                running = [threads.submit(follow, reader, seen, stop), threads.submit(publishing)]
                with writers(engine, 2.0):
                    time.sleep(2.0)
                head = publish(engine)
                wait_for_replay(engine, replica)
                until = time.monotonic() + 30
                while (not seen or seen[-1] < last(engine, head)) and time.monotonic() < until:
                    time.sleep(0.05)
            finally:
                stop.set()
            for each in running:
                each.result(timeout=30)

    # Then: the reader has each committed event once, in order
    with engine.connect() as connection:
        committed = positions_in_log(connection)
    assert len(committed) > 100
    assert committed[-1] > len(committed), "nobody rolled back: the test proves too little"
    assert seen == committed
