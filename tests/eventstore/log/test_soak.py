"""Writers, projectors, readers and followers at work for minutes, while what carries them fails.

Each test prints the seed of its faults. At the end it asks for every promise: no acknowledged event
is lost, none is there twice, no reader or follower skipped one, and every table is what the log
says.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.server.embedded import PORT, EmbeddedServer
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.at_work import AtWork
from tests.support.faults import SOAK_SECONDS, kill_server
from tests.support.killable import Killable, killable
from tests.support.proxy import proxy_of
from tests.support.standby import standby, wait_for_replay

__all__ = ["killable"]

pytestmark = pytest.mark.soak

Faults = Mapping[str, Callable[[], object]]

KILL = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
""")
CANCEL = text("""
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
     ORDER BY random() LIMIT 1
""")


@pytest.fixture
def chance() -> random.Random:
    """Return the source of the faults; its seed is printed."""
    seed = random.randrange(2**32)
    print(f"\nseed {seed}")
    return random.Random(seed)


def suffer(chance: random.Random, faults: Faults, pause: float) -> str:
    """Make one fault after the other for as long as a soak test takes; returns how many."""
    made: Counter[str] = Counter()
    until = time.monotonic() + SOAK_SECONDS
    while time.monotonic() < until:
        time.sleep(chance.uniform(0, 2 * pause))
        name = chance.choice(list(faults))
        faults[name]()
        made[name] += 1
    return f"{SOAK_SECONDS:.0f} s; " + ", ".join(f"{made[name]} {name}" for name in faults)


def executed(engine: Engine, statement: str) -> Callable[[], object]:
    """A function that executes a statement, each time in a connection that it commits."""

    def execute() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))

    return execute


def test_a_network_that_stalls_cuts_and_half_closes_loses_nothing(
    database: Database, tmp_path: Path, chance: random.Random
) -> None:
    """Whatever happens to the connections of writers, projectors, readers and followers."""
    # Else a session whose client is cut off holds its locks until the kernel gives up.
    limit = f"ALTER DATABASE {database.url.database} SET idle_in_transaction_session_timeout = 2000"
    executed(database.engine, limit)()
    with proxy_of(database.url) as proxy:
        faults: Faults = {
            "stalls": proxy.silence,
            "cuts": lambda: proxy.cut(chance),
            "half-closed connections": lambda: proxy.half_close(chance),
            "cuts again": lambda: proxy.cut(chance),
        }
        with AtWork(proxy.url, tmp_path, chance.randrange(2**32)) as work:
            figures = suffer(chance, faults, pause=1.0)
        time.sleep(2.5)
        print(figures, work.proven(database.engine), sep="; ")


def test_backends_killed_at_random_lose_nothing(
    database: Database, tmp_path: Path, chance: random.Random
) -> None:
    """pg_terminate_backend on any of them, and pg_cancel_backend on those at work."""
    faults: Faults = {
        "backends terminated": executed(database.engine, KILL.text),
        "statements cancelled": executed(database.engine, CANCEL.text),
    }
    with AtWork(database.url, tmp_path, chance.randrange(2**32)) as work:
        figures = suffer(chance, faults, pause=0.1)
    print(figures, work.proven(database.engine), sep="; ")


def test_timeouts_of_statements_and_locks_lose_nothing(
    database: Database, tmp_path: Path, chance: random.Random
) -> None:
    """Set to some milliseconds for the connections to come, while tables are locked and freed."""
    engine = database.engine
    name = database.url.database

    def limit(setting: str, least: int, most: int) -> Callable[[], None]:
        def set_to() -> None:
            value = chance.choice([0, chance.randint(least, most)])
            executed(engine, f"ALTER DATABASE {name} SET {setting} = {value}")()
            executed(engine, KILL.text)()

        return set_to

    def lock() -> None:
        with engine.begin() as connection:
            table = chance.choice(["event_logs", "event_streams", "calculations"])
            connection.execute(text(f"LOCK TABLE {table} IN SHARE MODE"))
            time.sleep(chance.uniform(0, 0.3))

    faults: Faults = {
        "statement timeouts set": limit("statement_timeout", 5, 500),
        "lock timeouts set": limit("lock_timeout", 1, 100),
        "tables locked": lock,
    }
    with AtWork(database.url, tmp_path, chance.randrange(2**32)) as work:
        figures = suffer(chance, faults, pause=0.3)
        executed(engine, f"ALTER DATABASE {name} RESET ALL")()
        for _ in range(40):
            executed(engine, KILL.text)()
    unlimited = make_engine(database.url)
    print(figures, work.proven(unlimited), sep="; ")
    unlimited.dispose()


def test_readers_and_followers_of_a_standby_skip_nothing(
    killable: Killable, bin_directory: Path, tmp_path: Path, chance: random.Random
) -> None:
    """While its replay pauses and goes on, and its backends are killed."""
    catch_up(killable.engine, PROJECTIONS.values())
    with standby(killable.server, bin_directory) as server:
        replica = make_engine(server.url())
        wait_for_replay(killable.engine, replica)
        faults: Faults = {
            "pauses of the replay": executed(replica, "SELECT pg_wal_replay_pause()"),
            "ends of a pause": executed(replica, "SELECT pg_wal_replay_resume()"),
            "backends of the standby terminated": executed(replica, KILL.text),
            "backends of the primary terminated": executed(killable.engine, KILL.text),
        }
        seed = chance.randrange(2**32)
        with AtWork(killable.server.url(), tmp_path, seed, reading=server.url()) as work:
            figures = suffer(chance, faults, pause=0.3)
        executed(replica, "SELECT pg_wal_replay_resume()")()

        def settle() -> None:
            wait_for_replay(killable.engine, replica)

        print(figures, work.proven(killable.engine, settle), sep="; ")
        replica.dispose()


@pytest.mark.parametrize("synchronous", [True, False], ids=["synchronous", "asynchronous"])
def test_a_standby_that_takes_over_has_what_was_acknowledged_or_tells_followers(
    killable: Killable,
    bin_directory: Path,
    tmp_path: Path,
    chance: random.Random,
    synchronous: bool,
) -> None:
    """Failover after failover: the primary is killed in the midst of it, the standby promoted.

    A synchronous one has all. An asynchronous one may be behind: whoever has read what it lacks is
    told, and what writers append again with the same ids is there once.
    """
    until = time.monotonic() + SOAK_SECONDS
    primary: EmbeddedServer = killable.server
    failovers = 0
    work: AtWork | None = None
    with ExitStack() as servers:
        while time.monotonic() < until:
            replica = servers.enter_context(standby(primary, bin_directory))
            if synchronous:
                engine = make_engine(primary.url())
                executed(engine, "ALTER SYSTEM SET synchronous_standby_names = '*'")()
                executed(engine, "SELECT pg_reload_conf()")()
                engine.dispose()
            hosts = f"{primary.socket_directory},{replica.socket_directory}"
            both = {"host": hosts, "port": f"{PORT},{PORT}", "target_session_attrs": "read-write"}
            url = primary.url().update_query_dict(both)
            promoted = make_engine(replica.url())
            with AtWork(url, tmp_path, chance.randrange(2**32), before=work) as work:
                time.sleep(chance.uniform(2, 6))
                if not synchronous:
                    # Cut off a moment before, it is behind.
                    executed(promoted, "ALTER SYSTEM SET primary_conninfo = ''")()
                    executed(promoted, "SELECT pg_reload_conf()")()
                    time.sleep(chance.uniform(0, 0.5))
                kill_server(primary)
                with promoted.connect() as connection:
                    assert connection.scalar(text("SELECT pg_promote()"))
                time.sleep(chance.uniform(1, 3))
            failovers += 1
            print(f"failover {failovers}: {work.proven(promoted, loses=not synchronous)}")
            promoted.dispose()
            primary = replica
    assert failovers
