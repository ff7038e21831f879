"""Projectors killed, paused and cut off: each batch is applied once, and somebody goes on."""

import os
import random
import signal
import time

import pytest
from sqlalchemy import Engine, func, select, text

from tests.support.appending import append_and_commit
from tests.support.faults import SOAK_SECONDS
from tests.support.projecting import (
    BATCH_JOBS,
    assert_projected,
    context,
    history,
    projecting,
    wait_until_projected,
    wait_until_stopped,
)

KILLS = 12

CUT_OFF = text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND state = 'idle in transaction'
""")


def test_a_projector_killed_at_any_instant_leaves_nothing_undone_or_done_twice(
    engine: Engine,
) -> None:
    """Rows and checkpoint move together: twelve kills later, the tables are the reference's."""
    kill_again_and_again(engine, random.Random(32), kills=KILLS, seconds=0)


@pytest.mark.soak
def test_two_projectors_killed_for_minutes_leave_nothing_undone_or_done_twice(
    engine: Engine,
) -> None:
    """The same with a second projector at work, for as long as a soak test takes."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with projecting(engine):
        kills = kill_again_and_again(engine, random.Random(seed), kills=0, seconds=SOAK_SECONDS)
    print(f"{kills} kills")


def kill_again_and_again(
    engine: Engine, chance: random.Random, *, kills: int, seconds: float
) -> int:
    """Kill projectors at random instants while events arrive, and look at the end.

    Returns how many were killed.
    """
    # Given: projectors that are killed again and again while events arrive
    until = time.monotonic() + seconds
    killed = 0
    while killed < kills or time.monotonic() < until:
        advanced = context.Event()
        with projecting(engine, advanced=advanced) as process:
            append_and_commit(engine, *history(chance.randint(20, 60)))
            # Most of them not before they have got to work: another may do all that there is.
            deadline = time.monotonic() + 30
            while chance.random() < 0.95 and not advanced.wait(0.2):
                assert time.monotonic() < deadline
                append_and_commit(engine, *history(chance.randint(1, 5)))
            time.sleep(chance.uniform(0, 0.05))
            assert process.is_alive()
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            killed += 1
    with engine.connect() as connection:
        moved = connection.scalar(select(func.count()).select_from(BATCH_JOBS.table))
    assert moved, "none of them came to anything before its end"

    # When: another one finishes
    with projecting(engine):
        wait_until_projected(engine)

    # Then: nothing was folded twice or missed
    assert_projected(engine)
    return killed


@pytest.mark.parametrize("way", ["paused", "cut off"])
def test_another_goes_on_where_one_stands_still_and_nothing_is_applied_twice(
    engine: Engine, way: str
) -> None:
    """Paused or cut off in the middle of a batch, it notices when it wakes up, and recovers."""
    # Given: a projector that stands still with a batch in its hands
    append_and_commit(engine, *history(20))
    with projecting(engine, pause_in=BATCH_JOBS.name) as paused:
        wait_until_stopped(paused)
        assert paused.pid is not None
        with engine.connect() as connection:
            assert not connection.scalar(select(func.count()).select_from(BATCH_JOBS.table))
        if way == "cut off":
            with engine.connect() as connection:
                assert connection.scalar(CUT_OFF)

        # When: another one comes, and the first wakes up after that has gone on
        with projecting(engine):
            wait_until_projected(engine)
            append_and_commit(engine, *history(20))
            os.kill(paused.pid, signal.SIGCONT)
            wait_until_projected(engine)

        # Then: nothing was applied twice, and the first goes on by itself
        assert_projected(engine)
        append_and_commit(engine, *history(20))
        wait_until_projected(engine)
        assert paused.is_alive()
    assert_projected(engine)


def test_two_projectors_at_once_fold_each_event_once(engine: Engine) -> None:
    """Counts and hashes of what was folded equal those of the log, and the rows the reference's."""
    # Given: two projectors that follow the log
    with projecting(engine), projecting(engine):
        # When: events are appended while they do
        for _ in range(15):
            append_and_commit(engine, *history(20))
            time.sleep(0.02)
        wait_until_projected(engine)

    # Then: nothing was folded twice or missed
    assert_projected(engine)
