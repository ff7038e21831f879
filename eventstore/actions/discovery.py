"""Actions in drug discovery; deleting a project deletes everything in it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection, Table

from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent, Stream
from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.eventstore.recording.members import members
from quantum_forge.eventstore.recording.rules import hold
from quantum_forge.schema.domains.discovery import (
    AdmetPredictionDeleted,
    DockingResultDeleted,
    ProjectCreated,
    ProjectDeleted,
    ProjectUpdated,
    ProteinStructureDeleted,
    admet_predictions,
    docking_results,
    protein_structures,
)
from quantum_forge.schema.domains.molecules import MoleculeDeleted, molecules
from quantum_forge.schema.language.event import Event


class Projects(Domain):
    """Projects, and all that is in them."""

    create = creates(ProjectCreated)
    update = happens(ProjectUpdated)

    def delete(
        self,
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
        deleted = ProjectDeleted(reason=reason)

        def decide(connection: Connection) -> Sequence[NewEvent]:
            nonlocal deleted
            parts = self._parts(connection, project_id)
            deleted = ProjectDeleted(
                reason=reason,
                molecule_count=len(parts["molecule"]),
                prediction_count=len(parts["admet_prediction"]),
                structure_count=len(parts["protein_structure"]),
                docking_count=len(parts["docking_result"]),
            )
            first = self.author.new(project_id, deleted, expected_version=expected_version)
            author = self.author.because_of(first.event_id)
            return [
                first,
                *(
                    author.new(id_, _END[kind], expected_version=version)
                    for kind, versions in parts.items()
                    for id_, version in versions.items()
                ),
            ]

        self.decide(decide)
        return deleted

    def _parts(self, connection: Connection, project_id: UUID) -> dict[str, dict[UUID, int]]:
        """What is in a project, by type of entity: versions by id."""
        tenant_id = self.author.tenant_id

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
