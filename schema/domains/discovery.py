"""What happens in drug discovery: projects, predictions, protein structures, docking.

Every event of what belongs to a project names the project, so that its counts need no other table.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import BigInteger, Double, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.molecules import (
    MoleculeAddedToProject,
    MoleculeCreated,
    MoleculeDeleted,
    MoleculeRemovedFromProject,
)
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import IndexedText, Name, NonEmptyText
from quantum_forge.schema.language.fold import balance, last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import check, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, user_id
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by

Fraction = Annotated[float, Meta(ge=0, le=1)]


class PredictionType(StrEnum):
    """What an ADMET prediction is about."""

    ABSORPTION = "absorption"
    DISTRIBUTION = "distribution"
    METABOLISM = "metabolism"
    EXCRETION = "excretion"
    TOXICITY = "toxicity"


class StructureMethod(StrEnum):
    """Where a protein structure is from."""

    ESMFOLD = "ESMFold"
    RCSB = "RCSB"
    ALPHAFOLD = "AlphaFold"


@event("project")
class ProjectCreated(Event, frozen=True, kw_only=True):
    """A project began. disease_target: what it is to treat or bind, in words."""

    name: Name
    description: str | None = None
    disease_target: str | None = None


@event("project")
class ProjectUpdated(Event, frozen=True, kw_only=True):
    """A project was renamed or described anew: absent leaves a value alone, null clears it."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    disease_target: str | UnsetType | None = UNSET


@event("project")
class ProjectDeleted(Event, frozen=True, kw_only=True):
    """A project was deleted, and in the same append everything in it.

    The counts say how much: each has an event of its own, caused by this one.
    """

    reason: str | None = None
    molecule_count: Annotated[int, Meta(ge=0)] = 0
    prediction_count: Annotated[int, Meta(ge=0)] = 0
    structure_count: Annotated[int, Meta(ge=0)] = 0
    docking_count: Annotated[int, Meta(ge=0)] = 0


class ProjectPart(Event, frozen=True, kw_only=True):
    """What every event of a part of a project tells; project_id is null outside projects."""

    project_id: UUID | None


class ProjectPartDeleted(Event, frozen=True, kw_only=True):
    """A part was deleted. project_id: of the project that it was in; recorders fill it in."""

    project_id: UUID | UnsetType | None = UNSET
    reason: str | None = None


@event("admet_prediction")
class AdmetPredictionRecorded(ProjectPart, frozen=True, kw_only=True):
    """A model predicted how the body treats a molecule.

    results: as the model gave them. confidence_score: from 0 to 1.
    """

    molecule_id: UUID
    prediction_type: PredictionType
    results: dict[str, object]
    model_version: str
    confidence_score: Fraction | None = None


@event("admet_prediction")
class AdmetPredictionDeleted(ProjectPartDeleted, frozen=True, kw_only=True):
    """A prediction was withdrawn."""


@event("protein_structure")
class ProteinStructureAdded(ProjectPart, frozen=True, kw_only=True):
    """A protein's structure was predicted or fetched.

    sequence: amino acids in one-letter code. pdb_file_s3_key: where the file is.
    """

    sequence: NonEmptyText
    structure_method: StructureMethod
    pdb_id: IndexedText | None = None
    pdb_file_s3_key: str | None = None


@event("protein_structure")
class ProteinStructureDeleted(ProjectPartDeleted, frozen=True, kw_only=True):
    """A structure was deleted."""


@event("docking_result")
class DockingResultRecorded(ProjectPart, frozen=True, kw_only=True):
    """A molecule was docked to a protein.

    binding_affinity: kcal/mol, the lower the stronger. binding_pose_s3_key: where the pose is.
    """

    molecule_id: UUID
    protein_id: UUID
    binding_affinity: float
    binding_pose_s3_key: str | None = None
    interactions: dict[str, object] | None = None


@event("docking_result")
class DockingResultDeleted(ProjectPartDeleted, frozen=True, kw_only=True):
    """A docking was deleted."""


lifecycle(
    "project",
    {
        ProjectCreated: when(NEW, then="active"),
        ProjectUpdated: when("active"),
        ProjectDeleted: when("active", then="deleted"),
    },
)

_IN_PROJECT = {"project_id": ("project", "active")}

_PROJECT = {"project_id": "project_id"}

_MOLECULE = {"molecule_id": ("molecule", "present")}

_PROTEIN = {"protein_id": ("protein_structure", "present")}

lifecycle(
    "admet_prediction",
    {
        AdmetPredictionRecorded: when(NEW, then="present", needs={**_IN_PROJECT, **_MOLECULE}),
        AdmetPredictionDeleted: when("present", then="deleted", carries=_PROJECT),
    },
)

lifecycle(
    "protein_structure",
    {
        ProteinStructureAdded: when(NEW, then="present", needs=_IN_PROJECT),
        ProteinStructureDeleted: when("present", then="deleted", carries=_PROJECT),
    },
)

lifecycle(
    "docking_result",
    {
        DockingResultRecorded: when(
            NEW, then="present", needs={**_IN_PROJECT, **_MOLECULE, **_PROTEIN}
        ),
        DockingResultDeleted: when("present", then="deleted", carries=_PROJECT),
    },
)

projects = read_model(
    "projects",
    "One row per project",
    [column("id", Uuid, "The project")],
    column("user_id", Uuid, "User who created it"),
    column("name", Text, "Name of the project", required=True),
    column("description", Text, "Description"),
    column("disease_target", Text, "Target of the project in words: what to treat or to bind"),
    column("molecule_count", BigInteger, "Number of molecules", required=True),
    column("prediction_count", BigInteger, "Number of ADMET predictions", required=True),
    column("structure_count", BigInteger, "Number of protein structures", required=True),
    column("docking_count", BigInteger, "Number of docking results", required=True),
    Index("projects_name_idx", "tenant_id", "name"),
    Index("projects_user_idx", "tenant_id", "user_id"),
    searched("projects", "name", "description", "disease_target"),
)

admet_predictions = read_model(
    "admet_predictions",
    "One row per prediction of absorption, distribution, metabolism, excretion or toxicity",
    [column("id", Uuid, "The prediction")],
    column("molecule_id", Uuid, "Id of the molecule", required=True),
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "User who requested it"),
    column(
        "prediction_type",
        Text,
        either(PredictionType),
        required=True,
    ),
    column("results", JSONB, "Predicted values, as returned by the model", required=True),
    column("confidence_score", Double, "Confidence of the model, from 0 to 1"),
    column("model_version", Text, "Model and version that predicted it", required=True),
    one_of("prediction_type_is_known", "prediction_type", PredictionType),
    check("confidence_is_a_fraction", "confidence_score BETWEEN 0 AND 1"),
    Index("admet_predictions_molecule_idx", "tenant_id", "molecule_id", "prediction_type"),
    Index("admet_predictions_project_idx", "tenant_id", "project_id"),
)

protein_structures = read_model(
    "protein_structures",
    "One row per protein structure; the file itself is stored elsewhere",
    [column("id", Uuid, "The structure")],
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "User who added it"),
    column("sequence", Text, "Amino acids in one-letter code", required=True),
    column("pdb_id", Text, "Id of its entry in the Protein Data Bank"),
    column("pdb_file_s3_key", Text, "Location of the file"),
    column("structure_method", Text, either(StructureMethod), required=True),
    one_of("structure_method_is_known", "structure_method", StructureMethod),
    Index("protein_structures_project_idx", "tenant_id", "project_id"),
    Index("protein_structures_pdb_idx", "tenant_id", "pdb_id"),
)

docking_results = read_model(
    "docking_results",
    "One row per docking of a molecule to a protein",
    [column("id", Uuid, "The docking")],
    column("molecule_id", Uuid, "Id of the molecule", required=True),
    column("protein_id", Uuid, "Id of the protein structure", required=True),
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "User who requested it"),
    column(
        "binding_affinity",
        Double,
        "Binding affinity in kcal/mol, the lower the stronger",
        required=True,
    ),
    column("binding_pose_s3_key", Text, "Location of the pose"),
    column("interactions", JSONB, "Hydrogen bonds, contacts, … as reported by the program"),
    Index("docking_results_molecule_idx", "tenant_id", "molecule_id"),
    Index("docking_results_protein_idx", "tenant_id", "protein_id", "binding_affinity"),
    Index("docking_results_project_idx", "tenant_id", "project_id"),
)

projection(
    projects,
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

projection(
    admet_predictions,
    events=[AdmetPredictionRecorded],
    key={"id": entity_id},
    ends=[AdmetPredictionDeleted],
    columns={"user_id": last(user_id())},
)

projection(
    protein_structures,
    events=[ProteinStructureAdded],
    key={"id": entity_id},
    ends=[ProteinStructureDeleted],
    columns={"user_id": last(user_id())},
)

projection(
    docking_results,
    events=[DockingResultRecorded],
    key={"id": entity_id},
    ends=[DockingResultDeleted],
    columns={"user_id": last(user_id())},
)

written_by(projects, insert=ProjectCreated, update=ProjectUpdated, delete=ProjectDeleted)

written_by(admet_predictions, insert=AdmetPredictionRecorded, delete=AdmetPredictionDeleted)

written_by(protein_structures, insert=ProteinStructureAdded, delete=ProteinStructureDeleted)

written_by(docking_results, insert=DockingResultRecorded, delete=DockingResultDeleted)
