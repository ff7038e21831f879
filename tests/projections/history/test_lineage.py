"""An explanation cannot disagree with the row that it explains."""

import json
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, update

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.history.lineage import (
    Effect,
    Lineage,
    NoSuchRow,
    SeveralRows,
    explain,
    find_key,
)
from quantum_forge.projections.project.folding import fold
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.molecules import MoleculeDeleted, molecule_id
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import Projection
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, failed, happened, record, started
from tests.support.histories import histories
from tests.support.recording import bounds, recorded, rolled_back
from tests.support.tables import whole_rows

WATER = UUID("aaaa1111-0000-4000-8000-000000000001")
AGAIN = UUID("aaaa2222-0000-4000-8000-000000000002")
WATER_MOLECULE = molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)
SEVERAL = {Operation.COUNT, Operation.SUM, Operation.TALLY}


@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=lambda p: p.name)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_an_explanation_has_the_values_of_the_row(
    projection: Projection, common_engine: Engine, data: st.DataObject
) -> None:
    """From the events of the key alone, the same row; those that are named suffice for a value."""
    history = data.draw(histories([projection]))
    with common_engine.connect() as connection, rolled_back(connection):
        # Given: a history that is folded
        events = recorded(connection, history)
        first, head = bounds(events)
        fold(connection, projection, after=first, upto=head)
        rows = whole_rows(connection, projection)

        for key, row in list(rows.items())[:3]:
            # When: a row is explained
            named = dict(zip(("tenant_id", *projection.key), key, strict=True))
            lineage = explain(connection, projection, named, head)

            # Then: it is that row, every value from events of its history
            assert lineage.row == row
            assert {origin.column: origin.value for origin in lineage.origins} == row
            behind = {step.event.position: step.event for step in lineage.steps}
            assert all(set(origin.positions) <= behind.keys() for origin in lineage.origins)
            origins_suffice(projection, lineage, list(behind.values()))


def origins_suffice(projection: Projection, lineage: Lineage, events: list[RecordedEvent]) -> None:
    """Without any event that is not named for a column, the column is what it is."""
    assert lineage.row is not None
    key = tuple(lineage.key.values())
    opening = [step.event for step in lineage.steps if step.effect is Effect.BEGAN][-1]
    computed = {column.name for column in projection.table.columns if column.computed is not None}
    for origin in lineage.origins:
        if origin.column in computed:
            assert origin.positions or not origin.value, "without events, it is 0 or null"
            continue
        needed = {opening.position, *origin.positions}
        reference = Reference(projection)
        reference.apply_all(event for event in events if event.position in needed)
        assert reference.rows[key][origin.column] == origin.value
        folds = {fold.column.name: fold.operation for fold in projection.folds}
        if folds.get(origin.column) not in SEVERAL:
            assert len(origin.positions) <= 1
        elif isinstance(origin.value, int) and folds[origin.column] is Operation.COUNT:
            assert len(origin.positions) == origin.value


def test_a_row_that_ended_is_explained_by_how_it_ended(connection: Connection) -> None:
    """There is no row any more; what it was told, and what came too late, is still there."""
    story = [
        created("O"),
        completed(WATER, "O"),
        happened(MoleculeDeleted(), WATER_MOLECULE),
        completed(AGAIN, "O"),
    ]
    head = append(connection, story)[-1].position
    key = {"tenant_id": DEFAULT_TENANT_ID, "id": WATER_MOLECULE}

    lineage = explain(connection, PROJECTIONS["molecules"], key, head)
    before = explain(connection, PROJECTIONS["molecules"], key, head - 2)

    effects = [step.effect for step in lineage.steps]
    assert effects == [Effect.BEGAN, Effect.FOLDED, Effect.ENDED, Effect.IGNORED]
    assert (lineage.row, lineage.origins) == (None, [])
    assert before.row is not None
    assert before.row["completed_calculation_count"] == 1


def test_a_key_may_be_cut_short_while_it_means_one_row(engine: Engine) -> None:
    """The beginning of an id, without the columns that follow; but never two rows."""
    record(engine, created("O"), started(WATER, "O"), completed(WATER, "O"), started(AGAIN, "O"))
    catch_up(engine, PROJECTIONS.values())
    calculations, atoms = PROJECTIONS["calculations"], PROJECTIONS["atomic_properties"]
    with engine.connect() as connection:

        def found(projection: Projection, *parts: str) -> tuple[object, ...]:
            key = find_key(connection, projection, DEFAULT_TENANT_ID, parts)
            return tuple(key[name] for name in projection.key)

        assert found(calculations, "aaaa1") == (WATER,)
        assert found(calculations, str(WATER).upper()) == (WATER,)
        assert found(atoms, "aaaa1111", "3") == (WATER, 3)
        with pytest.raises(SeveralRows, match=f"{WATER}, {AGAIN}"):
            found(calculations, "aaaa")
        with pytest.raises(SeveralRows, match=f"{WATER},0, {WATER},1"):
            found(atoms, str(WATER))
        for parts in (["ffff"], ["aaaa1111", "2"], ["water"], []):
            with pytest.raises(NoSuchRow, match="give ID"):
                found(calculations, *parts)
        with pytest.raises(NoSuchRow):
            found(atoms, "aaaa1111", str(2**40))


# -- the commands


@pytest.fixture
def positions(engine: Engine) -> Sequence[int]:
    """Return where the events of two calculations are, one of which fails; all projected."""
    placed = [
        record(engine, event)[0].position
        for event in (
            created("O"),
            started(WATER, "O"),
            completed(WATER, "O", gap=14.6),
            started(AGAIN, "O"),
            failed(AGAIN, "O"),
        )
    ]
    catch_up(engine, PROJECTIONS.values())
    return placed


def test_explain_says_which_event_gave_each_value(
    positions: Sequence[int], qforge_here: Qforge
) -> None:
    """Values, positions and events by column; then every event of the row."""
    _, begun, done, _, lost = positions

    told = qforge_here("explain", "calculations", "aaaa1").stdout.splitlines()
    counted = qforge_here("explain", "molecules", str(WATER_MOLECULE), "--json").stdout
    atom = json.loads(qforge_here("explain", "atomic_properties", "aaaa1,2", "--json").stdout)
    earlier = qforge_here("explain", "calculations", "aaaa1", "--at", str(begun)).stdout
    never = qforge_here("explain", "calculations", str(UUID(int=5)), status=1)

    assert f"gap\t14.6\t{done}\tcalculation_completed" in told
    assert f"attempt\t1\t{begun}\tcalculation_started" in told
    assert "\tstatus\trunning\t" in f"\t{earlier}".replace("\n", "\n\t")
    origins = {origin["column"]: origin for origin in json.loads(counted)["origins"]}
    assert origins["completed_calculation_count"]["positions"] == [done]
    assert origins["failed_calculation_count"]["positions"] == [lost]
    assert atom["row"]["position_x"] == 2.0
    assert [step["effect"] for step in atom["steps"]] == ["began"]
    assert "no row of calculations" in never.stderr


def test_as_of_prints_the_rows_as_they_were(
    positions: Sequence[int], engine: Engine, qforge_here: Qforge
) -> None:
    """At a position or a time, restricted by any column, whatever the table holds now."""
    calculations = PROJECTIONS["calculations"]
    with engine.begin() as connection:
        connection.execute(update(calculations.table).values(status="lost"))

    def statuses(*arguments: str) -> dict[str, str]:
        found = json.loads(qforge_here("as-of", *arguments, "--json").stdout)
        return {row["id"]: row["status"] for row in found}

    water, again = str(WATER), str(AGAIN)
    assert statuses(str(positions[1]), "calculations") == {water: "running"}
    assert statuses("0s", "calculations") == {water: "completed", again: "failed"}
    assert statuses("0", "calculations") == {}
    assert statuses("0s", "calculations", "--where", "gap=14.6") == {water: "completed"}
    assert statuses("0s", "calculations", "--where", "gap=", "--where", "charge=0") == {
        again: "failed"
    }
    assert statuses("0s", "calculations", "--limit", "1") == {water: "completed"}
    header, row = qforge_here("as-of", "0s", "calculations", "--where", f"id={again}").stdout.split(
        "\n", 1
    )
    assert header.startswith("id\tmolecule_id\t")
    assert row.startswith(again)

    early = qforge_here("as-of", "1h", "calculations", status=2)
    assert "before the beginning of the log" in early.stderr
    beyond = qforge_here("as-of", "999999", "calculations", status=2)
    assert "beyond the end of the log" in beyond.stderr
    for wrong in ("charge=many", "colour=red", "status"):
        refused = qforge_here("as-of", "0s", "calculations", "--where", wrong, status=2)
        assert "--where" in refused.stderr


def test_diff_prints_what_changed(positions: Sequence[int], qforge_here: Qforge) -> None:
    """Added and removed rows in a line, changed ones by column."""
    first, begun, done, *_ = (str(position) for position in positions)

    grown = qforge_here("diff", "calculations", "--from", first)
    changed = qforge_here("diff", "calculations", "--from", begun, "--to", done)
    back = json.loads(
        qforge_here("diff", "calculations", "--from", done, "--to", first, "--json").stdout
    )

    assert "2 added, 0 removed, 0 changed" in grown.stderr
    assert f"added\t{WATER}\t\t\t" in grown.stdout
    assert f"changed\t{WATER}\tstatus\trunning\tcompleted" in changed.stdout
    assert f"changed\t{WATER}\tgap\t\t14.6" in changed.stdout
    assert (back["difference"]["removed"], back["from"], back["to"]) == (1, int(done), int(first))
    qforge_here("diff", "calculations", "--from", "1w", "--to", "2999-01-01", status=2)
