"""Projectors that follow the log: woken, through outages and rebuilds, inside another program."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import DatabaseUnavailable
from quantum_forge.eventstore.log import wakeups
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.projections.follow.waiting import wait_for
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.projector import Advance, RebuildNeeded, catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.appending import append_and_commit
from tests.support.projecting import BATCH_JOBS, assert_projected, history, wait_until_projected

OTHERS = text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'
""")
CHANGE = text("UPDATE projection_checkpoints SET fingerprint = 'old' WHERE projection = :name")


def until(condition: Callable[[], object]) -> None:
    """Wait for something that takes no time that a person would notice."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_announced_is_projected_without_waiting_for_the_poll(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With polls an hour apart, rows appear all the same."""
    monkeypatch.setattr(wakeups, "POLL_SECONDS", 3600.0)
    announce_appends(engine)
    with BackgroundProjector(engine):
        for _ in range(3):
            placed = append_and_commit(engine, *history(3))
            wait_for(engine, BATCH_JOBS, placed[-1].position, timeout=30)


def test_the_end_of_the_block_is_the_end_of_the_thread(engine: Engine) -> None:
    """Nothing is left running, and it can be started again."""
    projector = BackgroundProjector(engine)
    for _ in range(2):
        with projector:
            assert projector.is_running
            append_and_commit(engine, *history(3))
            wait_until_projected(engine)
        assert not projector.is_running
    assert not [each for each in threading.enumerate() if each.name.startswith("qforge-")]
    assert_projected(engine)


def test_an_outage_is_told_and_survived(engine: Engine) -> None:
    """Whose connections all break goes on by itself, and says so once."""
    troubles: list[Exception | None] = []
    with BackgroundProjector(engine, on_trouble=troubles.append) as projector:
        append_and_commit(engine, *history(3))
        wait_until_projected(engine)
        with engine.connect() as connection:
            assert connection.scalar(OTHERS)
        until(lambda: troubles)
        append_and_commit(engine, *history(3))
        wait_until_projected(engine)
        until(lambda: projector.trouble is None)
    assert isinstance(troubles[0], DatabaseUnavailable)
    assert troubles[-1] is None
    assert_projected(engine)


def test_what_cannot_pass_ends_the_thread_and_is_raised(engine: Engine) -> None:
    """A schema that is not there is nobody's outage."""
    projector = BackgroundProjector(engine)
    projector.start()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE projection_checkpoints RENAME TO gone"))
    until(lambda: not projector.is_running)
    with pytest.raises(DBAPIError, match="projection_checkpoints"):
        projector.stop()


@pytest.mark.parametrize("auto_rebuild", [False, True])
def test_a_changed_definition_is_told_and_does_not_stop_the_others(
    engine: Engine, auto_rebuild: bool
) -> None:
    """It waits for a rebuild, or is rebuilt beside the others and then goes on."""
    append_and_commit(engine, *history(3))
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        connection.execute(CHANGE, {"name": BATCH_JOBS.name})
    troubles: list[Exception | None] = []
    advances: list[Advance] = []
    with BackgroundProjector(
        engine,
        on_trouble=troubles.append,
        on_advance=advances.append,
        auto_rebuild=auto_rebuild,
    ) as projector:
        until(lambda: troubles)
        append_and_commit(engine, *history(3))
        if auto_rebuild:
            wait_until_projected(engine)
            until(lambda: projector.trouble is None)
        else:
            until(lambda: "molecules" in {advance.projection for advance in advances})
    assert isinstance(troubles[0], RebuildNeeded)
    assert troubles[0].names == [BATCH_JOBS.name]
    if auto_rebuild:
        assert_projected(engine)
    else:
        with engine.connect() as connection:
            assert read_checkpoints(connection)[BATCH_JOBS.name].position == 3
