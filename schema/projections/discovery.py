"""How projects and what is in them follow from the log."""

from quantum_forge.schema.events.chemistry import (
    MoleculeAddedToProject,
    MoleculeCreated,
    MoleculeDeleted,
    MoleculeRemovedFromProject,
)
from quantum_forge.schema.events.discovery import (
    AdmetPredictionDeleted,
    AdmetPredictionRecorded,
    DockingResultDeleted,
    DockingResultRecorded,
    ProjectCreated,
    ProjectDeleted,
    ProjectPart,
    ProjectPartDeleted,
    ProjectUpdated,
    ProteinStructureAdded,
    ProteinStructureDeleted,
)
from quantum_forge.schema.language.fold import balance, last
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import entity_id, user_id
from quantum_forge.schema.tables import discovery as tables

projects = Projection(
    tables.projects,
    events=[
        ProjectCreated,
        ProjectUpdated,
        MoleculeCreated,
        MoleculeAddedToProject,
        MoleculeRemovedFromProject,
        MoleculeDeleted,
        AdmetPredictionRecorded,
        AdmetPredictionDeleted,
        ProteinStructureAdded,
        ProteinStructureDeleted,
        DockingResultRecorded,
        DockingResultDeleted,
    ],
    key={
        "id": (
            ProjectPart.project_id,
            ProjectPartDeleted.project_id,
            MoleculeCreated.project_id,
            MoleculeAddedToProject.project_id,
            MoleculeRemovedFromProject.from_project_id,
            MoleculeDeleted.from_project_id,
            entity_id,
        )
    },
    opens=[ProjectCreated],
    ends=[ProjectDeleted],
    columns={
        "user_id": last(user_id(ProjectCreated)),
        "name": last(ProjectCreated.name, ProjectUpdated.name),
        "molecule_count": balance(
            plus=[MoleculeCreated, MoleculeAddedToProject],
            minus=[MoleculeRemovedFromProject, MoleculeDeleted],
        ),
        "prediction_count": balance(plus=[AdmetPredictionRecorded], minus=[AdmetPredictionDeleted]),
        "structure_count": balance(plus=[ProteinStructureAdded], minus=[ProteinStructureDeleted]),
        "docking_count": balance(plus=[DockingResultRecorded], minus=[DockingResultDeleted]),
    },
)

admet_predictions = Projection(
    tables.admet_predictions,
    events=[AdmetPredictionRecorded],
    key={"id": entity_id},
    ends=[AdmetPredictionDeleted],
    columns={"user_id": last(user_id())},
)

protein_structures = Projection(
    tables.protein_structures,
    events=[ProteinStructureAdded],
    key={"id": entity_id},
    ends=[ProteinStructureDeleted],
    columns={"user_id": last(user_id())},
)

docking_results = Projection(
    tables.docking_results,
    events=[DockingResultRecorded],
    key={"id": entity_id},
    ends=[DockingResultDeleted],
    columns={"user_id": last(user_id())},
)

PROJECTIONS = [projects, admet_predictions, protein_structures, docking_results]
