"""A batch's members are its items, and its identity holds its parameters and its file."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.datasets.difference import compare
from quantum_forge.datasets.export import export_file
from quantum_forge.datasets.manifest import Manifest, Recipe
from quantum_forge.datasets.reproduction import reproduce
from quantum_forge.datasets.selection import Selection
from quantum_forge.eventstore.actions.retraction import Criteria, extent, retract
from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import read_all, read_stream, safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.queries import lookup
from quantum_forge.projections.queries.lookup import Ambiguous, NotFound
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.runner.campaign.plan import Plan, source_of
from quantum_forge.schema.domains.batches import (
    BatchCancelled,
    BatchItemsAdded,
    BatchItemsNamed,
    BatchStarted,
    batch_id,
)
from quantum_forge.schema.domains.calculations import CalculationErrorResolved
from tests.support.campaigns import campaign, counted, rows, write

AUTHOR = Author(tenant_id=DEFAULT_TENANT_ID, user_id=UUID(int=9, version=4))
HYDROGEN = "tests.support.runner_functions:hydrogen"


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find what replaces chemistry."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))


@pytest.fixture
def two(engine: Engine, tmp_path: Path) -> Engine:
    """Return a database with the batches first and mine, which share a molecule."""
    campaign(engine, write(tmp_path / "first.smi", ["C methane", "CC ethane"]), function=HYDROGEN)
    campaign(engine, write(tmp_path / "mine.smi", ["C my-1", "CCC my-3"]), function=HYDROGEN)
    catch_up(engine, PROJECTIONS.values())
    return engine


def batch(name: str) -> UUID:
    """The id of a batch that `campaign` ran."""
    return Plan(batch=name).batch_id(DEFAULT_TENANT_ID)


def exported(engine: Engine, path: Path, name: str, position: int | None = None) -> Manifest:
    """Export a batch."""
    with engine.connect() as connection:
        head = safe_head(connection)
    recipe = Recipe(
        name="set",
        tenant_id=DEFAULT_TENANT_ID,
        position=position or head,
        selection=Selection(batch_id=batch(name)),
        format="jsonl",
    )
    return export_file(engine, recipe, path)


def test_the_identity_of_a_batch_is_all_that_changes_its_results(tmp_path: Path) -> None:
    """Each setting makes another batch; the timeout and the file's content do not."""
    file = write(tmp_path / "a.smi", ["C"])
    plans = [
        Plan(batch="a"),
        Plan(batch="b"),
        Plan(batch="a", source=source_of(file)),
        Plan(batch="a", source=source_of(tmp_path / "other" / "a.smi")),
        Plan(batch="a", method="GFN1-xTB"),
        Plan(batch="a", charge=1),
        Plan(batch="a", multiplicity=1),
        Plan(batch="a", solvent="water"),
        Plan(batch="a", engine="xtb"),
        Plan(batch="a", engine="xtb", optimization_level="tight"),
    ]
    tenants = (DEFAULT_TENANT_ID, UUID(int=2, version=4))
    before = source_of(file)

    assert len({plan.batch_id(tenant) for plan in plans for tenant in tenants}) == 20
    assert batch("a") == Plan(batch="a", timeout_seconds=1).batch_id(DEFAULT_TENANT_ID)
    write(file, ["C", "CC"])
    (tmp_path / "link.smi").symlink_to(file)
    assert source_of(file) == source_of(tmp_path / "link.smi") == before


def test_every_name_of_a_molecule_is_kept(engine: Engine, tmp_path: Path) -> None:
    """Two lines of one molecule are one item, which has the last name and is found by both."""
    file = write(tmp_path / "twice.smi", ["C methane", "C my-17", "not-a-molecule broken"])
    campaign(engine, file, function=HYDROGEN)
    before = counted(engine)
    campaign(engine, file, function=HYDROGEN)

    assert counted(engine) == before, "the same names are not recorded twice"
    assert rows(engine, "batch_items", ["name", "status"]) in (
        [{"name": "my-17", "status": "completed"}, {"name": "broken", "status": "failed"}],
        [{"name": "broken", "status": "failed"}, {"name": "my-17", "status": "completed"}],
    )
    names = {row["name"] for row in rows(engine, "batch_item_names", ["calculation_id", "name"])}
    assert names == {"methane", "my-17", "broken"}
    (job,) = rows(engine, "batch_jobs", ["total_count", "successful_count", "failed_count"])
    assert job == {"total_count": 2, "successful_count": 1, "failed_count": 1}

    # And a name that was corrected in the file replaces the old one
    campaign(engine, write(file, ["C marsh-gas"]), function=HYDROGEN)
    assert "marsh-gas" in {row["name"] for row in rows(engine, "batch_items", ["name"])}


def sources(engine: Engine, table: str) -> list[str]:
    """The sources of the multiplicities in a table, sorted."""
    return sorted(row["multiplicity_source"] for row in rows(engine, table))


@pytest.mark.parametrize("lines", [["C,", "C,1"], ["C,1", "C,"]])
def test_of_duplicates_the_one_that_states_the_spin_wins(
    engine: Engine, tmp_path: Path, lines: list[str]
) -> None:
    """Wherever it stands in the file: the calculation was asked for at this multiplicity."""
    file = write(tmp_path / "a.csv", ["smiles,multiplicity", *lines])

    tally = campaign(engine, file, function=HYDROGEN)

    assert (tally.completed, tally.duplicates) == (1, 1)
    assert sources(engine, "calculations") == ["given"]
    assert sources(engine, "batch_items") == ["given"]


def test_a_statement_about_a_calculation_that_had_begun_is_kept_with_the_item(
    engine: Engine, tmp_path: Path
) -> None:
    """The calculation keeps what it was begun with; a batch whose input states it says so."""
    file = write(tmp_path / "a.csv", ["smiles,multiplicity", "C,"])
    campaign(engine, file, function=HYDROGEN)
    campaign(
        engine,
        write(tmp_path / "b.csv", ["smiles,multiplicity", "C,1"]),
        function=HYDROGEN,
    )
    assert sources(engine, "batch_items") == ["assumed", "given"]

    # In the batch that assumed it, too
    for _ in range(2):
        campaign(engine, write(file, ["smiles,multiplicity", "C,1"]), function=HYDROGEN)
    assert sources(engine, "batch_items") == ["given", "given"]
    assert sources(engine, "calculations") == ["assumed"]
    with engine.connect() as connection:
        told = [e for e in read_all(connection) if isinstance(e.event, BatchItemsNamed)]
    assert len(told) == 1

    # An input that does not state it takes nothing back
    campaign(engine, write(file, ["smiles,multiplicity", "C,"]), function=HYDROGEN)
    assert sources(engine, "batch_items") == ["given", "given"]


def test_files_that_join_a_batch_are_counted_together(engine: Engine, tmp_path: Path) -> None:
    """The counts are those of all items, whichever file brought them."""
    for folder, lines in (("ada", ["C", "CC"]), ("bob", ["CC", "CCC"])):
        (tmp_path / folder).mkdir()
        campaign(engine, write(tmp_path / folder / "part.smi", lines), function=HYDROGEN)

    (job,) = rows(engine, "batch_jobs", ["status", "total_count", "successful_count"])
    assert job == {"status": "completed", "total_count": 3, "successful_count": 3}
    assert len(rows(engine, "batch_items")) == 3


def test_a_dataset_of_a_batch_is_its_items_at_a_position(two: Engine, tmp_path: Path) -> None:
    """Results that existed before are in it; it is made again after retractions, and compared."""
    with two.connect() as connection:
        before = next(e.position for e in read_all(connection) if e.data.get("name") == "mine")
    mine = exported(two, tmp_path / "mine.jsonl", "mine")
    assert mine.rows == 2
    assert '"my-1"' in (tmp_path / "mine.jsonl").read_text()
    assert exported(two, tmp_path / "early.jsonl", "mine", before).rows == 0
    assert exported(two, tmp_path / "first.jsonl", "first", before).rows == 2

    retract(two, AUTHOR, Criteria(batch_id=batch("first")), "a test")

    assert reproduce(two, mine, AUTHOR, output=tmp_path / "again.jsonl").same_bytes
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "mine.jsonl").read_bytes()
    found = compare(two, mine, None, AUTHOR)
    assert (found.removed, found.removed_because) == (1, {"retracted": 1})


def test_a_retraction_of_a_batch_covers_what_it_computed(two: Engine) -> None:
    """What it reused is left and counted, unless it is asked for; who else uses it is told."""
    computed = Criteria(batch_id=batch("mine"))
    with_reused = Criteria(batch_id=batch("mine"), with_reused=True)
    of_first = Criteria(batch_id=batch("first"))
    with two.connect() as connection:
        own, every, others = (
            extent(connection, DEFAULT_TENANT_ID, criteria)
            for criteria in (computed, with_reused, of_first)
        )

    assert (own.calculation_count, own.reused_count, own.reused_by) == (1, 1, {})
    assert (every.calculation_count, every.reused_count) == (2, 0)
    assert (others.calculation_count, others.reused_count) == (2, 0)
    assert others.reused_by == {f"mine {str(batch('mine'))[:8]}": 1}

    done = retract(two, AUTHOR, computed, "a test")
    assert done is not None
    assert (done.calculation_count, done.reused_count) == (1, 1)


def test_a_shared_name_is_resolved_or_refused(engine: Engine) -> None:
    """By id or its beginning; a name of several batches is refused with what tells them apart."""
    old, new = batch_id(DEFAULT_TENANT_ID, "a"), batch("a")
    events = [
        NewEvent(
            tenant_id=DEFAULT_TENANT_ID,
            entity_id=id_,
            event=BatchStarted(name="a", parameters={"method": method}, total_count=1),
        )
        for id_, method in ((old, "GFN1-xTB"), (new, "GFN2-xTB"))
    ]
    with engine.begin() as connection:
        append(connection, events)
    catch_up(engine, PROJECTIONS.values())

    with engine.connect() as connection:
        for reference in (str(old), str(old)[:8]):
            assert lookup.find_batch(connection, DEFAULT_TENANT_ID, reference)["id"] == old
        with pytest.raises(Ambiguous) as refused:
            lookup.find_batch(connection, DEFAULT_TENANT_ID, "a")
        for told in (str(old)[:8], str(new)[:8], "GFN1-xTB", "GFN2-xTB"):
            assert told in str(refused.value)
        with pytest.raises(NotFound, match="qforge batches list"):
            lookup.find_batch(connection, DEFAULT_TENANT_ID, "nothing")


def test_an_old_batch_stays_readable(engine: Engine) -> None:
    """Items that were recorded as molecules alone are read, and concern no row until they begin."""
    molecule, its_batch = uuid4(), batch_id(DEFAULT_TENANT_ID, "old")
    events = [
        NewEvent(
            tenant_id=DEFAULT_TENANT_ID,
            entity_id=its_batch,
            event=event,
        )
        for event in (
            BatchStarted(name="old", parameters={}, total_count=1),
            BatchItemsAdded(items=[], molecule_ids=[molecule]),
        )
    ]
    with engine.begin() as connection:
        append(connection, events)
        connection.execute(text("ALTER TABLE event_logs DISABLE TRIGGER USER"))
        connection.execute(
            text(
                "UPDATE event_logs SET schema_version = 1, data = data - 'items'"
                " WHERE event_type = 'batch_items_added'"
            )
        )
        connection.execute(text("ALTER TABLE event_logs ENABLE TRIGGER USER"))

    with engine.connect() as connection:
        *_, event = read_all(connection)
    added = event.event
    assert isinstance(added, BatchItemsAdded)
    assert (added.items, added.molecule_ids) == ([], [molecule])
    assert rows(engine, "batch_items") == []
    assert [row["name"] for row in rows(engine, "batch_jobs")] == ["old"]


def test_a_batch_that_another_run_has_ended_is_resumed_before_this_one_ends_it(
    engine: Engine, tmp_path: Path
) -> None:
    """By the lifecycle, which every run keeps to."""
    file = write(tmp_path / "mine.smi", ["C methane"])
    ended = BatchCancelled(reason="stopped", total_count=1, successful_count=0, failed_count=0)
    with Recorder(engine, AUTHOR) as another:

        def cancel(_: bool) -> None:
            another.record(ended, of=batch("mine"))

        campaign(engine, file, function=HYDROGEN, on_input=cancel)
    campaign(engine, file, function=HYDROGEN)

    with engine.connect() as connection:
        stream = Stream(DEFAULT_TENANT_ID, "batch", batch("mine"))
        types = [event.event_type for event in read_stream(connection, stream)]
    assert types == [
        "batch_started",
        "batch_items_added",
        "batch_cancelled",
        "batch_resumed",
        "batch_completed",
    ]


def test_a_note_about_an_earlier_error_does_not_undo_a_result(
    engine: Engine, tmp_path: Path
) -> None:
    """A calculation that has completed is not computed again after somebody resolved its error."""
    file = write(tmp_path / "mine.smi", ["C methane"])
    campaign(engine, file, function=HYDROGEN)
    with engine.connect() as connection:
        (completed,) = (e for e in read_all(connection) if e.event_type == "calculation_completed")
    with Recorder(engine, AUTHOR) as recorder:
        resolved = CalculationErrorResolved(
            error_id=1, resolution_notes="a typing error", resolved_at=datetime.now(UTC)
        )
        recorder.record(resolved, of=completed.entity_id)

    assert campaign(engine, file, function=HYDROGEN).before == 1
    assert counted(engine)["calculation_started"] == 1
