"""The rules that recorders keep: what may happen to an entity when, whoever writes at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

import quantum_forge.eventstore.recording.rules
from quantum_forge.eventstore.base.envelope import Placed, Stream
from quantum_forge.eventstore.base.errors import EventRefused, RuleBroken, VersionConflict
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.lifecycle_check import checked
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.rules import append_checked
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains import EVENTS, LIFECYCLES
from quantum_forge.schema.domains.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchCreated,
    BatchItem,
    BatchItemsAdded,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
    batch_id,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculeDeleted, MoleculeUpdated
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from tests.support.appending import OTHER_TENANT, TENANT, append_and_commit

WITHOUT_RULES = {
    "metric_source",
    "api_server",
    "service",
    "export",
    "access",
    "audited_action",
    "spool",
}
"""Types of entity to which anything may happen at any time, each on purpose."""

AUTHOR = Author(tenant_id=TENANT)
ITEM = BatchItem(calculation_id=UUID(int=1), molecule_id=None)
TALLY = {"successful_count": 0, "failed_count": 0}


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Return a recorder that nobody has used."""
    with Recorder(engine, AUTHOR) as recorder:
        yield recorder


def record(recorder: Recorder, *happened: tuple[UUID, Event]) -> list[Placed]:
    """Record what happened to these entities, all or none."""
    placed = recorder.record_all(*(recorder.new(id_, event) for id_, event in happened))
    assert placed is not None
    return placed


def test_every_event_type_has_a_rule() -> None:
    """A new event type needs a line in the lifecycle of its entity."""
    ruled = {name for lifecycle in LIFECYCLES.values() for name in lifecycle.rules}
    # Tests declare event types, too.
    every = {
        name: cls for name, cls in EVENTS.items() if cls.__module__.startswith("quantum_forge.")
    }
    free = {name for name, cls in every.items() if cls.entity_type in WITHOUT_RULES}

    assert ruled | free == set(every)
    assert not ruled & free


def test_every_lifecycle_begins_and_every_state_is_reached_from_new() -> None:
    """No event is forbidden for ever."""
    for declared in LIFECYCLES.values():
        reached: set[str] = set()
        more = {NEW}
        while more - reached:
            reached |= more
            more = {
                rule.then or state
                for rule in declared.rules.values()
                for state in rule.states
                if state in reached
            }
        assert reached == {NEW, *declared.states}, declared.entity_type


def test_a_wrong_lifecycle_is_refused_where_it_is_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second declaration, another entity's event, a state that nothing leads to."""
    with pytest.raises(TypeError, match="declared twice"):
        lifecycle("batch", {BatchCreated: when(NEW, then="pending")})
    with pytest.raises(TypeError, match="happens to a molecule"):
        lifecycle("thing", {MoleculeCreated: when(NEW, then="there")})
    monkeypatch.setattr("quantum_forge.schema.language.lifecycle._registry", {})
    with pytest.raises(TypeError, match="no event leads to gone"):
        lifecycle("batch", {BatchCreated: when(NEW, "gone", then="pending")})


def test_the_error_names_entity_state_event_and_what_it_needs(recorder: Recorder) -> None:
    """Nobody has to look a rule up."""
    with pytest.raises(RuleBroken) as missing:
        recorder.record(BatchCompleted(total_count=0, **TALLY), of=UUID(int=7))
    batch = recorder.record(BatchStarted(name="a", parameters={}, total_count=0)).entity_id
    recorder.record(BatchCompleted(total_count=0, **TALLY), of=batch)
    with pytest.raises(RuleBroken) as twice:
        recorder.record(BatchCompleted(total_count=0, **TALLY), of=batch)
    with pytest.raises(RuleBroken) as again:
        recorder.record(BatchCreated(name="a", parameters={}))

    assert str(missing.value) == (
        f"batch {UUID(int=7)} does not exist; batch_completed needs it to be processing:"
        " nothing was recorded"
    )
    assert f"batch {batch} is completed; batch_completed needs" in str(twice.value)
    assert f"batch {batch} exists already (completed)" in str(again.value)
    assert twice.value.allowed == ("processing",)


def test_of_many_that_end_a_batch_at_once_one_does(engine: Engine, recorder: Recorder) -> None:
    """With connections of their own; the others are told that it has ended."""
    batch = recorder.record(BatchStarted(name="a", parameters={}, total_count=0)).entity_id

    def end(number: int) -> type[Exception] | None:
        try:
            if number % 2:
                recorder.record(BatchCompleted(total_count=number, **TALLY), of=batch)
            else:
                recorder.record(BatchCancelled(reason="enough", **TALLY), of=batch)
        except RuleBroken as broken:
            return type(broken)
        return None

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(end, range(8)))

    assert sorted(map(str, outcomes)) == sorted(map(str, [None] + [RuleBroken] * 7))
    assert len(types(engine, batch)) == 2


def test_writers_that_do_not_contradict_each_other_all_succeed(
    engine: Engine, recorder: Recorder
) -> None:
    """A conflict of versions is settled by reading again, and nobody is bothered with it."""
    batch = recorder.record(BatchStarted(name="a", parameters={}, total_count=0)).entity_id

    with ThreadPoolExecutor(4) as pool:
        placed = list(
            pool.map(
                lambda _: record(recorder, (batch, BatchItemsAdded(items=[ITEM]))),
                range(20),
            )
        )

    assert sorted(one.version for (one,) in placed) == list(range(2, 22))
    assert types(engine, batch)[1:] == ["batch_items_added"] * 20


def test_it_gives_up_when_others_are_always_faster(
    engine: Engine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded: a stream that is written all the time ends in an error, not in waiting for ever."""
    monkeypatch.setattr(quantum_forge.eventstore.recording.rules, "TRIES", 3)
    batch = recorder.record(BatchStarted(name="a", parameters={}, total_count=0)).entity_id
    tries = []

    def too_late(*arguments: object) -> object:
        result = checked(*arguments)  # type: ignore[arg-type]
        tries.append(1)
        append_and_commit(engine, AUTHOR.new(batch, BatchResumed(total_count=1)))
        return result

    monkeypatch.setattr(quantum_forge.eventstore.recording.rules, "checked", too_late)

    # It does not know the stream, and has to read it.
    with Recorder(engine, AUTHOR) as another, pytest.raises(VersionConflict):
        another.record(BatchCancelled(reason="enough", **TALLY), of=batch)

    assert len(tries) == 3
    assert "batch_cancelled" not in types(engine, batch)


def test_an_expected_version_of_the_caller_is_not_decided_anew(
    engine: Engine, recorder: Recorder
) -> None:
    """Who has read a version and insists on it, is told when it is not there."""
    batch = recorder.record(BatchStarted(name="a", parameters={}, total_count=0)).entity_id
    stale = AUTHOR.new(batch, BatchResumed(total_count=1), expected_version=7)

    with pytest.raises(VersionConflict, match="at version 7 but is at version 1"):
        append_checked(engine, lambda _: [stale], tries=1)


def test_many_streams_are_written_all_or_none(engine: Engine, recorder: Recorder) -> None:
    """One that may not happen keeps the others from being recorded."""
    there = recorder.record(BatchStarted(name="there", parameters={}, total_count=0)).entity_id
    new = uuid4()
    good = (new, BatchStarted(name="new", parameters={}, total_count=0))

    with pytest.raises(RuleBroken, match=str(there)):
        record(recorder, good, (there, BatchStarted(name="x", parameters={}, total_count=0)))
    assert types(engine, new) == []

    record(recorder, good, (there, BatchCancelled(reason="enough", **TALLY)))
    assert types(engine, new) == ["batch_started"]
    assert types(engine, there) == ["batch_started", "batch_cancelled"]


def test_within_an_append_each_event_sees_the_one_before(
    engine: Engine, recorder: Recorder
) -> None:
    """A stream may begin and end in one append, in this order only."""
    batch = uuid4()
    begin = (batch, BatchStarted(name="a", parameters={}, total_count=0))
    end = (batch, BatchCompleted(total_count=0, **TALLY))

    with pytest.raises(RuleBroken, match="does not exist"):
        record(recorder, end, begin)
    record(recorder, begin, end)

    assert types(engine, batch) == ["batch_started", "batch_completed"]


def test_an_append_of_several_chunks_is_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams cut by a chunk included; positions come back in the given order."""
    monkeypatch.setattr(quantum_forge.eventstore.recording.rules, "CHUNK", 5)

    def appended(*happened: tuple[UUID, Event]) -> list[Placed]:
        return append_checked(engine, lambda _: [AUTHOR.new(*each) for each in happened])

    ids = [uuid4() for _ in range(9)]
    begun = [(id_, BatchStarted(name=str(id_), parameters={}, total_count=0)) for id_ in ids]
    ended: list[tuple[UUID, Event]] = [(id_, BatchCompleted(total_count=0, **TALLY)) for id_ in ids]

    placed = appended(*begun, *ended)

    assert [one.version for one in placed] == [1] * 9 + [2] * 9
    assert all(types(engine, id_) == ["batch_started", "batch_completed"] for id_ in ids)
    with pytest.raises(RuleBroken):
        appended(*begun[:8], ended[8])
    broken = [(uuid4(), event) for _, event in begun[:8]]
    with engine.connect() as connection:
        head = connection.scalar(text("SELECT max(id) FROM event_logs"))
    refused = BatchStarted(name="z", parameters={}, total_count=-1)
    with pytest.raises(EventRefused, match="total_count"):
        appended(*broken, (UUID(int=2**128 - 1), refused))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT max(id) FROM event_logs")) == head


def test_an_event_says_where_it_came_from(engine: Engine) -> None:
    """Tenant, user, request, and what caused it; what is not known is left out."""
    user, request, cause = uuid4(), uuid4(), uuid4()
    author = Author(
        tenant_id=OTHER_TENANT,
        user_id=user,
        ip_address="192.0.2.7",
        user_agent="curl/8",
        correlation_id=request,
        more={"host": "node1"},
    )

    with Recorder(engine, author.because_of(cause)) as recorder:
        batch = recorder.record(BatchCreated(name="a", parameters={})).entity_id

    with engine.connect() as connection:
        (event,) = read_stream(connection, Stream(OTHER_TENANT, "batch", batch))
    assert batch == batch_id(OTHER_TENANT, "a", {})
    assert event.user_id == user
    assert event.metadata == {
        "ip_address": "192.0.2.7",
        "user_agent": "curl/8",
        "correlation_id": str(request),
        "causation_id": str(cause),
        "host": "node1",
    }
    assert Author(tenant_id=TENANT).metadata == {}


def test_a_deleted_molecule_may_come_back_and_is_not_changed_meanwhile(
    recorder: Recorder,
) -> None:
    """And a molecule that is there is not created twice."""

    def create() -> UUID:
        created = MoleculeCreated(
            smiles="C",
            charge=0,
            multiplicity=1,
            formula="CH4",
            molecular_weight=16.04,
            generation_method="manual",
            toolkit="RDKit",
            toolkit_version="1",
        )
        return recorder.record(created).entity_id

    methane = create()
    with pytest.raises(RuleBroken, match=r"exists already|needs it to be not yet there or deleted"):
        create()
    recorder.record(MoleculeDeleted(), of=methane)
    with pytest.raises(RuleBroken, match="is deleted"):
        recorder.record(MoleculeUpdated(name="methane"), of=methane)

    assert create() == methane


class BatchesMachine(RuleBasedStateMachine):
    """Any order of actions on two batches: the recorder allows what the declared rules allow."""

    engine: Engine
    run = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).run += 1
        self.recorder = Recorder(self.engine, AUTHOR)
        self.ids = [batch_id(TENANT, f"{self.run}-{n}") for n in range(2)]
        self.states = dict.fromkeys(self.ids, NEW)
        self.lengths = dict.fromkeys(self.ids, 0)

    def teardown(self) -> None:
        """Close the connection."""
        self.recorder.close()

    @rule(
        which=st.integers(0, 1),
        event=st.sampled_from(
            [
                BatchCreated(name="a", parameters={}),
                BatchStarted(name="a", parameters={}, total_count=0),
                BatchResumed(total_count=1),
                BatchItemsAdded(items=[]),
                BatchProgressed(**TALLY),
                BatchCompleted(total_count=1, **TALLY),
                BatchCancelled(reason="enough", **TALLY),
            ]
        ),
    )
    def happens(self, which: int, event: Event) -> None:
        """Try it, and compare with the table of rules."""
        id_ = self.ids[which]
        rule = LIFECYCLES["batch"].rules[event.event_type]
        if self.states[id_] in rule.states:
            (placed,) = record(self.recorder, (id_, event))
            self.states[id_] = rule.then or self.states[id_]
            self.lengths[id_] += 1
            assert placed.version == self.lengths[id_]
        else:
            with pytest.raises(RuleBroken) as broken:
                record(self.recorder, (id_, event))
            assert broken.value.state == self.states[id_]

    @invariant()
    def the_log_says_the_same(self) -> None:
        """State and version follow from the log alone."""
        streams = [Stream(TENANT, "batch", id_) for id_ in self.ids]
        with self.engine.connect() as connection:
            found = read_standings(connection, streams)
        for stream in streams:
            assert found[stream].state == self.states[stream.entity_id]
            assert found[stream].version == self.lengths[stream.entity_id]


def test_any_order_of_actions_keeps_the_rules(engine: Engine) -> None:
    """Given any actions, those that the lifecycle allows are recorded, and no others."""
    machine: type[BatchesMachine] = type("Machine", (BatchesMachine,), {"engine": engine})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def types(engine: Engine, entity_id: UUID) -> list[str]:
    """What happened to an entity."""
    query = text("SELECT event_type FROM event_logs WHERE entity_id = :id ORDER BY version")
    with engine.connect() as connection:
        return list(connection.scalars(query, {"id": entity_id}))


def test_what_a_rule_needs_is_declared() -> None:
    """The other entity's state exists, and the event has the field that names it."""
    for declared in LIFECYCLES.values():
        for name, one in declared.rules.items():
            fields = EVENTS[name].__struct_fields__
            assert {*one.needs, *one.carries} <= {*fields}, name
            for entity_type, state in one.needs.values():
                assert state in LIFECYCLES[entity_type].states, name
            for source in (*one.carries.values(), *one.lacks):
                assert any(
                    source in EVENTS[other].__struct_fields__ for other in declared.beginnings
                ), name
