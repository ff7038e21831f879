"""Projects: molecules move between them, and deleting one deletes everything in it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection, Table

from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent, Stream
from quantum_forge.eventstore.recording.entity_locks import hold
from quantum_forge.eventstore.recording.latest_fields import latest_ids
from quantum_forge.eventstore.recording.members import members
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.discovery import (
    AdmetPredictionDeleted,
    DockingResultDeleted,
    ProjectDeleted,
    ProteinStructureDeleted,
    admet_predictions,
    docking_results,
    protein_structures,
)
from quantum_forge.schema.domains.molecules import (
    MoleculeAddedToProject,
    MoleculeDeleted,
    MoleculeRemovedFromProject,
    molecules,
)
from quantum_forge.schema.language.event import Event


def move_molecule(recorder: Recorder, molecule_id: UUID, *, project_id: UUID | None) -> bool:
    """Have a molecule leave the project that it is in, and join another; None: no other.

    Returns:
        Whether anything was recorded: not of a molecule that is there already.

    Raises:
        RuleBroken: when there is no such molecule or project.
    """

    def decide(connection: Connection) -> list[NewEvent]:
        stream = recorder.stream("molecule", molecule_id)
        version = read_standings(connection, [stream])[stream].version
        now = latest_ids(connection, [stream], "project_id")[stream]
        happened: list[Event] = []
        if now is not None and now != project_id:
            happened.append(MoleculeRemovedFromProject())
        if project_id is not None and now != project_id:
            happened.append(MoleculeAddedToProject(project_id=project_id))
        return [recorder.new(molecule_id, event, expected_version=version) for event in happened]

    return bool(recorder.decide(decide))


def delete_project(
    recorder: Recorder,
    project_id: UUID,
    *,
    reason: str | None = None,
    expected_version: int | None = ANY_VERSION,
) -> ProjectDeleted:
    """Delete a project, its molecules, and their and its predictions, structures and dockings.

    One atomic append with one event for each, all caused by the project's own. What others add
    to the project at the same moment is deleted, too, or refused.

    Returns:
        What was recorded of the project: its counts say how much was in it.

    Raises:
        RuleBroken: when there is no such project, or it was deleted before.
        VersionConflict: when its history is not at the expected version.
    """
    deleted: list[NewEvent] = []

    def decide(connection: Connection) -> Sequence[NewEvent]:
        nonlocal deleted
        deleted = project_deletion(
            connection, recorder, project_id, reason=reason, expected_version=expected_version
        )
        return deleted

    recorder.decide(decide)
    first = deleted[0].event
    assert isinstance(first, ProjectDeleted)
    return first


def project_deletion(
    connection: Connection,
    recorder: Recorder,
    project_id: UUID,
    *,
    reason: str | None = None,
    expected_version: int | None = ANY_VERSION,
) -> list[NewEvent]:
    """Return the events that delete a project, its own first; nobody adds to it from here on."""
    parts = _parts(connection, recorder.tenant_id, project_id)
    deleted = ProjectDeleted(
        reason=reason,
        molecule_count=len(parts["molecule"]),
        prediction_count=len(parts["admet_prediction"]),
        structure_count=len(parts["protein_structure"]),
        docking_count=len(parts["docking_result"]),
    )
    first = recorder.new(project_id, deleted, expected_version=expected_version)
    author = recorder.author.because_of(first.event_id)
    return [
        first,
        *(
            author.new(id_, _END[kind], expected_version=version)
            for kind, versions in parts.items()
            for id_, version in versions.items()
        ),
    ]


def _parts(connection: Connection, tenant_id: UUID, project_id: UUID) -> dict[str, dict[UUID, int]]:
    """What is in a project, by type of entity: versions by id."""

    def those(
        table: Table, kind: str, column: str, ids: Collection[UUID] = (project_id,)
    ) -> dict[UUID, int]:
        return members(connection, tenant_id, table, kind, column, ids)

    # From here on nobody adds to the project …
    hold(connection, exclusively=[Stream(tenant_id, "project", project_id)])
    its_molecules = those(molecules, "molecule", "project_id")
    structures = those(protein_structures, "protein_structure", "project_id")
    # … and from here on to what is in it.
    held = [Stream(tenant_id, "molecule", id_) for id_ in its_molecules]
    held += [Stream(tenant_id, "protein_structure", id_) for id_ in structures]
    hold(connection, exclusively=held)
    predictions = {
        **those(admet_predictions, "admet_prediction", "project_id"),
        **those(admet_predictions, "admet_prediction", "molecule_id", its_molecules),
    }
    dockings = {
        **those(docking_results, "docking_result", "project_id"),
        **those(docking_results, "docking_result", "molecule_id", its_molecules),
        **those(docking_results, "docking_result", "protein_id", structures),
    }
    return {
        "molecule": its_molecules,
        "admet_prediction": predictions,
        "protein_structure": structures,
        "docking_result": dockings,
    }


_WITH_ITS_PROJECT = "its project was deleted"

_END: dict[str, Event] = {
    "molecule": MoleculeDeleted(reason=_WITH_ITS_PROJECT),
    "admet_prediction": AdmetPredictionDeleted(reason=_WITH_ITS_PROJECT),
    "protein_structure": ProteinStructureDeleted(reason=_WITH_ITS_PROJECT),
    "docking_result": DockingResultDeleted(reason=_WITH_ITS_PROJECT),
}
