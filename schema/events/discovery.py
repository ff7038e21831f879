"""What happens in drug discovery: projects, predictions, protein structures, docking.

Every event of what belongs to a project names the project, so that its counts need no other table.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when

Name = Annotated[str, Meta(min_length=1)]
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

    sequence: Name
    structure_method: StructureMethod
    pdb_id: str | None = None
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
