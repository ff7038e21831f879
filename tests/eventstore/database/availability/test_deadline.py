"""A server that falls silent without closing its connections is noticed, and a new one is made."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from quantum_forge.eventstore.base.errors import ConnectionLost
from quantum_forge.eventstore.database.address import for_programs
from quantum_forge.eventstore.database.availability import deadline
from quantum_forge.eventstore.database.availability.deadline import TCP, followed, unlimited
from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.projections.follow.background import BackgroundProjector
from tests.support.appending import append_and_commit, small_event
from tests.support.campaigns import running, until
from tests.support.projecting import assert_projected, history, wait_until_projected
from tests.support.proxy import Proxy, free_port, proxy_of

SHORT = 3.0
"""Seconds that a busy machine does not take for an answer."""

CUTS = (1, 8, 14)
MORE_CUTS = pytest.param((1, 5, 8, 11, 14, 17), marks=pytest.mark.soak)
"""After so many answers each connection breaks: while it logs in, or in a question of the start."""


@pytest.fixture
def proxy(engine: Engine) -> Iterator[Proxy]:
    """Return a proxy in front of the test's database."""
    with proxy_of(engine.url) as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Return an engine whose connections go through the proxy, and are given up soon."""
    monkeypatch.setattr(deadline, "PING_DEADLINE", SHORT)
    engine = make_engine(proxy.url)
    yield followed(engine, SHORT)
    engine.dispose()


@pytest.mark.parametrize("listen", [True, False])
def test_a_subscriber_goes_on_over_a_new_connection(
    engine: Engine, distant: Engine, proxy: Proxy, listen: bool
) -> None:
    """Whatever it waited for, it has the next event soon after its deadline."""
    positions: list[int] = []
    stop = threading.Event()

    def follow() -> None:
        for event in subscribe(distant, stop=stop, listen=listen):
            positions.append(event.position)

    subscriber = threading.Thread(target=follow)
    subscriber.start()
    for number in range(1, 3):
        append_and_commit(engine, small_event())
        until(lambda number=number: len(positions) == number, "the event arrives")  # type: ignore[misc]
        assert proxy.silence()
    stop.set()
    subscriber.join(30)
    assert not subscriber.is_alive()
    assert positions == sorted(set(positions))


def test_a_projector_goes_on_over_new_connections(
    engine: Engine, distant: Engine, proxy: Proxy
) -> None:
    """Those of its pool that are silent, too, are replaced; nothing is folded twice or skipped."""
    with BackgroundProjector(distant) as projector:
        for _ in range(2):
            append_and_commit(engine, *history(3))
            wait_until_projected(engine)
            assert proxy.silence()
        append_and_commit(engine, *history(3))
        wait_until_projected(engine)
        until(lambda: projector.trouble is None, "all is well")
    assert_projected(engine)


def test_a_statement_that_takes_longer_is_ended_and_its_connection_closed(engine: Engine) -> None:
    """The limit is for one answer, and holds where it was asked for only."""
    limited = followed(engine, 2.5)
    with limited.connect() as connection:
        for _ in range(3):
            connection.execute(text("SELECT pg_sleep(0.9)"))
        with pytest.raises(ConnectionLost, match=r"did not answer within 2.5 s"):
            connection.execute(text("SELECT pg_sleep(60)"))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(2.6)"))
    with unlimited(limited).connect() as connection:
        connection.execute(text("SELECT pg_sleep(2.6)"))
    assert followed(limited, 60).get_execution_options() == limited.get_execution_options()


def test_every_connection_has_keepalives_unless_its_address_says_otherwise(
    engine: Engine, proxy: Proxy
) -> None:
    """The kernel gives up what nobody acknowledges; programs that we start do the same."""
    for url, idle in (
        (proxy.url, str(TCP["keepalives_idle"])),
        (proxy.url.update_query_dict({"keepalives_idle": "77"}), "77"),
    ):
        plain = make_engine(url)
        with plain.connect() as connection:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            told = driver.info.get_parameters()
            assert told["keepalives_idle"] == idle
            assert told["tcp_user_timeout"] == str(TCP["tcp_user_timeout"])
        plain.dispose()
        with for_programs(url) as (address, _):
            query = make_url(address).query
            assert query["keepalives_idle"] == idle
            assert query["tcp_user_timeout"] == str(TCP["tcp_user_timeout"])
    with for_programs(engine.url) as (address, _):
        assert not TCP.keys() & make_url(address).query.keys()


FOLLOWERS = [("project",), ("events", "list", "--follow"), ("retry", "--follow")]


def test_followers_that_start_during_an_outage_wait_and_say_so_once(
    database: Database, tmp_path: Path
) -> None:
    """They begin as soon as the server answers, and go on when it falls silent then."""
    append_and_commit(database.engine, *history(3))
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(start_early, database, tmp_path, each) for each in FOLLOWERS]:
            done.result()


def start_early(database: Database, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Start a follower while nothing listens at its port, and the server behind it later."""
    port = free_port()
    nowhere = database.url.difference_update_query(["host", "port"]).set(
        host="127.0.0.1", port=port
    )
    variables = {"DATABASE_URL": libpq_url(nowhere), "QFORGE_DEADLINE": str(SHORT)}
    with running(tmp_path, *arguments, **variables) as follower:
        # Given: a follower that has found nobody, and says so
        assert follower.process.stderr is not None
        said = follower.process.stderr.readline()
        time.sleep(2)
        assert follower.process.poll() is None

        # When: the server is there
        with contextlib.ExitStack() as stack:
            proxy = stack.enter_context(proxy_of(database.url, port))
            for which in ("it connects", "it connects again"):
                until(lambda: follower.process.poll() is not None or proxy.silence() > 0, which)
            time.sleep(1)
            assert follower.process.poll() is None
            follower.process.terminate()
            _, out, err = follower.end()

    # Then: it said so once
    assert "onnection refused" in said
    assert "onnection refused" not in err
    assert "Traceback" not in err, (out, err)


@pytest.mark.parametrize("cuts", [CUTS, MORE_CUTS])
def test_followers_outlive_every_connection_that_breaks_while_they_start(
    database: Database, tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    """Whatever they ask before they follow, they ask again; more of the same is a soak."""
    append_and_commit(database.engine, *history(3))
    all_ = [*FOLLOWERS, ("audit", "--follow")]
    with ThreadPoolExecutor() as threads:
        started = [threads.submit(start_cut, database, tmp_path, each, cuts) for each in all_]
        for done in started:
            done.result()


def start_cut(
    database: Database, tmp_path: Path, arguments: tuple[str, ...], cuts: tuple[int, ...]
) -> None:
    """Start a follower whose first connections break, one after the other."""
    with proxy_of(database.url, cuts=cuts) as proxy:
        variables = {"DATABASE_URL": libpq_url(proxy.url), "QFORGE_DEADLINE": str(SHORT)}
        with running(tmp_path, *arguments, **variables) as follower:
            until(lambda: not proxy.cuts or follower.process.poll() is not None, "all have broken")
            if follower.process.poll() is None:
                time.sleep(1)
            lives = follower.process.poll() is None
            follower.process.terminate()
            _, out, err = follower.end()
    assert lives, (out, err)
    assert "Traceback" not in err, (out, err)
