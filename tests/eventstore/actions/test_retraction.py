"""Retractions: a decision and the invalidation of all that it covers, in one append."""

import json
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine, select, text

from quantum_forge.eventstore.actions.retraction import (
    Criteria,
    NothingChosen,
    extent,
    retract,
)
from quantum_forge.eventstore.actions.reversal import AlreadyReversed, reverse
from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.repeated_retractions import repeated_by
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import batch_id
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.tables import event_logs
from tests.conftest import Qforge
from tests.support.campaigns import campaign, counted, rows, statuses, write
from tests.support.chemical_history import NOON, ONE, completed, created, record, started

AUTHOR = Author(tenant_id=DEFAULT_TENANT_ID, user_id=UUID(int=9, version=4))
DRUGS = batch_id(DEFAULT_TENANT_ID, "drugs")
OTHER_TENANT = UUID(int=2, version=4)
A, B, C, D = (UUID(int=n, version=4) for n in (1, 2, 3, 4))
EVERYTHING = Criteria(since=NOON - timedelta(days=1))


def done(id_: UUID, *, version: str = "0.4.0", host: str = "node1", **given: Any) -> list[NewEvent]:
    """A calculation that completed, by a version on a host."""
    method = given.pop("method", "GFN2-xTB")
    began = started(
        id_, "O", method=method, batch_id=given.get("batch_id"), tenant_id=_tenant(given)
    )
    ended = completed(id_, "O", **given)
    event = msgspec.structs.replace(ended.event, program_version=version)
    return [began, msgspec.structs.replace(ended, event=event, metadata={"host": host})]


def _tenant(given: dict[str, Any]) -> UUID:
    tenant_id = given.get("tenant_id", DEFAULT_TENANT_ID)
    assert isinstance(tenant_id, UUID)
    return tenant_id


@pytest.fixture
def four(engine: Engine) -> Engine:
    """Return a database with four results of one tenant, which differ, and one of another."""
    record(
        engine,
        created("O"),
        *done(A),
        *done(B, version="0.5.0", host="node2"),
        *done(C, method="GFN1-xTB", batch_id=DRUGS),
        *done(D, at=ONE + timedelta(hours=1)),
        *done(A, tenant_id=OTHER_TENANT),
    )
    return engine


@pytest.mark.parametrize(
    ("criteria", "covered"),
    [
        (Criteria(program_version="0.4.0"), {A, C, D}),
        (Criteria(host="node2"), {B}),
        (Criteria(method="GFN1-xTB"), {C}),
        (Criteria(batch_id=DRUGS), {C}),
        (Criteria(since=ONE + timedelta(minutes=1)), {D}),
        (Criteria(until=ONE + timedelta(minutes=1)), {A, B, C}),
        (Criteria(program_version="0.4.0", host="node2"), set()),
        (Criteria(calculation_id=B), {B}),
        (Criteria(calculation_id=B, program_version="0.4.0"), set()),
        (Criteria(molecule_id=molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)), {A, B, C, D}),
        (Criteria(molecule_id=A), set()),
    ],
)
def test_the_extent_is_what_the_criteria_say(
    four: Engine, criteria: Criteria, covered: set[UUID]
) -> None:
    """Each restricts, they hold together, and another tenant's results are never covered."""
    with four.connect() as connection:
        assert set(extent(connection, DEFAULT_TENANT_ID, criteria).examples) == covered


def test_a_run_is_warned_of_a_retracted_version(four: Engine) -> None:
    """Of decisions that name its version or method, as far as their other criteria hold for it."""
    for criteria, reason in (
        (Criteria(program_version="0.4.0", host="node1"), "faulty memory"),
        (Criteria(program_version="0.5.0"), "wrong parameters"),
        (Criteria(calculation_id=D), "a typing error"),
        (Criteria(host="node1"), "all of it"),
    ):
        retract(four, AUTHOR, criteria, reason)

    def warned(version: str, host: str, tenant_id: UUID = DEFAULT_TENANT_ID) -> list[str]:
        with four.connect() as connection:
            found = repeated_by(
                connection, tenant_id, method="GFN2-xTB", program_version=version, host=host
            )
        return [each.reason for each in found]

    assert warned("0.4.0", "node1") == ["faulty memory"]
    assert warned("0.4.0", "node2") == []
    assert warned("0.5.0", "node3") == ["wrong parameters"]
    assert warned("0.5.0", "node3", OTHER_TENANT) == []


def test_one_result_or_those_of_a_molecule_are_retracted(qforge_here: Qforge, four: Engine) -> None:
    """By the references that `show` takes; what is covered is said before."""
    looked = qforge_here("retract", "--calculation", str(C), "--dry-run", "--json")
    assert json.loads(looked.stdout)["examples"] == [str(C)]

    looked = qforge_here("retract", "--method", "gfn1", "--dry-run", "--json")
    assert json.loads(looked.stdout)["examples"] == [str(C)]

    qforge_here("retract", "--calculation", str(C), "--reason", "a typing error")
    assert statuses(four) == {"invalidated": 1, "completed": 4}
    qforge_here("retract", "--molecule", "O", "--reason", "not water")
    assert statuses(four) == {"invalidated": 4, "completed": 1}


def test_a_retraction_without_a_criterion_is_refused(four: Engine) -> None:
    """Nobody takes everything back by leaving out an option."""
    with pytest.raises(NothingChosen, match="select results"):
        retract(four, AUTHOR, Criteria(), "a slip")


def test_what_is_covered_is_invalidated_by_one_decision(four: Engine) -> None:
    """Each with its own event, which has the decision as its cause; a second run finds nothing."""
    catch_up(four, PROJECTIONS.values())

    decided = retract(four, AUTHOR, Criteria(program_version="0.4.0"), "wrong parameters")

    assert decided is not None
    assert decided.calculation_count == 3
    with four.connect() as connection:
        (decision,) = read_stream(
            connection, Stream(DEFAULT_TENANT_ID, "retraction", decided.retraction_id)
        )
        causes = connection.scalars(
            select(event_logs.c.metadata["causation_id"].astext).where(
                event_logs.c.event_type == "calculation_invalidated"
            )
        ).all()
    assert decision.data["reason"] == "wrong parameters"
    assert causes == [str(decision.event_id)] * 3
    assert retract(four, AUTHOR, Criteria(program_version="0.4.0"), "again") is None
    assert counted(four)["results_retracted"] == 1

    # And then: the tables follow, and nothing of it counts any more
    assert Counter(r["status"] for r in rows(four, "calculations", ["tenant_id", "status"])) == {
        "invalidated": 3,
        "completed": 2,
    }
    (water,) = rows(four, "molecules")
    assert (water["calculation_count"], water["completed_calculation_count"]) == (1, 4)
    assert {row["calculation_id"] for row in rows(four, "atomic_properties")} == {A, B}
    assert all(verify(four, projection).agrees for projection in PROJECTIONS.values())


def test_the_command_shows_the_extent_first(qforge_here: Qforge, four: Engine) -> None:
    """A dry run records nothing; then a reason is needed; then nothing is left."""
    asked = ("retract", "--program-version", "0.4.0")

    told = json.loads(qforge_here(*asked, "--dry-run", "--json").stdout)
    assert (told["calculation_count"], told["hosts"]) == (3, {"node1": 3})
    assert counted(four)["results_retracted"] == 0
    assert "--reason" in qforge_here(*asked, status=2).stderr
    assert "Retracted 3 results" in qforge_here(*asked, "--reason", "wrong").stdout
    assert "Nothing to retract" in qforge_here(*asked, "--reason", "wrong").stderr
    qforge_here("retract", "--reason", "everything", status=2)


def test_what_runs_anew_is_not_covered(four: Engine) -> None:
    """Its next result is another one; when it fails, there is nothing to retract."""
    record(four, started(A, "O"))

    decided = retract(four, AUTHOR, EVERYTHING, "all")

    assert decided is not None
    assert decided.calculation_count == 3


def test_a_refused_retraction_leaves_no_trace(four: Engine) -> None:
    """All or none."""
    before = counted(four)

    with pytest.raises(EventRefused):
        retract(four, AUTHOR, EVERYTHING, "a reason with NUL \0")

    assert counted(four) == before


@pytest.mark.parametrize("count", [6_000, pytest.param(50_000, marks=pytest.mark.soak)])
def test_many_results_are_one_transaction(engine: Engine, count: int) -> None:
    """However large: decision and invalidations have one transaction id."""
    pairs = (done(uuid7()) for _ in range(count))
    load(engine, (event for pair in pairs for event in pair))

    decided = retract(engine, AUTHOR, Criteria(program_version="0.4.0"), "all of them")

    assert decided is not None
    assert decided.calculation_count == count
    with engine.connect() as connection:
        transactions = text(
            "SELECT count(*), count(DISTINCT xmin::text) FROM event_logs"
            " WHERE event_type IN ('results_retracted', 'calculation_invalidated')"
        )
        assert connection.execute(transactions).one() == (count + 1, 1)


def test_the_same_file_computes_anew_what_was_retracted(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike what physics refused."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    file = write(tmp_path / "one.smi", ["C methane"])
    campaign(engine, file, function="tests.support.runner_functions:hydrogen")
    retract(engine, AUTHOR, Criteria(method="GFN2-xTB"), "a broken build")
    assert statuses(engine) == {"invalidated": 1}

    tally = campaign(engine, file, function="tests.support.runner_functions:hydrogen")

    assert tally.completed == 1
    assert statuses(engine) == {"completed": 1}
    assert [row["calculation_count"] for row in rows(engine, "molecules")] == [1]


def test_a_reversal_restores_what_the_retraction_removed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are as they were, the same file computes nothing, and nobody is warned any more."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    file = write(tmp_path / "one.smi", ["C methane"])
    run = partial(campaign, engine, file, function="tests.support.runner_functions:hydrogen")
    run()
    tables = ("calculations", "atomic_properties", "batch_items", "calculation_execution_metrics")

    def state() -> dict[str, list[dict[str, Any]]]:
        catch_up(engine, PROJECTIONS.values())
        moved = {"created_at", "updated_at", "last_position"}
        found = {name: rows(engine, name) for name in tables}
        assert all(verify(engine, projection).agrees for projection in PROJECTIONS.values())
        return {
            name: [{k: v for k, v in row.items() if k not in moved} for row in its]
            for name, its in found.items()
        }

    before = state()
    for _ in range(2):  # what was restored can be retracted, and restored, again
        decided = retract(engine, AUTHOR, Criteria(method="GFN2-xTB"), "a broken build")
        assert decided is not None
        assert state()["atomic_properties"] == []

        undone = reverse(engine, AUTHOR, decided.retraction_id, "it was not broken")

        assert undone is not None
        assert (undone.calculation_count, undone.recalculated_count) == (1, 0)
        for name, its in state().items():
            assert its == before[name], name
        (methane,) = rows(engine, "molecules")
        assert methane["calculation_count"] == 1
    with engine.connect() as connection:
        assert not repeated_by(
            connection, DEFAULT_TENANT_ID, method="GFN2-xTB", program_version="1", host="h"
        )
    assert decided is not None
    with pytest.raises(AlreadyReversed, match="retract its results again"):
        reverse(engine, AUTHOR, decided.retraction_id, "again")
    assert run().before == 1
    assert statuses(engine) == {"completed": 1}


def test_a_reversal_leaves_what_was_computed_again(qforge_here: Qforge, four: Engine) -> None:
    """The command counts it, shows the extent first, and takes the beginning of an id."""
    qforge_here("retract", "--program-version", "0.4.0", "--reason", "wrong parameters")
    with four.connect() as connection:
        its_id = connection.scalar(
            select(event_logs.c.entity_id).where(event_logs.c.event_type == "results_retracted")
        )
    record(four, *done(A, version="0.5.0"))
    undo = ("retract", "--undo", str(its_id)[:13])

    told = json.loads(qforge_here(*undo, "--dry-run", "--json").stdout)
    assert (told["calculation_count"], told["recalculated_count"]) == (2, 1)
    assert set(told["examples"]) == {str(C), str(D)}
    assert counted(four)["retraction_reversed"] == 0
    assert "--method" in qforge_here(*undo, "--method", "gfn1", "--dry-run", status=2).stderr
    assert "no retraction" in qforge_here("retract", "--undo", "x", "--dry-run", status=2).stderr

    done_ = qforge_here(*undo, "--reason", "they were right")
    assert "Restored 2 results" in done_.stdout
    assert "Left 1 result that" in done_.stderr
    assert statuses(four) == {"completed": 5}
    exported = json.loads(qforge_here("dataset", "export", "all", "--json").stdout)
    assert (exported["rows"], exported["excluded"]) == (4, {})
    assert "was reversed at" in qforge_here(*undo, "--dry-run", status=1).stderr
