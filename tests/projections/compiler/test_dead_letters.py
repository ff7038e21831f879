"""Events that cannot be folded: set aside one by one, the same by every way to a table."""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text, update

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.projections.compiler.dead_letters import count_parked, discard, list_dead_letters
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.history.as_of import as_of, folded_at, rows_at
from quantum_forge.projections.history.lineage import Effect, explain
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.operate import refolding
from quantum_forge.projections.operate.refolding import NotParked, refold
from quantum_forge.projections.project import folding
from quantum_forge.projections.project.checkpoint import (
    Checkpoint,
    lock_checkpoint,
    read_checkpoints,
)
from quantum_forge.projections.project.folding import FoldFailed
from quantum_forge.projections.project.log_range import count_events
from quantum_forge.projections.project.poison import fold_around
from quantum_forge.projections.project.projector import Advance, catch_up
from quantum_forge.projections.rebuild import rebuild, roll_back
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import BatchItemsAdded
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.domains.retention import RetentionApplied
from quantum_forge.schema.domains.telemetry import ApiRequestServed
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import projection_checkpoints
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, failed, happened, record, started
from tests.support.histories import EPOCH, cuts, histories
from tests.support.recording import bounds, in_order, rolled_back
from tests.support.spoiling import append_spoiled, recorded_spoiled, spoiled
from tests.support.tables import selected_rows, table_rows

CALCULATIONS = PROJECTIONS["calculations"]
ERRORS = PROJECTIONS["calculation_errors"]
ATOMS = PROJECTIONS["atomic_properties"]
WATER, ETHANOL, METHANE, BATCH = (UUID(int=n, version=4) for n in (101, 102, 103, 104))

SPOILED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(SPOILED, max_examples=15)
@given(data=st.data())
def test_folding_around_poison_equals_folding_without_it(
    common_engine: Engine, data: st.DataObject
) -> None:
    """Whatever is spoiled and wherever it is cut: the table is the reference's."""
    around_poison(data.draw(st.sampled_from(list(PROJECTIONS.values()))), common_engine, data)


@pytest.mark.soak
@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=lambda p: p.name)
@settings(SPOILED, max_examples=500)
@given(data=st.data())
def test_folding_around_poison_for_many_histories(
    projection: Projection, common_engine: Engine, data: st.DataObject
) -> None:
    """The same for every projection."""
    around_poison(projection, common_engine, data)


def around_poison(projection: Projection, engine: Engine, data: st.DataObject) -> None:
    """Check it for one history and one way of cutting it."""
    history = data.draw(histories([projection], max_size=15).flatmap(spoiled))
    with engine.connect() as connection, rolled_back(connection):
        # Given: a history in which some payloads are malformed
        events = recorded_spoiled(connection, history)
        first, last = bounds(events)

        # When: it is folded batch by batch
        ends = [events[cut - 1].position if cut else first for cut in data.draw(cuts(len(events)))]
        after = first
        for upto in [*ends, last]:
            after = fold_around(connection, projection, after=after, upto=upto).reached

        # Then: rows, rows at once and rows as of the end are the reference's without what is parked
        parked = {each.position for each in list_dead_letters(connection, [projection.name])}
        reference = Reference(projection)
        reference.apply_all(event for event in events if event.position not in parked)
        assert table_rows(connection, projection) == reference.rows
        past = folded_at(projection, last)
        assert selected_rows(connection, projection, past) == reference.rows


# Nothing is shrunk: each example adds to the log of those before it.
@settings(SPOILED, max_examples=4, phases=[Phase.generate])
@given(data=st.data())
def test_projector_rebuild_verification_and_retry_agree_about_poison(
    engine: Engine, data: st.DataObject
) -> None:
    """What the projector left out, a rebuild leaves out; retrying what is bad changes nothing."""
    # Given: spoiled histories, projected in small batches
    projection = data.draw(st.sampled_from(list(PROJECTIONS.values())))
    history = data.draw(histories([projection], max_size=15).flatmap(spoiled))
    with engine.begin() as connection:
        append_spoiled(connection, history)
    catch_up(engine, [projection], batch=data.draw(st.integers(1, 20)))
    before = state(engine, projection)
    assert verify(engine, projection).agrees

    # When, then: it is rebuilt, and retried
    assert not rebuild(engine, projection).difference
    assert state(engine, projection) == before
    assert verify(engine, projection).agrees
    refold(engine, projection)
    assert verify(engine, projection).agrees
    after = state(engine, projection)
    assert after[1] <= before[1]
    assert not rebuild(engine, projection).difference
    assert state(engine, projection) == after


def state(engine: Engine, projection: Projection) -> tuple[Any, set[int]]:
    """The rows, and what they leave out."""
    with engine.connect() as connection:
        letters = list_dead_letters(connection, [projection.name], discarded=True)
        return table_rows(connection, projection), {letter.position for letter in letters}


@pytest.fixture
def poisoned(engine: Engine) -> Engine:
    """A log in which the energy of water is a word, with good events before, between and after."""
    record(engine, created("O"), started(WATER, "O"), started(ETHANOL, "CCO"))
    spoil(engine, completed(WATER, "O"), energy="very low")
    record(engine, completed(ETHANOL, "CCO"), failed(WATER, "O"), started(METHANE, "C"))
    return engine


def spoil(engine: Engine, event: NewEvent, **wrong: object) -> int:
    """Append an event as somebody would by hand; returns its position."""
    with engine.begin() as connection:
        written = {**event_data(event), **wrong}
        append_spoiled(connection, [(event, written)])
        return in_order(connection)[-1].position


def concerned(engine: Engine) -> list[Projection]:
    """The projections that read some event of the log."""
    with engine.connect() as connection:
        types = {event.event_type for event in in_order(connection)}
    return [each for each in PROJECTIONS.values() if types & set(each.events)]


def event_data(event: NewEvent) -> dict[str, Any]:
    """The payload as it is stored."""
    data: dict[str, Any] = msgspec.to_builtins(event.event)
    return data


@pytest.mark.parametrize("batch", [1, 10])
def test_what_is_no_list_of_atoms_has_none(engine: Engine, batch: int) -> None:
    """It is parked, unless a later event of the batch replaces it: either way rows are the same."""
    record(engine, created("O"), started(WATER, "O"))
    spoil(engine, completed(WATER, "O"), atoms=10**30)
    record(engine, completed(WATER, "O"))
    atoms = PROJECTIONS["atomic_properties"]

    catch_up(engine, [atoms], batch=batch)

    rows, parked = state(engine, atoms)
    assert {row["calculation_id"] for row in rows.values()} == {WATER}
    assert len(parked) == (1 if batch == 1 else 0)
    with engine.connect() as connection:
        reference = Reference(atoms)
        reference.apply_all(e for e in in_order(connection) if e.position not in parked)
    assert rows == reference.rows
    assert verify(engine, atoms).agrees


def test_an_event_that_gives_no_row_fails_neither_verification_nor_queries_of_the_past(
    engine: Engine,
) -> None:
    """Retention leaves it out before its payload is read, whatever query the past stands in."""
    usage = PROJECTIONS["api_usage_logs"]
    served = ApiRequestServed(endpoint="/", method="GET", status_code=200, response_time_ms=1.0)
    record(engine, happened(served, WATER, at=EPOCH + timedelta(days=2)))
    spoil(engine, happened(served, WATER, at=EPOCH), status_code="poison")
    cutoff = RetentionApplied(table="api_usage_logs", cutoff=EPOCH + timedelta(days=1))
    record(engine, happened(cutoff, BATCH))

    catch_up(engine, [usage])

    rows, parked = state(engine, usage)
    assert (len(rows), parked) == (1, set())
    assert verify(engine, usage).agrees
    assert not rebuild(engine, usage).difference
    with engine.connect() as connection:
        past = as_of(usage, 3)
        query = select(past.c.id).where(past.c.status_code == 200)
        assert connection.scalars(query).all() == [1]


@pytest.mark.parametrize("name", ["atomic_properties", "batch_items", "batch_item_names"])
def test_an_element_that_is_a_text_has_no_parts(engine: Engine, name: str) -> None:
    """A row without its key is none, by SQL and by the reference."""
    record(engine, created("O"), started(WATER, "O"))
    spoil(engine, completed(WATER, "O"), atoms=["poison"])
    spoil(engine, happened(BatchItemsAdded(items=[]), BATCH), items=["poison"])
    projection = PROJECTIONS[name]

    catch_up(engine, [projection])

    rows, parked = state(engine, projection)
    with engine.connect() as connection:
        reference = Reference(projection)
        reference.apply_all(e for e in in_order(connection) if e.position not in parked)
    assert rows == reference.rows
    assert verify(engine, projection).agrees


def test_everything_else_goes_on_in_order(poisoned: Engine) -> None:
    """One event is set aside by those that cannot fold it; count and hash are whole."""
    advances: list[Advance] = []

    catch_up(poisoned, PROJECTIONS.values(), on_advance=advances.append)

    with poisoned.connect() as connection:
        letters = list_dead_letters(connection, PROJECTIONS)
        parked = {letter.projection for letter in letters}
        assert "calculations" in parked
        assert "atomic_properties" not in parked
        assert {letter.position for letter in letters} == {4}
        assert {letter.event_type for letter in letters} == {"calculation_completed"}
        assert all('"very low"' in letter.reason for letter in letters)
        assert count_parked(connection) == dict.fromkeys(sorted(parked), 1)
        assert {a.projection for a in advances if a.parked} == parked
        status = {
            key[1]: row["status"] for key, row in table_rows(connection, CALCULATIONS).items()
        }
        assert status == {WATER: "failed", ETHANOL: "completed", METHANE: "running"}
        points = read_checkpoints(connection)
        for projection in PROJECTIONS.values():
            point = points[projection.name]
            assert (point.position, point.consumed, point.ids_hash) == (
                7,
                *count_events(connection, projection, 0, 7),
            )
    for projection in concerned(poisoned):
        assert verify(poisoned, projection).agrees


def test_a_row_that_its_table_refuses_is_set_aside_and_folded_once_it_does_not(
    engine: Engine,
) -> None:
    """Once the CHECK is gone, a retry gives the rows that there would have been without it."""
    # Given: an event in the middle of a calculation's life that a CHECK refuses
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE calculations ADD CONSTRAINT c CHECK (gap < 20)"))
    record(engine, started(WATER, "O"), completed(WATER, "O", gap=25), failed(WATER, "O"))
    catch_up(engine, PROJECTIONS.values())
    with engine.connect() as connection:
        (letter,) = list_dead_letters(connection, [CALCULATIONS.name])
    assert (letter.position, letter.retries) == (2, 0)
    assert '"c"' in letter.reason

    # When: it is retried before and after the CHECK is dropped
    (before,) = refold(engine, CALCULATIONS)
    with engine.begin() as connection:
        (letter,) = list_dead_letters(connection, [CALCULATIONS.name])
        connection.execute(text("ALTER TABLE calculations DROP CONSTRAINT c"))
    (after,) = refold(engine, CALCULATIONS)

    # Then: the first leaves it, the second folds it in its place in the order
    assert before.reason is not None
    assert letter.retries == 1
    assert after.reason is None
    assert state(engine, CALCULATIONS)[1] == set()
    assert_reference(engine, CALCULATIONS)
    (row,) = state(engine, CALCULATIONS)[0].values()
    assert (row["gap"], row["status"]) == (25, "failed")


@pytest.mark.parametrize("wrong", [None, 7, "poison", {"a": 1}])
def test_a_list_that_is_none_stays_left_out(engine: Engine, wrong: object) -> None:
    """It concerns no row, but no fold of the log gets past it."""
    items = PROJECTIONS["batch_items"]
    with engine.begin() as connection:
        added = happened(BatchItemsAdded(items=[]), WATER)
        append_spoiled(connection, [(added, {"items": wrong})])
    catch_up(engine, [items])

    (tried,) = refold(engine, items)

    assert tried.reason is not None
    assert state(engine, items) == ({}, {1})
    assert verify(engine, items).agrees


def assert_reference(engine: Engine, projection: Projection) -> None:
    """The table is what the reference makes of all events, and verifies."""
    with engine.connect() as connection:
        reference = Reference(projection)
        reference.apply_all(in_order(connection))
        assert table_rows(connection, projection) == reference.rows
    assert verify(engine, projection).agrees


def test_what_is_discarded_stays_out_until_it_is_named(poisoned: Engine) -> None:
    """Not counted any more, not retried with the others, kept by rebuilds."""
    catch_up(poisoned, PROJECTIONS.values())
    with poisoned.begin() as connection:
        assert discard(connection, CALCULATIONS.name, [4, 5]) == [4]
    before = state(poisoned, CALCULATIONS)

    with poisoned.connect() as connection:
        assert CALCULATIONS.name not in count_parked(connection)
    assert refold(poisoned, CALCULATIONS) == []
    rebuild(poisoned, CALCULATIONS)
    assert state(poisoned, CALCULATIONS) == before

    (again,) = refold(poisoned, CALCULATIONS, [4])
    assert again.reason is not None
    with poisoned.connect() as connection:
        assert count_parked(connection)[CALCULATIONS.name] == 1
    with pytest.raises(NotParked, match="event at 5"):
        refold(poisoned, CALCULATIONS, [5])


def test_a_rebuild_meets_poison_by_itself_and_going_back_is_going_back(poisoned: Engine) -> None:
    """Never projected, it is set aside by the rebuild; the kept table comes with its own."""
    rebuild(poisoned, CALCULATIONS)
    assert state(poisoned, CALCULATIONS)[1] == {4}
    proven = verify(poisoned, CALCULATIONS)
    assert (proven.agrees, proven.parked) == (True, 1)

    rebuild(poisoned, CALCULATIONS, keep=True)
    bad = spoil(poisoned, completed(METHANE, "C"), homo=[])
    catch_up(poisoned, [CALCULATIONS])
    assert state(poisoned, CALCULATIONS)[1] == {4, bad}
    roll_back(poisoned, CALCULATIONS)
    assert state(poisoned, CALCULATIONS)[1] == {4}
    assert verify(poisoned, CALCULATIONS).agrees
    catch_up(poisoned, [CALCULATIONS])
    assert state(poisoned, CALCULATIONS)[1] == {4, bad}
    assert verify(poisoned, CALCULATIONS).agrees


def test_another_definition_tries_again_what_was_parked_under_the_first(engine: Engine) -> None:
    """Being parked is the verdict of a definition; being discarded is a person's."""
    # Given: two events that the table refused, one of them discarded; and now it would take them
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE calculations ADD CONSTRAINT c CHECK (gap < 20)"))
    record(engine, started(WATER, "O"), completed(WATER, "O", gap=25))
    record(engine, started(ETHANOL, "CCO"), completed(ETHANOL, "CCO", gap=25))
    catch_up(engine, [CALCULATIONS])
    with engine.begin() as connection:
        discard(connection, CALCULATIONS.name, [4])
        connection.execute(text("ALTER TABLE calculations DROP CONSTRAINT c"))

    # When, then: the same definition keeps to what was decided
    rebuild(engine, CALCULATIONS)
    assert state(engine, CALCULATIONS)[1] == {2, 4}

    # When, then: another does not, but for the discarded one
    with engine.begin() as connection:
        change = update(projection_checkpoints).values(fingerprint="another")
        connection.execute(change.where(projection_checkpoints.c.projection == CALCULATIONS.name))
    rebuild(engine, CALCULATIONS)
    assert state(engine, CALCULATIONS)[1] == {4}
    assert verify(engine, CALCULATIONS).agrees


def test_an_explanation_names_what_was_left_out(poisoned: Engine) -> None:
    """The parked event is among the row's, and gave nothing."""
    catch_up(poisoned, [CALCULATIONS])
    with poisoned.connect() as connection:
        key = {"tenant_id": DEFAULT_TENANT_ID, "id": WATER}
        lineage = explain(connection, CALCULATIONS, key, 7)

    assert [(step.event.position, step.effect) for step in lineage.steps] == [
        (2, Effect.BEGAN),
        (4, Effect.PARKED),
        (6, Effect.FOLDED),
    ]
    assert lineage.row is not None
    assert lineage.row["energy"] is None


def test_a_key_that_cannot_be_read_stops_nobody(engine: Engine) -> None:
    """Looks at the past by key, and retries, survive an event whose key is no id."""
    molecules = PROJECTIONS["molecules"]
    record(engine, created("O"))
    bad = spoil(engine, completed(WATER, "O"), molecule_id="water")
    record(engine, completed(ETHANOL, "O"))
    catch_up(engine, PROJECTIONS.values())
    assert bad in state(engine, molecules)[1]

    with engine.connect() as connection:
        past = rows_at(molecules, 3).subquery("past")
        wanted = molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)
        (row,) = connection.execute(select(past).where(past.c.id == wanted)).mappings()
        assert row["completed_calculation_count"] == 1
    (again,) = refold(engine, molecules)
    assert again.reason is not None
    for projection in concerned(engine):
        assert verify(engine, projection).agrees


def test_what_is_not_the_fault_of_an_event_parks_none(engine: Engine) -> None:
    """A table that is not there stops its projection, and the others go on."""
    record(engine, created("O"), started(WATER, "O"))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE calculations RENAME TO gone"))

    with pytest.raises(FoldFailed, match="calculations stopped: events 1 to 2"):
        catch_up(engine, PROJECTIONS.values())

    with engine.connect() as connection:
        assert count_parked(connection) == {}
        positions = {c.projection: c.position for c in read_checkpoints(connection).values()}
    assert positions == dict.fromkeys(PROJECTIONS, 2) | {"calculations": 0}


def test_many_at_once_are_committed_bit_by_bit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all is poison, what was found is kept, and the end is reached all the same."""
    monkeypatch.setattr("quantum_forge.projections.project.projector.POISON_SECONDS", 0.0)
    record(engine, started(WATER, "O"))
    for _ in range(5):
        spoil(engine, completed(WATER, "O"), energy="low")
    advances: list[Advance] = []

    catch_up(engine, [CALCULATIONS], on_advance=advances.append)

    assert sum(advance.parked for advance in advances) == 5
    assert len(advances) > 3
    assert verify(engine, CALCULATIONS).agrees


def test_a_retry_that_the_server_ended_is_repeated(
    poisoned: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that stands still for too long, as on a busy machine, costs one attempt."""
    catch_up(poisoned, [CALCULATIONS])
    pauses = iter([0.5])
    monkeypatch.setattr(folding, "_TUNED", "SET LOCAL idle_in_transaction_session_timeout = 100")

    def locked_slowly(connection: Connection, projection: Projection) -> Checkpoint | None:
        time.sleep(next(pauses, 0))
        return lock_checkpoint(connection, projection)

    monkeypatch.setattr(refolding, "lock_checkpoint", locked_slowly)
    (again,) = refold(poisoned, CALCULATIONS)

    assert again.reason is not None
    assert next(pauses, None) is None
    assert state(poisoned, CALCULATIONS)[1] == {4}


@pytest.mark.usefixtures("poisoned")
def test_the_commands_list_retry_and_discard(qforge_here: Qforge) -> None:
    """And project, status and doctor tell."""
    assert qforge_here("dead-letters", "list").stderr == "Every event could be folded.\n"
    told = qforge_here("project", "--once").stderr
    assert "calculations: 1 event could not be folded; see: qforge dead-letters list" in told

    header, *lines = qforge_here("dead-letters", "list", "calculations").stdout.splitlines()
    assert header.split("\t")[:3] == ["projection", "position", "event_type"]
    assert [line.split("\t")[:3] for line in lines] == [
        ["calculations", "4", "calculation_completed"]
    ]
    assert '"calculations":1' in qforge_here("status", "--json").stdout
    assert "qforge dead-letters list" in qforge_here("status").stderr
    assert "calculations leaves out 1 event" in qforge_here("doctor", status=None).stdout

    refused = qforge_here("dead-letters", "retry", "calculations", status=1)
    assert refused.stdout.splitlines()[1].startswith("calculations\t4\tinvalid input syntax")
    gone = qforge_here("dead-letters", "discard", "calculations", "4")
    assert gone.stderr == "calculations leaves out the events at 4.\n"
    assert (
        "does not leave out the event at 9"
        in qforge_here("dead-letters", "discard", "calculations", "9", status=2).stderr
    )
    assert qforge_here("dead-letters", "list", "calculations").stdout == ""
    assert "4" in qforge_here("dead-letters", "list", "calculations", "--all").stdout
    none = qforge_here("dead-letters", "retry", "calculations")
    assert none.stderr == "No event waits for a retry.\n"
