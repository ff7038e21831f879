"""Projects and what is in them: counts, moves, and deletions that leave nothing behind."""

import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select, text

import quantum_forge.eventstore.recording.rules
from quantum_forge.eventstore.actions.by_name import record_by_name
from quantum_forge.eventstore.actions.projects import delete_project, move_molecule
from quantum_forge.eventstore.base.errors import EventRefused, RuleBroken, VersionConflict
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS, named
from quantum_forge.schema.domains.discovery import (
    AdmetPredictionDeleted,
    AdmetPredictionRecorded,
    DockingResultRecorded,
    PredictionType,
    ProjectCreated,
    ProjectDeleted,
    ProjectUpdated,
    ProteinStructureAdded,
    ProteinStructureDeleted,
    StructureMethod,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculeDeleted
from tests.support.appending import TENANT

AUTHOR = Author(tenant_id=TENANT, user_id=UUID(int=9, version=4))
TABLES = ["molecules", "projects", "admet_predictions", "protein_structures", "docking_results"]


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Return a recorder, which is closed afterwards."""
    with Recorder(engine, AUTHOR) as recorder:
        yield recorder


class Lab:
    """A project's recorders, and what they made."""

    def __init__(self, recorder: Recorder) -> None:
        self.engine = recorder.engine
        self.recorder = recorder

    def molecule(self, smiles: str, project: UUID | None) -> UUID:
        """Create one."""
        created = MoleculeCreated(**molecule(smiles), project_id=project)
        return self.recorder.record(created).entity_id

    def begin(self, name: str) -> UUID:
        """Create a project."""
        return self.recorder.record(ProjectCreated(name=name)).entity_id

    def prediction(self, of: UUID, project: UUID | None) -> UUID:
        """Predict something of a molecule."""
        return self.recorder.record(
            AdmetPredictionRecorded(
                project_id=project,
                molecule_id=of,
                prediction_type=PredictionType.TOXICITY,
                results={"hERG": 0.2},
                model_version="1",
                confidence_score=0.9,
            )
        ).entity_id

    def structure(self, project: UUID | None) -> UUID:
        """Add one."""
        return self.recorder.record(
            ProteinStructureAdded(
                project_id=project,
                sequence="MKT",
                structure_method=StructureMethod.RCSB,
                pdb_id="1ABC",
            )
        ).entity_id

    def docking(self, of: UUID, to: UUID, project: UUID | None) -> UUID:
        """Dock a molecule."""
        return self.recorder.record(
            DockingResultRecorded(
                project_id=project, molecule_id=of, protein_id=to, binding_affinity=-7.5
            )
        ).entity_id

    def project(self) -> None:
        """Bring the tables up to date."""
        catch_up(self.engine, named(TABLES))

    def counts(self, project: UUID) -> tuple[int, ...] | None:
        """Of molecules, predictions, structures, dockings; None where there is no project."""
        self.project()
        table = PROJECTIONS["projects"].table.c
        query = select(
            table.molecule_count, table.prediction_count, table.structure_count, table.docking_count
        ).where(table.id == project)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else tuple(row)

    def rows(self, table: str) -> int:
        """How many it has."""
        self.project()
        with self.engine.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def molecule(smiles: str) -> dict[str, Any]:
    """The fields of a molecule."""
    return {
        "smiles": smiles,
        "charge": 0,
        "multiplicity": 1,
        "formula": "CH4",
        "molecular_weight": 16.04,
        "generation_method": "manual",
        "toolkit": "RDKit",
        "toolkit_version": "1",
    }


@pytest.fixture
def lab(recorder: Recorder) -> Lab:
    """Return a laboratory of one author."""
    return Lab(recorder)


def test_counts_follow_what_comes_goes_and_moves(lab: Lab) -> None:
    """Each event of a part names its project; where the caller need not, the recorder does."""
    one, two = lab.begin("one"), lab.begin("two")
    methane, ethane = lab.molecule("C", one), lab.molecule("CC", None)
    prediction = lab.prediction(methane, one)
    structure = lab.structure(one)
    lab.docking(methane, structure, one)
    assert lab.counts(one) == (1, 1, 1, 1)

    move_molecule(lab.recorder, ethane, project_id=one)
    move_molecule(lab.recorder, methane, project_id=two)
    lab.recorder.record(AdmetPredictionDeleted(), of=prediction)
    assert lab.counts(one) == (1, 0, 1, 1)
    assert lab.counts(two) == (1, 0, 0, 0)

    move_molecule(lab.recorder, methane, project_id=two)  # it is there already
    move_molecule(lab.recorder, ethane, project_id=None)
    lab.recorder.record(MoleculeDeleted(), of=methane)
    assert lab.counts(one) == (0, 0, 1, 1)
    assert lab.counts(two) == (0, 0, 0, 0)

    lab.molecule("C", one)  # again, elsewhere
    lab.recorder.record(ProjectUpdated(name="first"), of=one)
    assert lab.counts(one) == (1, 0, 1, 1)


@pytest.mark.parametrize("projected", ["all", "none", "some"])
def test_a_deleted_project_takes_everything_with_it(lab: Lab, projected: str) -> None:
    """Whether it was projected or not: parts, and what hangs on its molecules and structures."""
    # Given: a project, another one, and things of either that hang on things of the other
    doomed, other = lab.begin("doomed"), lab.begin("other")
    inside, outside = lab.molecule("C", doomed), lab.molecule("CC", other)
    moved_in, moved_out = lab.molecule("CCC", other), lab.molecule("CCCC", doomed)
    if projected != "none":
        lab.project()
    move_molecule(lab.recorder, moved_in, project_id=doomed)
    move_molecule(lab.recorder, moved_out, project_id=other)
    protein, foreign_protein = lab.structure(doomed), lab.structure(other)
    lab.prediction(inside, doomed)
    lab.prediction(inside, None)
    kept = lab.prediction(outside, other)
    lab.docking(outside, protein, other)
    lab.docking(moved_in, foreign_protein, None)
    lab.docking(outside, foreign_protein, other)
    if projected == "all":
        lab.project()

    # When: it is deleted
    deleted = delete_project(lab.recorder, doomed, reason="done")

    # Then: so is all of it, in one transaction, caused by one event; and nothing else
    assert deleted == ProjectDeleted(
        reason="done", molecule_count=2, prediction_count=2, structure_count=1, docking_count=2
    )
    assert lab.counts(doomed) is None
    assert lab.counts(other) == (2, 1, 1, 1)
    assert {name: lab.rows(name) for name in TABLES} == {
        "molecules": 2,
        "projects": 1,
        "admet_predictions": 1,
        "protein_structures": 1,
        "docking_results": 1,
    }
    assert kept in ids(lab.engine, "admet_predictions")
    assert causes(lab.engine) == {(None, 1), ("project_deleted", 7)}


def test_nothing_happens_to_or_in_a_deleted_project(lab: Lab) -> None:
    """It is neither renamed, nor deleted twice, nor added to."""
    project, ethane = lab.begin("a"), lab.molecule("CC", None)
    delete_project(lab.recorder, project)

    for forbidden in (
        lambda: lab.recorder.record(ProjectUpdated(name="b"), of=project),
        lambda: delete_project(lab.recorder, project),
        lambda: lab.molecule("C", project),
        lambda: move_molecule(lab.recorder, ethane, project_id=project),
        lambda: lab.prediction(ethane, project),
        lambda: lab.structure(project),
    ):
        with pytest.raises(RuleBroken, match=f"project {project} is deleted"):
            forbidden()
    with pytest.raises(RuleBroken, match=r"project .* does not exist"):
        lab.molecule("C", uuid4())
    with pytest.raises(RuleBroken, match=r"molecule .* does not exist"):
        lab.prediction(uuid4(), None)


def test_a_wrong_project_is_refused_and_a_missing_one_filled_in(lab: Lab) -> None:
    """Otherwise a count would be wrong for ever."""
    project = lab.begin("a")
    structure = lab.structure(project)

    with pytest.raises(EventRefused, match=r"project_id is None, but .* was recorded before"):
        lab.recorder.record(ProteinStructureDeleted(project_id=None), of=structure)
    lab.recorder.record(ProteinStructureDeleted(), of=structure)

    assert lab.counts(project) == (0, 0, 0, 0)


def test_a_molecule_is_in_one_project_at_a_time(lab: Lab) -> None:
    """An event changes one row: a move is two, whoever records it, and by no other event."""
    one, two = lab.begin("one"), lab.begin("two")
    methane = lab.molecule("C", one)
    add = json.dumps({"project_id": str(two)}).encode()

    for project in (one, two):
        data = json.dumps({"project_id": str(project)}).encode()
        with pytest.raises(EventRefused, match=f"the project_id is already {one}"):
            record_by_name(lab.recorder, "molecule_added_to_project", data, entity_id=methane)
    with pytest.raises(EventRefused, match="unknown field `project_id`"):
        record_by_name(lab.recorder, "molecule_updated", add, entity_id=methane)
    record_by_name(lab.recorder, "molecule_removed_from_project", b"{}", entity_id=methane)
    record_by_name(lab.recorder, "molecule_added_to_project", add, entity_id=methane)

    assert (lab.counts(one), lab.counts(two)) == ((0, 0, 0, 0), (1, 0, 0, 0))


def test_what_is_added_while_a_project_is_deleted_is_deleted_or_refused(lab: Lab) -> None:
    """Ten threads add while one deletes: no molecule of a deleted project is left."""
    project = lab.begin("a")
    added, refused = [], []
    begun = threading.Event()

    def add(number: int) -> None:
        for n in range(8):
            try:
                added.append(lab.molecule("C" * (10 * number + n + 1), project))
                begun.set()
            except RuleBroken:
                refused.append(n)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    deleted = delete_project(lab.recorder, project)
    for thread in threads:
        thread.join()

    assert len(added) + len(refused) == 32
    assert deleted.molecule_count == len(added) >= 1
    assert lab.rows("molecules") == 0


def test_a_big_project_is_deleted_in_chunks_all_or_none(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append of several statements that fails in its last one leaves everything as it was."""
    monkeypatch.setattr(quantum_forge.eventstore.recording.rules, "CHUNK", 50)
    project = lab.begin("a")
    lab.recorder.record_all(
        *(
            AUTHOR.new(uuid4(), MoleculeCreated(**molecule("C" * n), project_id=project))
            for n in range(1, 201)
        )
    )
    sent = 0

    def breaking(connection: Any, events: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == 5:
            raise VersionConflict("molecule", 1, 2)
        return append(connection, events)

    with monkeypatch.context() as patch:
        patch.setattr(quantum_forge.eventstore.recording.rules, "TRIES", 1)
        patch.setattr(quantum_forge.eventstore.recording.rules, "append", breaking)
        with pytest.raises(VersionConflict):
            delete_project(lab.recorder, project)
    assert sent == 5
    assert lab.counts(project) == (200, 0, 0, 0)

    assert delete_project(lab.recorder, project).molecule_count == 200
    assert lab.rows("molecules") == 0
    assert causes(engine) == {(None, 1), ("project_deleted", 200)}


def ids(engine: Engine, table: str) -> set[UUID]:
    """The ids that a table has."""
    with engine.connect() as connection:
        return set(connection.scalars(text(f"SELECT id FROM {table}")))


def causes(engine: Engine) -> set[tuple[str | None, int]]:
    """Of the deletions of the last transaction: the type of what caused them, and how many."""
    query = text("""
        SELECT cause.event_type, count(*)
          FROM event_logs AS log
          LEFT JOIN event_logs AS cause
            ON cause.event_id = (log.metadata ->> 'causation_id')::uuid
         WHERE log.event_type LIKE '%\\_deleted'
           AND log.xmin = (SELECT xmin FROM event_logs WHERE event_type = 'project_deleted')
         GROUP BY cause.event_type
    """)
    with engine.connect() as connection:
        return {(cause, count) for cause, count in connection.execute(query)}
