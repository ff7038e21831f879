"""The store agrees with a dict of lists, whatever is done to it in whatever order."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import NewEvent, RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import VersionConflict
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import Filter, read_all, read_stream, safe_head
from quantum_forge.schema.domains.batches import BatchProgressed, BatchResumed
from quantum_forge.schema.domains.molecules import MoleculeDeleted
from tests.support.appending import OTHER_TENANT, TENANT, heads_disagreeing_with_the_log

ENTITIES = [UUID(int=n, version=4) for n in (41, 42)]
STREAMS = [
    Stream(tenant, kind, entity)
    for tenant in (TENANT, OTHER_TENANT)
    for kind in ("batch", "molecule")
    for entity in ENTITIES
]
TYPES = ["batch_resumed", "batch_progressed", "molecule_deleted"]

events_of_streams = st.lists(
    st.tuples(
        st.sampled_from(STREAMS),
        st.booleans(),
        st.none() | st.sampled_from(ENTITIES),
        # Mostly no expectation, or one that is off by so much.
        st.sampled_from([None, None, None, 0, 0, 0, 1, -1, "exists", "is new"]),
    ),
    min_size=1,
    max_size=5,
)


class StoreMachine(RuleBasedStateMachine):
    """Appends, retries, conflicts and reads; the model is a dict of lists and a list."""

    engine: Engine
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        # The log cannot be emptied: each run has entities of its own.
        self.salt = uuid4().int
        self.streams: dict[Stream, list[NewEvent]] = {}
        self.log: list[NewEvent] = []
        self.positions: dict[UUID, int] = {}
        with self.engine.connect() as connection:
            self.start = int(safe_head(connection))

    @rule(target=calls, drawn=events_of_streams, commit=st.sampled_from([True, True, True, False]))
    def append(self, drawn: list[tuple[Any, ...]], commit: bool) -> Any:
        """Append to some streams; what is expected of each holds for all its events."""
        expectations: dict[Stream, int | None] = {}
        call = []
        for number, (stream, alternative, user, expected) in enumerate(drawn):
            stream = self.own(stream)
            expectation: int | None = None
            there = len(self.streams.get(stream, []))
            match expected:
                case int():
                    expectation = max(0, there + expected)
                case "exists":
                    expectation = -1
                case "is new":
                    expectation = 0
            expectations.setdefault(stream, expectation)
            call.append(
                NewEvent(
                    tenant_id=stream.tenant_id,
                    entity_id=stream.entity_id,
                    event=payload(stream, alternative, number),
                    user_id=user,
                    expected_version=expectations[stream],
                )
            )
        holds = all(
            expected is None
            or (there := len(self.streams.get(stream, []))) == expected
            or (expected == -1 and there > 0)
            for stream, expected in expectations.items()
        )
        appended = self.try_to_append(call, holds=holds, commit=commit)
        return call if appended and commit else multiple()

    @rule(call=calls)
    def append_again(self, call: list[NewEvent]) -> None:
        """A retry is never refused, whatever was expected, and changes nothing."""
        self.try_to_append(call, holds=True, commit=True)

    @rule(call=consumes(calls), more=st.sampled_from(STREAMS), first=st.booleans())
    def append_again_with_more(self, call: list[NewEvent], more: Stream, first: bool) -> None:
        """What is new in a retry is appended, what is known stays where it is."""
        stream = self.own(more)
        event = NewEvent(
            tenant_id=stream.tenant_id, entity_id=stream.entity_id, event=payload(stream, True, 9)
        )
        expecting = any(e.stream == stream and e.expected_version is not None for e in call)
        if not expecting:
            self.try_to_append([event, *call] if first else [*call, event], holds=True, commit=True)

    def try_to_append(self, call: list[NewEvent], *, holds: bool, commit: bool) -> bool:
        """Append to the store and, if it is committed, to the model; both must agree."""
        with self.engine.connect() as connection:
            if not holds:
                with pytest.raises(VersionConflict):
                    append(connection, call)
                return False
            placed = append(connection, call)
            known = set(self.positions)
            assert [p.event_id for p in placed] == [event.event_id for event in call]
            assert [p.appended for p in placed] == [e.event_id not in known for e in call]
            if not commit:
                connection.rollback()
                return True
            connection.commit()
        for event, place in zip(call, placed, strict=True):
            if event.event_id not in known:
                self.streams.setdefault(event.stream, []).append(event)
                self.log.append(event)
                self.positions[event.event_id] = place.position
            stream = self.streams[event.stream]
            assert stream[place.version - 1].event_id == event.event_id
            assert self.positions[event.event_id] == place.position
        return True

    @rule(stream=st.sampled_from(STREAMS), after=st.integers(0, 6), backward=st.booleans())
    def read_a_stream(self, stream: Stream, after: int, backward: bool) -> None:
        """From a version, in either direction."""
        stream = self.own(stream)
        with self.engine.connect() as connection:
            read = list(read_stream(connection, stream, after_version=after, backward=backward))
        expected = self.streams.get(stream, [])[after:]
        assert [e.event for e in read] == [e.event for e in expected[:: -1 if backward else 1]]
        versions = [event.version for event in read]
        assert sorted(versions) == list(range(after + 1, after + 1 + len(expected)))

    @rule(
        types=st.none() | st.lists(st.sampled_from(TYPES), max_size=2),
        stream=st.none() | st.sampled_from(STREAMS),
        tenant=st.none() | st.sampled_from([TENANT, OTHER_TENANT]),
        user=st.none() | st.sampled_from(ENTITIES),
        backward=st.booleans(),
        limit=st.none() | st.integers(0, 5),
        skip=st.integers(0, 5),
    )
    def read_everything(
        self,
        types: list[str] | None,
        stream: Stream | None,
        tenant: UUID | None,
        user: UUID | None,
        backward: bool,
        limit: int | None,
        skip: int,
    ) -> None:
        """Filtered, after some position, in either direction, limited."""
        entity = None if stream is None else self.own(stream).entity_id
        where = Filter(types=types, tenant_id=tenant, entity_id=entity, user_id=user)
        skipped = self.log[:skip]
        after = self.positions[skipped[-1].event_id] if skipped else self.start
        with self.engine.connect() as connection:
            read = list(
                read_all(connection, after=after, where=where, backward=backward, limit=limit)
            )
        expected = [
            event
            for event in self.log[skip:]
            if (types is None or event.event.event_type in types)
            and tenant in (None, event.tenant_id)
            and entity in (None, event.entity_id)
            and user in (None, event.user_id)
        ]
        expected = expected[:: -1 if backward else 1][:limit]
        assert [event.event_id for event in read] == [event.event_id for event in expected]
        assert all(agrees(r, e) for r, e in zip(read, expected, strict=True))

    @invariant()
    def the_heads_agree_with_the_log(self) -> None:
        """Versions are dense, and each stream's head is its last."""
        with self.engine.connect() as connection:
            assert heads_disagreeing_with_the_log(connection) == []

    def own(self, stream: Stream) -> Stream:
        """The stream of this run that stands for one of STREAMS."""
        mask = (1 << 128) - 1
        return Stream(
            stream.tenant_id,
            stream.entity_type,
            UUID(int=(stream.entity_id.int ^ self.salt) & mask),
        )


def payload(stream: Stream, alternative: bool, number: int) -> Any:
    """An event that can happen to an entity of the stream's type."""
    if stream.entity_type == "molecule":
        return MoleculeDeleted(reason=str(number) if alternative else None)
    if alternative:
        return BatchProgressed(successful_count=number, failed_count=0)
    return BatchResumed(total_count=number)


def agrees(recorded: RecordedEvent, event: NewEvent) -> bool:
    """Whether the log holds what was given."""
    return (recorded.stream, recorded.event, recorded.user_id) == (
        event.stream,
        event.event,
        event.user_id,
    )


@pytest.fixture
def machine(engine: Engine) -> Iterator[type[StoreMachine]]:
    """Return the machine on the test's database."""
    StoreMachine.engine = engine
    yield StoreMachine
    engine.dispose()


def test_the_store_agrees_with_a_dict_of_lists(machine: type[StoreMachine], engine: Engine) -> None:
    """Appends with expectations, retries and rollbacks, and every way of reading."""
    run_state_machine_as_test(
        machine, settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
    )
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM event_logs"))
