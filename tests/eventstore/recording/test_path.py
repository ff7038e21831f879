"""One path to record: rules and spool are options of it; what it assumes is checked."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.event import listen as listens

from quantum_forge.eventstore.base.envelope import Placed, Position, Stream
from quantum_forge.eventstore.base.errors import EventRefused, RuleBroken, VersionConflict
from quantum_forge.eventstore.database import time_limit
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.known_streams import KnownStreams
from quantum_forge.eventstore.recording.recorder import Receipt, Recorder
from quantum_forge.eventstore.recording.standings import Standing
from quantum_forge.eventstore.spool.segment_drain import Drained
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.domains.batches import BatchCompleted, BatchResumed, BatchStarted
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectDeleted
from quantum_forge.schema.language.event import Event
from tests.support.appending import OTHER_TENANT, TENANT
from tests.support.spooling import NOBODY, connect, delivery_of

AUTHOR = Author(tenant_id=TENANT, more={"service": "tests"})
STARTED = BatchStarted(name="a", parameters={}, total_count=0)
COMPLETED = BatchCompleted(total_count=0, successful_count=0, failed_count=0)
RESUMED = BatchResumed(total_count=0)


def types(engine: Engine, batch: UUID) -> list[str]:
    """What the log has of a batch."""
    with engine.connect() as connection:
        return [e.event_type for e in read_stream(connection, Stream(TENANT, "batch", batch))]


def version_of(receipt: Receipt) -> int:
    """The version of an event that is in the log."""
    assert receipt.placed is not None
    return receipt.placed.version


def away(spool: Path) -> Recorder:
    """A recorder with rules whose database does not answer."""
    return Recorder(make_engine(NOBODY), AUTHOR, spool=spool)


def test_an_event_that_begins_an_entity_gives_it_its_id(engine: Engine) -> None:
    """A natural one where the fields identify it; the others name the entity they happen to."""
    with Recorder(engine, AUTHOR) as recorder:
        batch = recorder.record(STARTED)
        ended = recorder.record(COMPLETED, of=batch.entity_id)
        project = recorder.record(ProjectCreated(name="Malaria"))

        assert [version_of(each) for each in (batch, ended, project)] == [1, 2, 1]
        assert project.entity_id not in (batch.entity_id, None)
        with pytest.raises(EventRefused, match="give its id"):
            recorder.record(COMPLETED)


@pytest.mark.parametrize("with_spool", [False, True])
def test_what_others_recorded_meanwhile_counts(
    engine: Engine, tmp_path: Path, with_spool: bool
) -> None:
    """A recorder remembers its streams, and finds out when it is wrong."""
    spool = tmp_path if with_spool else None
    with Recorder(engine, AUTHOR, spool=spool) as one, Recorder(engine, AUTHOR) as other:
        batch = one.record(STARTED).entity_id
        other.record(COMPLETED, of=batch)

        with pytest.raises(RuleBroken, match="is completed"):
            one.record(COMPLETED, of=batch)
        other.record(RESUMED, of=batch)
        assert version_of(one.record(COMPLETED, of=batch)) == 4
        with pytest.raises(RuleBroken, match="needs it to be not yet there"):
            other.record(STARTED)
    assert list(tmp_path.iterdir()) == []


def test_of_many_threads_that_end_a_batch_one_does(engine: Engine) -> None:
    """Over one recorder, whose appends are sent together."""
    with Recorder(engine, AUTHOR) as recorder:
        batch = recorder.record(STARTED).entity_id

        def end(_: int) -> bool:
            try:
                recorder.record(COMPLETED, of=batch)
            except RuleBroken:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(end, range(8))) == 1
    assert types(engine, batch) == ["batch_started", "batch_completed"]


def test_a_version_that_the_caller_insists_on_is_the_error_when_it_is_wrong(
    engine: Engine,
) -> None:
    """Whatever the rules say of the state that it is in now."""
    with Recorder(engine, AUTHOR) as recorder:
        batch = recorder.record(STARTED).entity_id
        recorder.record(COMPLETED, of=batch, expected_version=1)

        with pytest.raises(VersionConflict, match="at version 1 but is at version 2"):
            recorder.record(COMPLETED, of=batch, expected_version=1)
        with pytest.raises(VersionConflict, match="not to exist"):
            recorder.record(STARTED, of=batch, expected_version=0)


def test_a_call_may_be_repeated_with_the_same_events(engine: Engine) -> None:
    """By this recorder or one that knows nothing of the stream; each event is there once."""
    with Recorder(engine, AUTHOR) as recorder, Recorder(engine, AUTHOR) as another:
        batch = recorder.record(STARTED).entity_id
        end = recorder.new(batch, COMPLETED)
        first = recorder.record_all(end)
        again = [recorder.record_all(end), another.record_all(end)]

    assert first is not None
    for placed in again:
        assert placed is not None
        assert (placed[0].position, placed[0].version) == (first[0].position, 2)
        assert not placed[0].appended
    assert types(engine, batch) == ["batch_started", "batch_completed"]


def test_what_is_spooled_is_checked_when_it_is_drained(engine: Engine, tmp_path: Path) -> None:
    """What may not happen is kept with its reason, and said; the rest goes on."""
    back: list[Drained] = []
    with away(tmp_path) as recorder:
        delivery_of(recorder).on_back = back.append
        batch = recorder.record(STARTED)
        for event in (COMPLETED, COMPLETED, RESUMED):
            assert recorder.record(event, of=batch.entity_id).placed is None
        connect(recorder, engine)
        recorder.settle()

    assert batch.placed is None
    assert types(engine, batch.entity_id) == ["batch_started", "batch_completed", "batch_resumed"]
    (drained,) = back
    assert drained.events == 3
    with engine.connect() as connection:
        history = read_stream(connection, Stream(TENANT, "batch", batch.entity_id))
        assert {str(event.metadata["service"]) for event in history} == {"tests"}
    (reason,) = drained.rejected
    assert "is completed; batch_completed needs" in reason


def test_another_process_drains_by_the_rules_too(engine: Engine, tmp_path: Path) -> None:
    """A project that was deleted meanwhile is not deleted again."""
    with Recorder(engine, AUTHOR) as here, away(tmp_path) as recorder:
        project = here.record(ProjectCreated(name="Malaria")).entity_id
        recorder.record(ProjectDeleted(), of=project)
        here.record(ProjectDeleted(), of=project)

    drained = drain(tmp_path, engine)

    assert drained.events == 0
    assert "is deleted" in drained.rejected[0]


def test_an_append_that_arrived_before_it_was_spooled_is_not_refused(
    engine: Engine, tmp_path: Path
) -> None:
    """The answer was lost on the way: the rules do not speak of the event itself."""
    with Recorder(engine, AUTHOR) as here, away(tmp_path) as recorder:
        batch = here.record(STARTED).entity_id
        end = recorder.new(batch, COMPLETED)
        here.record_all(end)
        recorder.record_all(end)

    drained = drain(tmp_path, engine)

    assert (drained.events, drained.rejected) == (1, [])
    assert types(engine, batch) == ["batch_started", "batch_completed"]


def test_a_recorder_acts_for_others_of_its_tenant(engine: Engine) -> None:
    """Over the same connection; another tenant needs a recorder of its own."""
    user = uuid4()
    with Recorder(engine, AUTHOR) as recorder:
        batch = recorder.acting_as(Author(tenant_id=TENANT, user_id=user)).record(STARTED)
        with pytest.raises(ValueError, match="acts for tenant"):
            recorder.acting_as(Author(tenant_id=OTHER_TENANT))
    with engine.connect() as connection:
        (event,) = read_stream(connection, Stream(TENANT, "batch", batch.entity_id))
    assert event.user_id == user


def test_events_without_a_lifecycle_need_none(engine: Engine) -> None:
    """With rules, too."""
    denied: Event = AccessDenied(action="login", reason="unknown_user")
    with Recorder(engine, AUTHOR) as recorder:
        assert version_of(recorder.record(denied)) == 1


@pytest.mark.parametrize("with_spool", [False, True])
def test_a_stream_that_a_recorder_wrote_is_not_read_again(
    engine: Engine, tmp_path: Path, with_spool: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it wrote last says what may happen now; and no thread is started for an append."""
    spool = tmp_path if with_spool else None
    statements: list[str] = []
    with Recorder(engine, AUTHOR) as other, Recorder(engine, AUTHOR, spool=spool) as recorder:
        theirs = other.record(STARTED).entity_id
        # Their stream is read for the first event, and known from then on.
        recorder.record(COMPLETED, of=theirs)
        batch = recorder.record(BatchStarted(name="b", parameters={}, total_count=0)).entity_id
        listens(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
        monkeypatch.setattr(time_limit, "within", None)

        for stream in (theirs, batch):
            recorder.record(RESUMED, of=stream)
            recorder.record(COMPLETED, of=stream)

    assert statements == []


def test_what_is_known_of_streams_is_bounded() -> None:
    """The stream that was not written for longest is forgotten."""
    known = KnownStreams(capacity=2)
    events = [AUTHOR.new(uuid4(), STARTED) for _ in range(3)]
    for event in (*events[:2], events[0], events[2]):
        version = 1 if known.get(event.stream) is None else 2
        placed = Placed(event.event_id, Position(1), version, appended=True)
        known.learn([event], [placed], {event.stream: "processing"})

    assert [known.get(event.stream) for event in events] == [
        Standing(2, "processing"),
        None,
        Standing(1, "processing"),
    ]


def test_reading_a_stream_does_not_outlast_the_deadline(engine: Engine, tmp_path: Path) -> None:
    """Of an append that has to be checked first, too; it is spooled, and checked by the drain."""
    with Recorder(engine, AUTHOR) as other:
        batch = other.record(STARTED).entity_id
    with Recorder(engine, AUTHOR, spool=tmp_path, deadline=0.2) as recorder:
        with engine.begin() as connection:
            connection.execute(text("LOCK event_logs IN ACCESS EXCLUSIVE MODE"))
            assert recorder.record(COMPLETED, of=batch).placed is None
        recorder.settle()

    assert types(engine, batch) == ["batch_started", "batch_completed"]
