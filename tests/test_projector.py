"""Projecting: each batch once, whatever runs beside it and whatever is killed when."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.event import listen, remove

from eventstore.database import Database, libpq_url
from eventstore.envelope import NewEvent
from eventstore.read import read_all, safe_head
from projections import batch_size
from projections.batch_size import BatchSize
from projections.checkpoint import read_checkpoints
from projections.folding import FoldFailed
from projections.log_range import count_events
from projections.projection import Projection
from projections.projector import RebuildNeeded, catch_up
from projections.rebuild import rebuild
from projections.reference import Reference
from projections.registry import PROJECTIONS
from schema.events.batches import BatchProgressed, BatchStarted
from tests.appending import TENANT, append_and_commit
from tests.tables import table_rows

BATCH_JOBS = PROJECTIONS["batch_jobs"]


def test_two_projectors_at_once_fold_each_event_once(database: Database, tmp_path: Path) -> None:
    """Counts and hashes of what was folded equal those of the log, and the rows the reference's."""
    # Given: two projectors that follow the log
    engine = database.engine
    with projecting(database, tmp_path), projecting(database, tmp_path):
        # When: events are appended while they do
        for _ in range(15):
            append_and_commit(engine, *history(20))
            time.sleep(0.02)
        wait_until_projected(engine)

    # Then: nothing was folded twice or missed
    assert_projected(engine)


def test_a_projector_killed_at_any_instant_leaves_nothing_undone_or_done_twice(
    database: Database, tmp_path: Path
) -> None:
    """Rows and checkpoint move together: twelve kills later, the tables are the reference's."""
    # Given: a projector that is killed again and again while events arrive
    engine = database.engine
    chance = random.Random(12)
    kills = 0
    while kills < 12:
        with projecting(database, tmp_path) as process:
            until = time.monotonic() + chance.uniform(0.2, 1.2)
            while time.monotonic() < until:
                append_and_commit(engine, *history(30))
                time.sleep(0.01)
            process.kill()
            kills += process.wait() == -signal.SIGKILL

    # When: another one finishes
    catch_up(engine, PROJECTIONS.values())

    # Then: nothing was folded twice or missed
    assert_projected(engine)


def test_a_changed_definition_asks_for_a_rebuild_which_settles_it(engine: Engine) -> None:
    """Rows of two definitions never mix; the other projections go on meanwhile."""
    # Given: a table that another definition filled
    append_and_commit(engine, *history(10))
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE projection_checkpoints SET fingerprint = 'old' WHERE projection = :name"),
            {"name": BATCH_JOBS.name},
        )
        before = table_rows(connection, BATCH_JOBS)

    # When: the projector comes by
    append_and_commit(engine, *history(10))
    with pytest.raises(RebuildNeeded, match="qforge rebuild batch_jobs") as caught:
        catch_up(engine, PROJECTIONS.values())

    # Then: that table waits, the others do not, and a rebuild is all it takes
    assert caught.value.names == ["batch_jobs"]
    with engine.connect() as connection:
        assert table_rows(connection, BATCH_JOBS) == before
        checkpoints = read_checkpoints(connection)
        head = safe_head(connection)
    assert {c.projection for c in checkpoints.values() if c.position < head} == {"batch_jobs"}
    rebuild(engine, BATCH_JOBS)
    catch_up(engine, PROJECTIONS.values())
    assert_projected(engine)


def test_an_event_that_the_database_refuses_to_fold_stops_its_projection_only(
    engine: Engine,
) -> None:
    """The error names the projection and the range; the checkpoint stays before it."""
    # Given: good events, and one appended in SQL without a name that its table requires
    append_and_commit(engine, *history(10))
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        before = safe_head(connection)
        bad = connection.scalar(
            text("""
                SELECT position FROM append_events(jsonb_build_array(jsonb_build_object(
                    'event_id', gen_random_uuid(), 'tenant_id', CAST(:tenant AS text),
                    'entity_type', 'batch', 'entity_id', gen_random_uuid(),
                    'event_type', 'batch_started', 'data', '{"total_count": 1}'::jsonb)))
            """),
            {"tenant": str(TENANT)},
        )
    append_and_commit(engine, *history(10))

    # When: the projector comes by
    with pytest.raises(FoldFailed, match=f"batch_jobs stopped: events {before + 1} to") as caught:
        catch_up(engine, PROJECTIONS.values())

    # Then: only that projection waits, and it has not moved
    failed = caught.value
    assert bad is not None
    assert failed.projection == "batch_jobs"
    assert failed.after < bad <= failed.upto
    with engine.connect() as connection:
        head = safe_head(connection)
        positions = {c.projection: c.position for c in read_checkpoints(connection).values()}
    assert positions == dict.fromkeys(PROJECTIONS, head) | {"batch_jobs": before}


def test_projections_that_no_event_concerns_cost_nothing_each(engine: Engine) -> None:
    """Whether one or all of them are idle, the same statements are sent; all move along."""
    # Given: everything projected, and then events that concern a single projection
    append_and_commit(engine, *history(3))
    catch_up(engine, PROJECTIONS.values())

    def statements(projections: Iterable[Projection]) -> list[str]:
        append_and_commit(engine, *history(3))
        sent: list[str] = []
        listener = lambda *event: sent.append(event[2])  # noqa: E731  # a name for its removal
        listen(engine, "before_cursor_execute", listener)
        catch_up(engine, projections)
        remove(engine, "before_cursor_execute", listener)
        return sent

    # When: it is projected by itself, and with all that have nothing to do
    by_itself = statements([BATCH_JOBS])
    catch_up(engine, PROJECTIONS.values())
    with_all = statements(PROJECTIONS.values())

    # Then: nothing more was sent, and everybody is at the head with the right count and hash
    assert with_all == by_itself
    assert_projected(engine)


def test_a_batch_grows_while_it_is_quick_and_shrinks_once_it_is_long() -> None:
    """Within bounds; a range that was not full says nothing about full ones."""
    size = BatchSize()
    began = size.positions

    size.took(began - 1, 0.01)
    assert size.positions == began
    for _ in range(20):
        size.took(size.positions, 0.01)
    assert size.positions == batch_size.MOST
    for _ in range(20):
        size.took(size.positions, 5.0)
    assert size.positions == batch_size.LEAST

    fixed = BatchSize(7)
    fixed.took(7, 0.01)
    assert fixed.positions == 7


def history(size: int) -> list[NewEvent]:
    """A batch and its progress."""
    entity = uuid4()
    events = [BatchStarted(name="b", parameters={}, total_count=size)]
    progress = [BatchProgressed(successful_count=n, failed_count=0) for n in range(size - 1)]
    return [
        NewEvent(tenant_id=TENANT, entity_id=entity, event=event) for event in [*events, *progress]
    ]


@contextmanager
def projecting(database: Database, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a `qforge project` process that follows the log; it is ended with the block."""
    environment = {
        **os.environ,
        "DATABASE_URL": libpq_url(database.url),
        "QFORGE_HOME": str(directory / "home"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "project"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_projected(engine: Engine) -> None:
    """Wait until every checkpoint has reached the head of the log."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            head = safe_head(connection)
            checkpoints = read_checkpoints(connection)
        if len(checkpoints) == len(PROJECTIONS) and all(
            checkpoint.position == head for checkpoint in checkpoints.values()
        ):
            return
        time.sleep(0.05)
    pytest.fail("the projectors did not reach the head")


def assert_projected(engine: Engine) -> None:
    """Every table is what the reference says, every checkpoint what the log says."""
    with engine.connect() as connection:
        head = safe_head(connection)
        events = list(read_all(connection))
        checkpoints = read_checkpoints(connection)
        for projection in PROJECTIONS.values():
            checkpoint = checkpoints[projection.name]
            assert checkpoint.position == head
            assert (checkpoint.consumed, checkpoint.ids_hash) == count_events(
                connection, projection, 0, head
            )
            reference = Reference(projection)
            reference.apply_all(events)
            assert table_rows(connection, projection) == reference.rows
        assert checkpoints["batch_jobs"].consumed == len(events)
        rows = connection.scalar(select(func.count()).select_from(BATCH_JOBS.table))
        assert rows == len({event.entity_id for event in events})
