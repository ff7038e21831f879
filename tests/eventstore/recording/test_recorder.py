"""A recorder appends while the database answers, and spools while it does not."""

import gc
import signal
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.event import listen

from quantum_forge.eventstore.base.errors import (
    DatabaseUnavailable,
    EventRefused,
    FollowsRejected,
    VersionConflict,
)
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.directory import segment_paths
from quantum_forge.eventstore.spool.segment_drain import Drained
from quantum_forge.schema.domains.batches import BatchResumed
from tests.eventstore.spool.test_drain import ids_in_log
from tests.support.appending import TENANT, append_and_commit, small_event, versions_of
from tests.support.killable import Killable, killable
from tests.support.spooling import away, chain, connect, delivery_of, here

__all__ = ["killable"]


def test_with_a_database_nothing_is_spooled(engine: Engine, tmp_path: Path) -> None:
    """The answer says where the events are."""
    with here(engine, tmp_path / "spool") as recorder:
        placed = recorder.record_all(*chain(uuid4(), 1), small_event())

    assert placed is not None
    assert [each.version for each in placed] == [1, 1]
    assert not (tmp_path / "spool").exists()


def test_without_a_spool_an_outage_is_an_error() -> None:
    """As for who must know at once."""
    with pytest.raises(DatabaseUnavailable):
        Recorder(away(Path("unused")).engine, Author(tenant_id=TENANT), rules=False).record_all(
            small_event()
        )


def test_what_the_database_refuses_is_raised_and_not_spooled(
    engine: Engine, tmp_path: Path
) -> None:
    """The caller can still decide again."""
    stream = uuid4()
    append_and_commit(engine, small_event(stream))
    with here(engine, tmp_path) as recorder:
        with pytest.raises(VersionConflict):
            recorder.record_all(small_event(stream, expected_version=0))
        with pytest.raises(EventRefused):
            recorder.record_all(recorder.new(stream, BatchResumed(total_count="three")))  # type: ignore[arg-type]

    assert segment_paths(tmp_path) == []


def test_an_event_that_fits_no_type_never_gets_into_the_spool(tmp_path: Path) -> None:
    """It could never get out."""
    with away(tmp_path) as recorder, pytest.raises(EventRefused):
        recorder.record_all(recorder.new(uuid4(), BatchResumed(total_count="three")))  # type: ignore[arg-type]

    assert segment_paths(tmp_path) == []


def test_an_outage_is_told_once_and_does_not_slow_down_each_record(tmp_path: Path) -> None:
    """The database is asked again only now and then."""
    told: list[str] = []
    recorder = away(tmp_path)
    delivery_of(recorder).on_away = told.append
    attempts: list[object] = []
    listen(recorder.engine, "do_connect", lambda *_: attempts.append(None))

    for each in chain(uuid4(), 100):
        assert recorder.record_all(each) is None

    assert len(attempts) < 10
    assert len(told) == 1
    assert "127.0.0.1:1" in told[0]
    assert recorder.spooled == 100
    recorder.close()


@pytest.mark.parametrize("held", ["the stream", "the table"])
def test_a_database_slower_than_the_deadline_does_not_hold_up_the_caller(
    engine: Engine, tmp_path: Path, held: str
) -> None:
    """Somebody's lock is waited for by nobody; the append comes after it."""
    event = small_event()
    with Recorder(
        engine, Author(tenant_id=TENANT), rules=False, spool=tmp_path, deadline=0.2
    ) as recorder:
        with engine.begin() as connection:
            if held == "the table":
                connection.execute(text("LOCK event_logs IN ACCESS EXCLUSIVE MODE"))
            else:
                append(connection, [small_event(event.entity_id)])

            assert recorder.record_all(event) is None

        recorder.settle()

        assert ids_in_log(engine, event.entity_id)[-1] == event.event_id
        assert recorder.spooled == 0


def test_limits_of_time_do_not_outlast_the_append(engine: Engine, tmp_path: Path) -> None:
    """Behind a pooler the session is somebody else's in a moment."""
    with here(engine, tmp_path) as recorder:
        recorder.record_all(small_event())
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
        assert connection.scalar(text("SHOW lock_timeout")) == "0"


def test_after_an_outage_what_was_spooled_goes_first(engine: Engine, tmp_path: Path) -> None:
    """The next record drains, so that a stream never sees a later event before an earlier one."""
    back: list[Drained] = []
    stream = uuid4()
    events = chain(stream, 5)
    with away(tmp_path) as recorder:
        delivery_of(recorder).on_back = back.append
        for event in events[:4]:
            recorder.record_all(event)
        connect(recorder, engine)

        placed = recorder.record_all(events[4])

    assert placed is not None
    assert placed[0].version == 5
    assert ids_in_log(engine, stream) == [event.event_id for event in events]
    assert [each.events for each in back] == [4]
    assert segment_paths(tmp_path) == []


def test_after_a_refusal_by_the_drain_the_same_stream_is_refused_to_the_caller(
    engine: Engine, tmp_path: Path
) -> None:
    """The end of a calculation that somebody else began meanwhile is not the end of theirs."""
    stream = uuid4()
    begin, end = chain(stream, 2)
    with away(tmp_path) as recorder:
        recorder.record_all(begin)
        append_and_commit(engine, small_event(stream, 9))
        connect(recorder, engine)
        recorder.settle()

        with pytest.raises(FollowsRejected):
            recorder.record_all(end)

        assert recorder.record_all(small_event(stream)) is not None


def test_a_server_that_is_killed_and_comes_back_has_everything_once(
    killable: Killable, tmp_path: Path
) -> None:
    """Whatever was in flight; and nobody has to be told that it is back."""
    stream = uuid4()
    events = chain(stream, 60)
    with here(killable.engine, tmp_path) as recorder:
        answers = []
        for number, event in enumerate(events[:-1]):
            if number == 20:
                killable.kill()
            answers.append(recorder.record_all(event))
            if number == 40:
                killable.start()
        delivery_of(recorder).next_try = 0.0

        placed = recorder.record_all(events[-1])

    assert answers.count(None) >= 20
    assert placed is not None
    assert ids_in_log(killable.engine, stream) == [event.event_id for event in events]


def test_a_server_that_hangs_does_not_hang_the_recorder(killable: Killable, tmp_path: Path) -> None:
    """It takes connections and never answers: no timeout of the server's own would help."""
    stream = uuid4()
    first, second, third = chain(stream, 3)
    with Recorder(
        killable.engine, Author(tenant_id=TENANT), rules=False, spool=tmp_path, deadline=0.3
    ) as recorder:
        recorder.record_all(first)
        killable.freeze(signal.SIGSTOP)
        try:
            assert recorder.record_all(second) is None
            assert recorder.record_all(third) is None
        finally:
            killable.freeze(signal.SIGCONT)

        recorder.settle()

    with killable.engine.connect() as connection:
        assert versions_of(connection, stream) == [1, 2, 3]


def test_who_ends_during_an_outage_leaves_everything_to_any_drain(
    engine: Engine, tmp_path: Path
) -> None:
    """By close, or by forgetting it."""
    first, second = chain(uuid4(), 1), chain(uuid4(), 1)
    with away(tmp_path) as recorder:
        recorder.record_all(*first)
    forgotten = away(tmp_path)
    forgotten.record_all(*second)
    del forgotten
    gc.collect()

    assert drain(tmp_path, engine).events == 2
