"""Projecting: each batch once, whatever runs beside it and whatever is killed when."""

import re
from collections.abc import Iterable, Mapping

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.event import listen, remove

from quantum_forge.eventstore.base.errors import ConnectionLost
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.project import batch_size
from quantum_forge.projections.project.batch_size import BatchSize
from quantum_forge.projections.project.checkpoint import move_checkpoints, read_checkpoints
from quantum_forge.projections.project.log_range import Contents
from quantum_forge.projections.project.projector import RebuildNeeded, catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.projection import Projection
from tests.support.appending import append_and_commit
from tests.support.projecting import BATCH_JOBS, assert_projected, history
from tests.support.tables import table_rows


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


def test_projections_that_no_event_concerns_cost_nothing_each(engine: Engine) -> None:
    """Whether none or many of them are idle, the same statements are sent; all move along."""
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
        # A prepared fold bears its range.
        return [re.sub(r"^(EXECUTE \w+) \(\d+, \d+\)$", r"\1", statement) for statement in sent]

    # When: it is projected by itself, and with all that have nothing to do
    by_itself = statements([BATCH_JOBS])
    catch_up(engine, PROJECTIONS.values())
    types = {event.event.event_type for event in history(3)}
    idle = [each for each in PROJECTIONS.values() if not types & set(each.events)]
    assert len(idle) > 5
    with_idle = statements([BATCH_JOBS, *idle])
    catch_up(engine, PROJECTIONS.values())

    # Then: nothing more was sent, and everybody is at the head with the right count and hash
    assert with_idle == by_itself
    assert_projected(engine)


def test_a_batch_that_lost_its_connection_is_tried_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends what stands still; once is no reason to give up, for ever is."""
    append_and_commit(engine, *history(3))
    lives = 2

    def losing(connection: Connection, moved: Mapping[str, Contents], upto: int) -> None:
        nonlocal lives
        lives -= 1
        if lives >= 0:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        move_checkpoints(connection, moved, upto)

    monkeypatch.setattr("quantum_forge.projections.project.projector.move_checkpoints", losing)
    catch_up(engine, PROJECTIONS.values())
    assert_projected(engine)

    lives = 1_000
    append_and_commit(engine, *history(3))
    with pytest.raises(ConnectionLost):
        catch_up(engine, PROJECTIONS.values())


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


def test_folds_of_few_events_are_planned_once_per_connection(engine: Engine) -> None:
    """By one plan for every range, which also finds the table that a rebuild puts in the place."""

    def plans() -> dict[str, int]:
        query = text("SELECT name, generic_plans FROM pg_prepared_statements WHERE name ~ '^fold_'")
        with engine.connect() as connection:
            return {row.name: row.generic_plans for row in connection.execute(query)}

    # Given: everything projected twice over one connection
    append_and_commit(engine, *history(3))
    catch_up(engine, [BATCH_JOBS])
    before = plans()
    append_and_commit(engine, *history(3))
    catch_up(engine, [BATCH_JOBS])

    # Then: the plans are used again
    assert before
    assert plans() == {name: times + 1 for name, times in before.items()}

    # When: another table is live
    rebuild(engine, BATCH_JOBS)
    append_and_commit(engine, *history(3))
    catch_up(engine, PROJECTIONS.values())

    # Then: it is the one that is filled
    assert_projected(engine)
