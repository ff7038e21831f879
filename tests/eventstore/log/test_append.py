"""Appending: expected versions, retries, several streams at once, and many writers."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.envelope import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    NewEvent,
    Placed,
    Stream,
)
from quantum_forge.eventstore.base.errors import EventIdReused, EventRefused, VersionConflict
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import read_all, read_stream
from quantum_forge.schema.domains.batches import BatchResumed
from quantum_forge.schema.domains.molecules import MoleculeDeleted
from tests.support.appending import (
    OTHER_TENANT,
    TENANT,
    append_and_commit,
    heads_disagreeing_with_the_log,
    positions_in_log,
    small_event,
    versions_of,
)

# Expected versions


def test_of_two_writers_that_expect_one_version_exactly_one_wins(engine: Engine) -> None:
    """The loser is told the stream, what it expected and what is there; it appends nothing."""
    for round in range(10):
        # Given: a stream, at version 0 in half of the rounds
        entity = uuid4()
        expected = round % 2
        if expected:
            append_and_commit(engine, small_event(entity))

        # When: four writers with connections of their own append at once
        outcomes = at_once(
            engine, [[small_event(entity, n, expected_version=expected)] for n in range(4)]
        )

        # Then: one has appended, the others know why not
        conflicts = [o for o in outcomes if isinstance(o, VersionConflict)]
        assert len(conflicts) == 3
        for conflict in conflicts:
            assert conflict.stream == f"batch {entity}"
            assert conflict.expected == expected
            assert conflict.actual == expected + 1
        with engine.connect() as connection:
            assert versions_of(connection, entity) == list(range(1, expected + 2))


@pytest.mark.parametrize(
    ("there", "expected", "allowed"),
    [
        (0, None, True),
        (2, None, True),
        (0, MUST_NOT_EXIST, True),
        (2, MUST_NOT_EXIST, False),
        (0, MUST_EXIST, False),
        (2, MUST_EXIST, True),
        (2, 2, True),
        (2, 1, False),
        (2, 3, False),
        (0, 1, False),
        (0, -2, False),
        (2, -2, False),
    ],
)
def test_an_append_needs_the_version_that_it_expects(
    connection: Connection, there: int, expected: int | None, allowed: bool
) -> None:
    """A number, must exist, must not exist, or any."""
    # Given: a stream with that many events
    entity = uuid4()
    append(connection, [small_event(entity, n) for n in range(there)])
    connection.commit()

    # When: two events are appended
    new = [small_event(entity, 8, expected_version=expected), small_event(entity, 9)]
    if not allowed:
        with pytest.raises(VersionConflict) as caught:
            append(connection, new)
        connection.rollback()
        assert (caught.value.expected, caught.value.actual) == (expected, there)

    # Then: both are there, or neither
    else:
        assert [placed.version for placed in append(connection, new)] == [there + 1, there + 2]
    assert versions_of(connection, entity) == list(range(1, there + 1 + 2 * allowed))


def test_the_same_entity_of_another_tenant_or_type_is_another_stream(
    connection: Connection,
) -> None:
    """Versions count, and expectations hold, per tenant, entity type and entity."""
    entity = uuid4()
    molecule = NewEvent(
        tenant_id=TENANT, entity_id=entity, event=MoleculeDeleted(), expected_version=0
    )
    placed = append(
        connection,
        [
            small_event(entity, expected_version=0),
            small_event(entity, tenant_id=OTHER_TENANT, expected_version=0),
            molecule,
            small_event(entity),
        ],
    )
    assert [p.version for p in placed] == [1, 1, 1, 2]
    for stream, length in [
        (Stream(TENANT, "batch", entity), 2),
        (Stream(OTHER_TENANT, "batch", entity), 1),
        (Stream(TENANT, "molecule", entity), 1),
        (Stream(OTHER_TENANT, "molecule", entity), 0),
    ]:
        assert len(list(read_stream(connection, stream))) == length


def test_two_expectations_of_one_stream_in_one_call_are_refused(connection: Connection) -> None:
    """Only one of them could hold: the caller is mistaken about something."""
    entity = uuid4()
    with pytest.raises(EventRefused, match="two expected versions"):
        append(
            connection,
            [small_event(entity, expected_version=0), small_event(entity, expected_version=1)],
        )
    connection.rollback()
    assert positions_in_log(connection) == []


def test_a_conflict_says_what_to_do(connection: Connection) -> None:
    """The message is a sentence for a person."""
    entity = uuid4()
    for expected, words in [(MUST_EXIST, "to exist but is not there"), (3, "at version 3")]:
        with pytest.raises(VersionConflict, match=words):
            append(connection, [small_event(entity, expected_version=expected)])
        connection.rollback()


# Retries


@pytest.mark.parametrize("is_there", [False, True])
def test_an_id_for_two_streams_of_one_entity_is_refused(engine: Engine, is_there: bool) -> None:
    """Though the one is known and the other is not: a known id must not hide a new event."""
    # Given: an event, and a stream of the same entity, as another tenant's, that may be there
    known = small_event()
    append_and_commit(engine, known)
    if is_there:
        append_and_commit(engine, small_event(known.entity_id, tenant_id=OTHER_TENANT))
    same_id = small_event(known.entity_id, tenant_id=OTHER_TENANT, event_id=known.event_id)

    # When: its id comes for both streams in one call
    for events in ([known, same_id], [same_id, known]):
        with pytest.raises(EventIdReused):
            append_and_commit(engine, *events)

    # Then: nothing of it is there
    with engine.connect() as connection:
        assert len(positions_in_log(connection)) == 1 + is_there
        assert heads_disagreeing_with_the_log(connection) == []


def test_the_same_events_twice_are_appended_once(engine: Engine) -> None:
    """The retry gets the positions and versions of the first try, flagged as not appended."""
    # Given: events of two streams, appended
    entity = uuid4()
    events = [small_event(entity, 1, expected_version=0), small_event(), small_event(entity, 2)]
    first = append_and_commit(engine, *events)

    # When: they are appended again, although the expected version no longer holds
    again = append_and_commit(engine, *events)

    # Then: nothing happened
    assert [p.appended for p in first] == [True] * 3
    assert again == [msgspec.structs.replace(p, appended=False) for p in first]
    with engine.connect() as connection:
        assert positions_in_log(connection) == sorted(p.position for p in first)
        assert heads_disagreeing_with_the_log(connection) == []


def test_a_retry_in_the_same_transaction_is_one_too(connection: Connection) -> None:
    """An append sees what its own transaction has appended."""
    event = small_event()
    (first,) = append(connection, [event])
    (again,) = append(connection, [event])
    assert again == msgspec.structs.replace(first, appended=False)


def test_a_retry_after_a_rollback_appends(engine: Engine) -> None:
    """What was rolled back is not known."""
    event = small_event(expected_version=0)
    with engine.connect() as connection:
        append(connection, [event])
        connection.rollback()
    (placed,) = append_and_commit(engine, event)
    assert placed.appended
    assert placed.version == 1


def test_a_retry_with_a_known_part_appends_the_rest(engine: Engine) -> None:
    """In the given order, after what is there, and versions stay dense."""
    # Given: the first and third of four events are there
    entity = uuid4()
    events = [small_event(entity, n, expected_version=0) for n in range(4)]
    known = append_and_commit(engine, events[0], events[2])

    # When: all four come
    placed = append_and_commit(engine, *events)

    # Then: the known ones are where they were
    assert [p.appended for p in placed] == [False, True, False, True]
    assert [p.version for p in placed] == [1, 3, 2, 4]
    assert [placed[0].position, placed[2].position] == [p.position for p in known]
    assert placed[1].position < placed[3].position
    with engine.connect() as connection:
        assert versions_of(connection, entity) == [1, 2, 3, 4]
        assert heads_disagreeing_with_the_log(connection) == []


def test_a_partial_retry_conflicts_when_somebody_appended_in_between(engine: Engine) -> None:
    """What is new in it was decided on without knowing the other's event."""
    entity = uuid4()
    mine = [small_event(entity, n, expected_version=0) for n in range(2)]
    append_and_commit(engine, mine[0])
    append_and_commit(engine, small_event(entity, 99))
    with pytest.raises(VersionConflict) as caught:
        append_and_commit(engine, *mine)
    assert caught.value.actual == 2
    with engine.connect() as connection:
        assert versions_of(connection, entity) == [1, 2]


def test_a_full_retry_never_conflicts(engine: Engine) -> None:
    """It asks for nothing new, whatever others appended in between."""
    entity = uuid4()
    mine = [small_event(entity, n, expected_version=0) for n in range(2)]
    first = append_and_commit(engine, *mine)
    append_and_commit(engine, small_event(entity, 99))
    again = append_and_commit(engine, *mine)
    assert [p.position for p in again] == [p.position for p in first]


def test_retries_at_once_append_once(engine: Engine) -> None:
    """Writers that do not know of each other all get the same positions."""
    for _ in range(5):
        entity = uuid4()
        events = [small_event(entity, n, expected_version=0) for n in range(3)]
        outcomes = at_once(engine, [events] * 4)
        placed = [outcome for outcome in outcomes if isinstance(outcome, list)]
        assert len(placed) == 4
        assert len({tuple(p.position for p in one) for one in placed}) == 1
        assert sum(p.appended for one in placed for p in one) == 3
        with engine.connect() as connection:
            assert versions_of(connection, entity) == [1, 2, 3]
            assert heads_disagreeing_with_the_log(connection) == []


def test_an_id_twice_in_one_call_is_appended_once(connection: Connection) -> None:
    """Both get the one position, and the version after it is the next."""
    entity = uuid4()
    twice = small_event(entity, 1)
    placed = append(connection, [twice, small_event(entity, 2), twice, small_event(entity, 3)])
    assert placed[0].position == placed[2].position
    assert [p.version for p in placed] == [1, 2, 1, 3]
    assert versions_of(connection, entity) == [1, 2, 3]
    assert heads_disagreeing_with_the_log(connection) == []


def test_an_id_twice_in_one_call_with_other_content_is_refused(connection: Connection) -> None:
    """Otherwise one of the two would be lost in silence."""
    entity, event_id = uuid4(), uuid4()
    with pytest.raises(EventIdReused):
        append(
            connection,
            [small_event(entity, 1, event_id=event_id), small_event(entity, 2, event_id=event_id)],
        )
    connection.rollback()
    assert positions_in_log(connection) == []


def test_an_id_that_comes_back_with_other_content_is_refused(engine: Engine) -> None:
    """With another payload or type; nothing of the call is appended."""
    entity, event_id = uuid4(), uuid4()
    append_and_commit(engine, small_event(entity, 1, event_id=event_id))
    with pytest.raises(EventIdReused, match=str(event_id)):
        append_and_commit(engine, small_event(), small_event(entity, 2, event_id=event_id))
    with engine.connect() as connection:
        assert versions_of(connection, entity) == [1]
        assert len(positions_in_log(connection)) == 1
        assert heads_disagreeing_with_the_log(connection) == []


def test_one_id_for_an_entity_of_two_tenants_is_refused_in_one_call(
    connection: Connection,
) -> None:
    """Which of the two places would be the event's is not to be guessed."""
    entity, event_id = uuid4(), uuid4()
    with pytest.raises(EventIdReused):
        append(
            connection,
            [
                small_event(entity, event_id=event_id),
                small_event(entity, event_id=event_id, tenant_id=OTHER_TENANT),
            ],
        )
    connection.rollback()
    assert positions_in_log(connection) == []


# Several streams


def test_positions_follow_the_given_order_whatever_the_streams(connection: Connection) -> None:
    """Streams are locked in one order and filled in the caller's."""
    entities = [uuid4() for _ in range(5)]
    chance = random.Random(7)
    events = [small_event(chance.choice(entities), n) for n in range(60)]
    placed = append(connection, events)
    positions = [p.position for p in placed]
    assert positions == sorted(positions)
    assert len(set(positions)) == 60
    assert [p.event_id for p in placed] == [e.event_id for e in events]
    connection.commit()
    read = [event.event_id for event in read_all(connection)]
    assert read == [event.event_id for event in events]
    assert heads_disagreeing_with_the_log(connection) == []


def test_several_streams_are_appended_to_all_or_none(engine: Engine) -> None:
    """One conflict refuses the whole call, whichever stream has it."""
    # Given: a stream that is further than expected
    streams = sorted(uuid4() for _ in range(3))
    for busy in streams:
        append_and_commit(engine, small_event(busy))
    for conflicting in streams:
        # When: it is appended to along with others
        with pytest.raises(VersionConflict) as caught:
            append_and_commit(
                engine,
                *(
                    small_event(entity, expected_version=7 if entity == conflicting else 1)
                    for entity in streams
                ),
            )
        assert str(conflicting) in caught.value.stream

    # Then: none of them has moved
    with engine.connect() as connection:
        assert [versions_of(connection, entity) for entity in streams] == [[1]] * 3
        assert heads_disagreeing_with_the_log(connection) == []


def test_many_writers_of_the_same_streams_never_deadlock(engine: Engine) -> None:
    """Each names the streams in an order of its own; every event arrives, versions are dense."""
    # Given: few streams, some of which do not exist
    entities = [uuid4() for _ in range(6)]
    append_and_commit(engine, *(small_event(entity) for entity in entities[:3]))

    # When: many writers append to several of them at once
    def write(seed: int) -> int:
        chance = random.Random(seed)
        appended = 0
        with engine.connect() as connection:
            for _ in range(40):
                chosen = chance.sample(entities, chance.randint(2, 6))
                appended += len(append(connection, [small_event(entity) for entity in chosen]))
                connection.commit()
        return appended

    with ThreadPoolExecutor(8) as threads:
        appended = sum(threads.map(write, range(8)))

    # Then: nothing is missing
    with engine.connect() as connection:
        assert len(positions_in_log(connection)) == appended + 3
        assert heads_disagreeing_with_the_log(connection) == []


# Sizes and edges


def test_appending_nothing_is_nothing(connection: Connection) -> None:
    """No statement, no position."""
    assert append(connection, []) == []
    assert connection.execute(text("SELECT count(*) FROM append_events('[]')")).scalar() == 0
    assert positions_in_log(connection) == []


def test_five_thousand_events_go_in_one_call(connection: Connection) -> None:
    """Of one stream and of many, and their retry."""
    entity = uuid4()
    events = [small_event(entity if n % 2 else None, n) for n in range(5000)]
    placed = append(connection, events)
    assert [p.version for p in placed[1::2]] == list(range(1, 2501))
    assert {p.version for p in placed[::2]} == {1}
    again = append(connection, events)
    assert [p.position for p in again] == [p.position for p in placed]
    assert not any(p.appended for p in again)
    assert heads_disagreeing_with_the_log(connection) == []


def test_large_batches_stay_fast_when_the_session_has_cached_a_plan(connection: Connection) -> None:
    """From the sixth call on PostgreSQL plans without looking at the call; retries count too.

    Measured by the processor time of the server's process, whatever else the machine does.
    """
    backend = connection.scalar(text("SELECT pg_backend_pid()"))
    spent = Path(f"/proc/{backend}/schedstat")

    def seconds(size: int, *, again: bool) -> float:
        events = [small_event(number=n) for n in range(size)]
        if again:
            append(connection, events)
        began = int(spent.read_text().split()[0])
        append(connection, events)
        took = int(spent.read_text().split()[0]) - began
        connection.commit()
        return took / 1e9

    for again in (False, True):
        for _ in range(6):
            seconds(30, again=again)
        small = min(seconds(300, again=again) for _ in range(5))
        large = min(seconds(3000, again=again) for _ in range(3))

        # Ten times the events take ten times as long; nested loops over a batch, a hundred times.
        assert large < 40 * small


def test_the_envelope_arrives_as_given(connection: Connection) -> None:
    """Who, when and what surrounds an event is stored; the database adds when it came."""
    # Given: an event with everything, and one with nothing
    entity, user = uuid4(), uuid4()
    when = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
    full = NewEvent(
        tenant_id=TENANT,
        entity_id=entity,
        event=BatchResumed(total_count=5),
        user_id=user,
        occurred_at=when,
        metadata={"host": "node1", "correlation_id": str(uuid4()), "nested": {"deep": [1, None]}},
    )
    bare = small_event(entity)
    before = connection.execute(text("SELECT clock_timestamp()")).scalar_one()

    # When: both are appended
    placed = append(connection, [full, bare])
    first, second = read_stream(connection, full.stream)

    # Then: what was given is there
    assert (first.event_id, first.position) == (full.event_id, placed[0].position)
    assert (first.stream, first.version) == (full.stream, 1)
    assert (first.user_id, first.occurred_at, first.metadata) == (user, when, full.metadata)
    assert first.event == full.event
    assert (first.event_type, first.schema_version) == ("batch_resumed", 1)
    assert (second.user_id, second.metadata) == (None, {})
    assert before <= first.recorded_at <= second.recorded_at
    assert before <= second.occurred_at <= second.recorded_at


def test_an_event_that_happened_without_a_time_zone_is_refused(connection: Connection) -> None:
    """Which moment it was depends on who reads it."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the point of the test
    with pytest.raises(EventRefused, match="time zone"):
        append(connection, [small_event(occurred_at=naive)])


def test_times_of_any_zone_are_the_same_moment(connection: Connection) -> None:
    """A time is stored as a moment, not as a clock's face."""
    when = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    event = small_event(occurred_at=when)
    append(connection, [event])
    (read,) = read_stream(connection, event.stream)
    assert read.occurred_at == when


# Any calls whatever


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=st.lists(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 11), st.none() | st.integers(-1, 4)),
            max_size=6,
        ),
        max_size=6,
    )
)
def test_whatever_is_called_each_id_is_in_the_log_once_and_heads_agree(
    engine: Engine, calls: list[list[tuple[int, int, int | None]]]
) -> None:
    """Retries, known parts, duplicates and conflicts in any mixture leave a log without a fault."""
    entities = [uuid4() for _ in range(3)]
    ids = [uuid4() for _ in range(12)]
    there: dict[UUID, Placed] = {}
    for call in calls:
        # An id stays with its stream and content, as a client's does.
        events = [
            small_event(
                entities[number % 3], number, event_id=ids[number], expected_version=expected
            )
            for _, number, expected in call
        ]
        with engine.connect() as connection:
            try:
                placed = append(connection, events)
            except (VersionConflict, EventRefused):
                continue
            connection.commit()
        for event, place in zip(events, placed, strict=True):
            assert event.event_id == place.event_id
            known = there.setdefault(event.event_id, place)
            assert (known.position, known.version) == (place.position, place.version)

    with engine.connect() as connection:
        assert heads_disagreeing_with_the_log(connection) == []
        for entity in entities:
            events_there = list(read_stream(connection, Stream(TENANT, "batch", entity)))
            assert {e.event_id: e.position for e in events_there} == {
                event_id: place.position
                for event_id, place in there.items()
                if ids.index(event_id) % 3 == entities.index(entity)
            }


Outcome = list[Placed] | VersionConflict


def at_once(engine: Engine, calls: Sequence[Sequence[NewEvent]]) -> list[Outcome]:
    """What becomes of calls made at the same moment, each on a connection of its own."""
    barrier = threading.Barrier(len(calls))

    def call(events: Sequence[NewEvent]) -> Outcome:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            barrier.wait(timeout=30)
            try:
                placed = append(connection, events)
            except VersionConflict as conflict:
                return conflict
            connection.commit()
            return placed

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))
