"""Actions on molecules and calculations.

A runner that computes uses `Recorder.calculation`, which records however an attempt ends.
"""

from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.eventstore.recording.latest_fields import latest_ids
from quantum_forge.eventstore.recording.rules import read_standings
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationErrorResolved,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRequested,
    CalculationRetryScheduled,
    CalculationStarted,
)
from quantum_forge.schema.domains.molecules import (
    MoleculeAddedToProject,
    MoleculeCreated,
    MoleculeDeleted,
    MoleculePropertiesComputed,
    MoleculeRemovedFromProject,
    MoleculeUpdated,
)
from quantum_forge.schema.language.event import Event


class Molecules(Domain):
    """A molecule is known by its SMILES or identity key, charge and multiplicity."""

    create = creates(MoleculeCreated)
    update = happens(MoleculeUpdated)
    record_properties = happens(MoleculePropertiesComputed)
    delete = happens(MoleculeDeleted)

    def move(self, molecule_id: UUID, *, project_id: UUID | None) -> None:
        """Have a molecule leave the project that it is in, and join another; None: none.

        Raises:
            RuleBroken: when there is no such molecule or project.
        """

        def decide(connection: Connection) -> list[NewEvent]:
            stream = Stream(self.author.tenant_id, "molecule", molecule_id)
            version = read_standings(connection, [stream])[stream].version
            now = latest_ids(connection, [stream], "project_id")[stream]
            happened: list[Event] = []
            if now is not None and now != project_id:
                happened.append(MoleculeRemovedFromProject())
            if project_id is not None and now != project_id:
                happened.append(MoleculeAddedToProject(project_id=project_id))
            return [
                self.author.new(molecule_id, event, expected_version=version) for event in happened
            ]

        self.decide(decide)


class Calculations(Domain):
    """A calculation has attempts; each begins with a start and has one end."""

    request = creates(CalculationRequested)
    start = happens(CalculationStarted)
    complete = happens(CalculationCompleted)
    fail = happens(CalculationFailed)
    lose = happens(CalculationLost)
    invalidate = happens(CalculationInvalidated)
    schedule_retry = happens(CalculationRetryScheduled)
    resolve_error = happens(CalculationErrorResolved)
