"""On a hot standby: no event is skipped, and every command works or names the primary."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import click
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import NeedsPrimary, NoPublishedHead
from quantum_forge.eventstore.database.availability.standby import publish_head
from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.place import BeyondHead, Place, require_place
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.history.moment import position_at
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.cli.test_tree import TREE
from tests.conftest import Qforge
from tests.eventstore.log.test_safe_head import writers
from tests.support.appending import append_and_commit, positions_in_log, small_event
from tests.support.pooler import PROGRAM, pooler
from tests.support.standby import standby, wait_for_replay


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


@pytest.mark.parametrize(
    ("follow", "pooled"),
    [(reading, False), (subscribing, False), (reading, True)],
    ids=["reading", "subscribing", "reading through a pooler"],
)
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


def test_a_time_after_the_last_publication_is_refused_on_a_standby(
    engine: Engine, replica: Engine
) -> None:
    """What happened then is not all there yet: the answer would change when it comes."""
    append_and_commit(engine, small_event())
    publish(engine)
    wait_for_replay(engine, replica)

    with replica.connect() as connection:
        published = connection.execute(text("SELECT published_at FROM published_head"))
        known_until = published.scalar_one()
        assert position_at(connection, known_until) == 1
        with pytest.raises(BeyondHead, match="when the primary published"):
            position_at(connection, known_until + timedelta(microseconds=1))
        with pytest.raises(BeyondHead):
            position_at(connection, 2)


def test_a_follower_that_is_further_than_a_standby_waits_for_it(
    engine: Engine, replica: Engine
) -> None:
    """A standby that has not replayed an event yet is behind, and no other log."""
    # Given: a follower that has seen two events on the primary, of which the standby knows one
    first, second = small_event(), small_event()
    append_and_commit(engine, first)
    publish(engine)
    wait_for_replay(engine, replica)
    (placed,) = append_and_commit(engine, second)
    (third,) = append_and_commit(engine, small_event())
    place = Place(placed.position, placed.event_id)
    with replica.connect() as connection, pytest.raises(BeyondHead) as behind:
        require_place(connection, place)
    assert behind.value.may_pass

    # When: it goes on at the standby, and the primary publishes what it knows
    stop = threading.Event()
    following = subscribe(replica, after=place, stop=stop)
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(lambda: next(following).position)
        time.sleep(0.3)
        publish(engine)

        # Then: it gets what follows
        assert found.result(timeout=30) == third.position
    stop.set()
    assert next(following, None) is None


def test_a_change_on_a_standby_names_the_primary(engine: Engine, replica: Engine) -> None:
    """At the one boundary where the database's errors are translated."""
    publish(engine)
    wait_for_replay(engine, replica)
    with pytest.raises(NeedsPrimary, match="set DATABASE_URL to the primary"):
        append_and_commit(replica, small_event())


READS = "works"
WRITES = "requires the primary"
"""What a command does on a standby."""

COMMANDS: dict[str, tuple[str, str]] = {
    "run": (WRITES, "methane.smi"),
    "run --dry-run": (READS, "methane.smi"),
    "retry": (WRITES, ""),
    "retry --dry-run": (READS, ""),
    "import jobs": (WRITES, "."),
    "import jobs --dry-run": (READS, "."),
    "import events": (WRITES, "log.jsonl"),
    "retract": (WRITES, "--method GFN2-xTB --reason test"),
    "retract --dry-run": (READS, "--method GFN2-xTB"),
    "status": (READS, ""),
    "batches list": (READS, ""),
    "batches show": (READS, "methane"),
    "search": (READS, "{molecule}"),
    "molecules list": (READS, ""),
    "molecules search": (READS, "--similar C"),
    "molecules show": (READS, "{molecule}"),
    "properties compute": (WRITES, ""),
    "calculations list": (READS, ""),
    "calculations show": (READS, "{calculation}"),
    "events append": (WRITES, "--file event.jsonl"),
    "events export": (WRITES, "again.jsonl"),
    "events export -": (WRITES, ""),
    "events list": (READS, ""),
    "events list --json": (READS, ""),
    "record": (WRITES, 'batch_resumed --data {{"total_count":1}}'),
    "project": (WRITES, ""),
    "project --once": (WRITES, ""),
    "dead-letters list": (READS, ""),
    "dead-letters retry": (WRITES, ""),
    "dead-letters discard": (WRITES, "molecules 1"),
    "rebuild": (WRITES, "molecules"),
    "notify": (WRITES, ""),
    "notify --once": (WRITES, ""),
    "notify --dry-run": (READS, ""),
    "serve": (WRITES, "--port 0"),
    "verify": (READS, "molecules calculations"),
    "as-of": (READS, "{position} molecules"),
    "diff": (READS, "molecules --from 0"),
    "explain": (READS, "molecules {molecule}"),
    "dataset diff": (READS, "one.parquet one.parquet"),
    "dataset export": (WRITES, "two"),
    "dataset reproduce": (READS, "one.parquet.manifest.json"),
    "metrics": (READS, ""),
    "metrics show": (READS, ""),
    "audit": (READS, ""),
    "audit --json": (WRITES, ""),
    "audit --csv": (WRITES, ""),
    "users list": (READS, ""),
    "users register": (WRITES, "ada2 --email ada2@example.org --no-password"),
    "users password": (WRITES, "ada --password-stdin"),
    "users key": (WRITES, "ada laptop"),
    "users totp enable": (WRITES, "ada"),
    "users totp confirm": (WRITES, "ada 123456"),
    "users totp disable": (WRITES, "ada"),
    "users notifications": (READS, "ada"),
    "users notifications --email": (WRITES, "ada"),
    "users link": (WRITES, "postgres ada"),
    "users unlink": (WRITES, "postgres"),
    "users role": (WRITES, "ada viewer"),
    "users deactivate": (WRITES, "ada"),
    "users reactivate": (WRITES, "ada"),
    "whoami": (READS, ""),
    "organizations list": (READS, ""),
    "organizations members": (READS, "{organization}"),
    "organizations create": (WRITES, "Lab"),
    "organizations rename": (WRITES, "Lab Theory"),
    "organizations delete": (WRITES, "Lab --yes"),
    "organizations add": (WRITES, "Lab ada"),
    "organizations role": (WRITES, "Lab ada --role admin"),
    "organizations remove": (WRITES, "Lab ada"),
    "projects list": (READS, ""),
    "projects create": (WRITES, "Malaria"),
    "projects rename": (WRITES, "Malaria Lab"),
    "projects delete": (WRITES, "Malaria --yes"),
    "projects add": (WRITES, "Malaria methane"),
    "projects remove": (WRITES, "methane"),
    "retention show": (READS, ""),
    "retention set": (WRITES, "calculation_execution_metrics 30"),
    "retention apply": (WRITES, ""),
    "retention apply --dry-run": (READS, ""),
    "spool status": (READS, ""),
    "spool drain": (WRITES, ""),
    "spool report": (WRITES, ""),
    "doctor": (READS, ""),
    "db backup": (READS, "copy.dump"),
    "db check": (READS, ""),
    "db current": (READS, ""),
    "db upgrade": (READS, ""),
    "db downgrade": (WRITES, "--yes"),
    "db reset": (WRITES, "--yes"),
    "db maintain": (WRITES, ""),
    "db bind": (WRITES, "somebody 6f1d4a52-0d7c-4c38-9a55-0c1f6f9f2f10"),
    "db unbind": (WRITES, "somebody"),
    "db roles": (READS, ""),
    "db restore": (WRITES, "primary.dump"),
    "db url": (READS, ""),
    "db psql": (READS, "-c SELECT(1)"),
    "db encryption-key": (READS, ""),
    "db migration new": (WRITES, "message"),
}


WITHOUT_A_DATABASE = {"completion", "server status", "server stop"}
"""They open none: one prints a script, two are about the embedded server's processes."""


WITHOUT_AN_END = {"ui"}
"""They read on a standby as well, until Ctrl-C."""


def test_an_export_that_follows_is_refused_on_a_standby(
    qforge_here: Qforge, engine: Engine, replica: Engine
) -> None:
    """It records what it printed; nor does it wait until the standby is promoted."""
    catch_up(engine, PROJECTIONS.values())
    wait_for_replay(engine, replica)

    refused = qforge_here(
        "audit", "--csv", "--follow", env={"DATABASE_URL": libpq_url(replica.url)}, status=2
    )

    assert "an export, which is recorded in the log, requires the primary" in refused.stderr


def test_every_command_has_its_place_in_the_walk() -> None:
    """A new command must say what it does on a standby."""
    leaves = {
        name.removeprefix("qforge ")
        for name, command in TREE.items()
        if not isinstance(command, click.Group)
    }
    walked = {name.split(" -")[0] for name in COMMANDS}
    assert leaves - WITHOUT_A_DATABASE - WITHOUT_AN_END <= walked


def test_every_command_works_on_a_standby_or_names_the_primary_in_one_line(
    qforge_here: Qforge, engine: Engine, replica: Engine, tmp_path: Path
) -> None:
    """No traceback, no silent spool, and no half of an export."""
    # Given: a calculation, a user, exports and a backup, made on the primary
    (tmp_path / "methane.smi").write_text("C methane\n")
    (tmp_path / "event.jsonl").write_text("")
    qforge_here("run", "methane.smi")
    qforge_here(
        "users", "register", "ada", "--email", "ada@example.org", "--role", "admin", "--no-password"
    )
    qforge_here("events", "export", "log.jsonl")
    qforge_here("dataset", "export", "one")
    qforge_here("db", "backup", "primary.dump")
    created = json.loads(
        qforge_here("events", "list", "--json", "--type", "molecule_created").stdout
    )
    calculations = json.loads(qforge_here("calculations", "list", "--json").stdout)
    known = {
        "molecule": created["entity_id"],
        "calculation": calculations[0]["id"],
        "position": created["position"],
        "organization": qforge_here("organizations", "create", "Lab").stdout.strip(),
    }
    qforge_here("project", "--once")
    wait_for_replay(engine, replica)
    ada = json.loads(qforge_here("users", "list", "--json").stdout)
    there = {"DATABASE_URL": libpq_url(replica.url), "QFORGE_USER_ID": ada[0]["id"]}

    # When: each command runs on the standby
    wrong = []
    for name, (expected, arguments) in COMMANDS.items():
        words = [*name.split(), *arguments.format(**known).split()]
        done = qforge_here(*words, env=there, status=None)
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
        fine = (
            done.returncode == (1 if name == "doctor" else 0)
            if expected == READS
            else done.returncode != 0
            and len(errors) == 1
            and "the primary" in errors[0]
            and done.stdout == ""
        )
        if not fine or "Traceback" in done.stderr:
            wrong.append((words, done.returncode, done.stdout[-300:], done.stderr[-600:]))

    findings = json.loads(qforge_here("doctor", "--json", env=there, status=1).stdout)
    troubles = {each["check"]: each["level"] for each in findings if each["level"] != "ok"}

    # Then: it works, or says in one line what it needs
    # The test's server writes nothing to disk.
    assert troubles == {"server": "warning", "durability": "problem"}
    assert wrong == [], "\n\n".join(map(str, wrong))
    assert not (tmp_path / "again.jsonl").exists()
    assert not (tmp_path / "two.parquet").exists()
    assert not list((tmp_path / "home").glob("spool/*.segment"))
