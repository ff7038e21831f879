"""An event or an append that is too large gets one clear error, and nothing of it is stored."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base import size
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import AppendTooLarge, EventRefused, EventTooLarge
from quantum_forge.eventstore.log import append as appending
from quantum_forge.eventstore.log.append import append, calls_of, encode_wire, translated_errors
from quantum_forge.eventstore.log.appender import Appender
from quantum_forge.eventstore.log.load import EncodedEvent, load
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.segment import Segment
from quantum_forge.eventstore.spool.segment_drain import rejections
from quantum_forge.schema.domains.batches import BatchCreated
from tests.support.appending import append_and_commit, small_event

TENANT = uuid4()


def sized(characters: int) -> NewEvent:
    """An event whose data and metadata have so many bytes."""
    event = BatchCreated(name="b", parameters={"x": ""})
    less = len(msgspec.json.encode(event)) + len(b"{}")
    event = BatchCreated(name="b", parameters={"x": "x" * (characters - less)})
    return NewEvent(tenant_id=TENANT, entity_id=uuid4(), event=event)


def by_append(engine: Engine, events: list[NewEvent], _: Path) -> None:
    """Within a transaction of the caller's."""
    with engine.begin() as connection:
        append(connection, events)


def by_appender(engine: Engine, events: list[NewEvent], _: Path) -> None:
    """One statement."""
    with Appender(engine) as appender:
        appender.append(events)


def by_load(engine: Engine, events: list[NewEvent], _: Path) -> None:
    """COPY."""
    load(engine, events)


def by_recorder(engine: Engine, events: list[NewEvent], spool: Path) -> None:
    """With a spool."""
    with Recorder(engine, Author(tenant_id=TENANT), rules=False, spool=spool) as recorder:
        recorder.record_all(*events)


@pytest.mark.parametrize("way", [by_append, by_appender, by_load, by_recorder])
def test_an_event_beyond_the_limit_is_named_and_nothing_of_its_call_is_stored(
    engine: Engine, tmp_path: Path, way: Callable[[Engine, list[NewEvent], Path], None]
) -> None:
    """The error says which event, how large it is and the limit; the spool stays empty."""
    large = sized(size.LARGEST_EVENT + 1)

    with pytest.raises(EventTooLarge) as caught:
        way(engine, [small_event(), large, small_event()], tmp_path)

    assert (caught.value.event_id, caught.value.size) == (large.event_id, size.LARGEST_EVENT + 1)
    assert f"event {large.event_id} has 16,777,217 bytes" in str(caught.value)
    assert "the limit is 16,777,216" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with engine.connect() as connection:
        assert list(read_all(connection)) == []


def test_the_largest_event_is_stored_and_read(engine: Engine) -> None:
    """The limit itself is allowed."""
    new = sized(size.LARGEST_EVENT)

    append_and_commit(engine, new)

    with engine.connect() as connection:
        (read,) = read_all(connection)
    assert read.event == new.event


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_spaces_of_postgresql_add_at_most_half(connection: Connection, value: object) -> None:
    """So what is small enough here is small enough for `append_events`."""
    data = msgspec.json.encode({"x": value}).decode()
    query = text("SELECT octet_length(CAST(CAST(:data AS jsonb) AS text))")

    assert connection.execute(query, {"data": data}).scalar_one() <= len(data.encode()) * 1.5


def test_an_append_beyond_the_limit_is_refused_before_it_is_encoded(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of large events: one error with their size and the limit."""
    monkeypatch.setattr(size, "LARGEST_APPEND", 1_000_000)

    with engine.begin() as connection, pytest.raises(AppendTooLarge) as caught:
        append(connection, [sized(10_000) for _ in range(150)])

    assert "the limit of one append is 1,000,000" in str(caught.value)
    assert 100 <= caught.value.events <= 101
    with engine.connect() as connection:
        assert list(read_all(connection)) == []


def test_large_events_are_sent_in_several_calls_of_one_append(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, versions and expectations as in one call."""
    monkeypatch.setattr(appending, "LARGEST_CALL_SIZE", 1_000_000)
    stream = uuid4()
    events = [
        msgspec.structs.replace(sized(400_000), entity_id=stream, expected_version=0)
        for _ in range(7)
    ]

    calls = calls_of(encode_wire(events).decode())
    with engine.begin() as connection:
        placed = append(connection, events)

    assert [len(msgspec.json.decode(call)) for call in calls] == [2, 2, 2, 1]
    assert [each.version for each in placed] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("field", ["entity_type", "event_type", "data"])
def test_what_another_program_sends_is_refused_by_the_database_with_its_id(
    engine: Engine, field: str, others: int
) -> None:
    """Names of types that no index takes, and data that no reader should be sent."""
    large = {
        "event_id": str(uuid4()),
        "tenant_id": str(TENANT),
        "entity_type": "batch",
        "entity_id": str(uuid4()),
        "event_type": "instrument_calibrated",  # of no type that is known to the database
        "data": {},
        field: {"x": "x" * size.LARGEST_TEXT} if field == "data" else "x" * 2_000_000,
    }
    small = msgspec.json.decode(encode_wire([small_event()] * others))
    wire = msgspec.json.encode([*small, large]).decode()

    with pytest.raises(EventRefused) as caught, engine.begin() as connection, translated_errors():
        connection.execute(text("SELECT append_events(CAST(:e AS jsonb))"), {"e": wire})

    assert f"event {large['event_id']}" in str(caught.value)
    assert isinstance(caught.value, EventTooLarge) == (field == "data")
    assert len(str(caught.value)) < 400
    with engine.connect() as connection:
        assert list(read_all(connection)) == []
        assert connection.scalar(text("SELECT count(*) FROM event_streams")) == 0


@pytest.mark.parametrize("field", ["entity_type", "event_type"])
def test_a_load_refuses_long_names_of_types(engine: Engine, field: str) -> None:
    """Events of another log may have any."""
    event = EncodedEvent(
        event_id=uuid4(),
        tenant_id=TENANT,
        entity_id=uuid4(),
        entity_type="x" * 201 if field == "entity_type" else "batch",
        event_type="x" * 201 if field == "event_type" else "instrument_calibrated",
        data=b"{}",
    )

    with pytest.raises(EventRefused, match=f"event {event.event_id}: its {field}.*has 201 bytes"):
        load(engine, [event])


def test_a_spooled_event_that_is_too_large_does_not_stop_the_spool(
    engine: Engine, tmp_path: Path
) -> None:
    """A program before the limit spooled it; it is kept apart, and the others are in the log."""
    before, large, after = small_event(), sized(size.LARGEST_EVENT + 9), small_event()
    segment = Segment.create(tmp_path)
    for event in before, large, after:
        wire = encode_wire([msgspec.structs.replace(event, event=small_event().event)])
        if event is large:
            data = msgspec.json.encode(large.event)
            (fields,) = msgspec.json.decode(wire, type=list[dict[str, msgspec.Raw]])
            wire = msgspec.json.encode([{**fields, "data": msgspec.Raw(data)}])
        segment.append(wire)
    segment.close()

    drained = drain(tmp_path, engine)

    assert drained.events == 2
    (rejected,) = rejections(next(tmp_path.glob("*.rejected.jsonl")))
    assert rejected.error == "EventTooLarge"
    assert str(large.event_id) in rejected.reason
    with engine.connect() as connection:
        ids: list[UUID] = [event.event_id for event in read_all(connection)]
    assert ids == [before.event_id, after.event_id]
