"""What happens to molecules and calculations.

Units are those that xTB prints: energies in Eh, orbital energies and gap in eV, dipole in Debye,
positions in Å, forces in Eh/Bohr (forces = −gradient), charges in e, times in s, memory in MB.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.evolution import Drop
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when

Timestamp = Annotated[datetime, Meta(tz=True)]
Multiplicity = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Structure = Annotated[str, Meta(min_length=1)]


class ErrorType(StrEnum):
    """Why a calculation failed; what may be retried follows from it (input errors never)."""

    INPUT_ERROR = "input_error"
    CONVERGENCE_ERROR = "convergence_error"
    TIMEOUT = "timeout"
    RESOURCE_ERROR = "resource_error"
    RANDOM_ERROR = "random_error"
    COMPUTE_LOST = "compute_lost"
    UNKNOWN_ERROR = "unknown_error"


class ErrorSeverity(StrEnum):
    """How bad an error is, in ascending order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Identity(StrEnum):
    """How a molecule was identified.

    By a SMILES that was given, by one that was perceived from a geometry, or, without any SMILES,
    by the connectivity of a geometry.
    """

    GIVEN = "given"
    PERCEIVED = "perceived"
    GEOMETRY = "geometry"


class ValueSource(StrEnum):
    """Whether a charge or multiplicity was given by the input, or assumed by a rule."""

    GIVEN = "given"
    ASSUMED = "assumed"


class Atom(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One atom of a completed calculation, stored as an array in this order.

    partial_charge in e; positions x, y, z in Å; forces (−gradient) x, y, z in Eh/Bohr. Charge and
    forces are null where the program was not asked for them, as in many an imported result.
    """

    element: str
    atomic_number: Annotated[int, Meta(ge=1)]
    partial_charge: float | None
    position_x: float
    position_y: float
    position_z: float
    force_x: float | None
    force_y: float | None
    force_z: float | None


@event("molecule")
class MoleculeCreated(Event, frozen=True, kw_only=True):
    """A molecule entered the system; its id is derived from tenant, SMILES, charge, multiplicity.

    smiles: canonical; null for a molecule that is known by its identity_key instead, from which its
    id is derived then. identity: how it was identified when it entered. molecular_weight: g/mol.
    generation_method: `manual`, `imported`, `MolGAN`, … toolkit: what canonicalised the SMILES, or
    made the identity_key.

    Raises:
        ValueError: unless it has either a SMILES or an identity_key.
    """

    smiles: Structure | None
    identity_key: Structure | UnsetType = UNSET
    identity: Identity | UnsetType = UNSET
    charge: int
    multiplicity: Multiplicity
    formula: str
    molecular_weight: Annotated[float, Meta(gt=0)]
    generation_method: str
    toolkit: str
    toolkit_version: str
    inchikey: str | None = None
    name: str | UnsetType | None = UNSET
    project_id: UUID | UnsetType | None = UNSET
    metadata: dict[str, object] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.smiles is None) == (self.identity_key is UNSET):
            raise ValueError("a molecule has either a SMILES or an identity_key")

    @property
    def structure(self) -> str:
        """What, with charge and multiplicity, its id is derived from."""
        structure = self.identity_key if self.smiles is None else self.smiles
        assert isinstance(structure, str)
        return structure


@event("molecule", history=[[Drop("project_id")]])
class MoleculeUpdated(Event, frozen=True, kw_only=True):
    """What people may change of a molecule: absent leaves a value alone, null clears it.

    Its project changes by `MoleculeRemovedFromProject` and `MoleculeAddedToProject`: two projects
    have another count then, and an event changes one row of a table.
    """

    name: str | UnsetType | None = UNSET
    generation_method: str | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType | None = UNSET


@event("molecule")
class MoleculeAddedToProject(Event, frozen=True, kw_only=True):
    """A molecule joined a project; to move it, have it leave another in the same append."""

    project_id: UUID


@event("molecule")
class MoleculeRemovedFromProject(Event, frozen=True, kw_only=True):
    """A molecule left a project. from_project_id: that it was in; recorders fill it in."""

    from_project_id: UUID | UnsetType | None = UNSET
    project_id: None = None


@event("molecule")
class MoleculeDeleted(Event, frozen=True, kw_only=True):
    """A molecule was deleted; created again, it starts anew.

    from_project_id: the project that has one less now; recorders fill it in.
    """

    reason: str | None = None
    from_project_id: UUID | UnsetType | None = UNSET


@event("molecule")
class MoleculePropertiesComputed(Event, frozen=True, kw_only=True):
    """Descriptors of a molecule, computed by a toolkit.

    molecular_weight: g/mol. topological_polar_surface_area: Å². The others have no unit.
    """

    molecular_weight: float
    logp: float
    hydrogen_bond_donors: Count
    hydrogen_bond_acceptors: Count
    rotatable_bonds: Count
    topological_polar_surface_area: float
    molar_refractivity: float
    qed: float
    toolkit: str
    toolkit_version: str
    computed_at: Timestamp


class CalculationEvent(Event, frozen=True, kw_only=True):
    """What every event of a calculation tells, so that no fold needs another table.

    molecule_id: null when the input could not be read as a molecule.
    batch_id: null outside a batch.
    """

    molecule_id: UUID | None
    batch_id: UUID | None


@event("calculation")
class CalculationRequested(CalculationEvent, frozen=True, kw_only=True):
    """A calculation was asked for and waits for a runner.

    warnings: why what was assumed of the molecule may be wrong.
    """

    method: str
    charge: int | None
    multiplicity: Multiplicity | None
    solvation_model: str | None = None
    optimization_level: str | None = None
    charge_source: ValueSource | UnsetType = UNSET
    multiplicity_source: ValueSource | UnsetType = UNSET
    warnings: list[str] | UnsetType | None = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


@event("calculation")
class CalculationStarted(CalculationEvent, frozen=True, kw_only=True):
    """A runner began an attempt.

    attempt counts from 1.
    input_text: what was read, where it could not be read as a molecule; the geometry in XYZ format,
    where it was given rather than made from the SMILES.
    identity: how the input's molecule was identified. warnings: why what was assumed of it may be
    wrong; null for none.
    timeout_seconds: after this time (s) anyone may record the attempt as lost.
    """

    attempt: Annotated[int, Meta(ge=1)]
    method: str
    charge: int | None
    multiplicity: Multiplicity | None
    program: str
    program_version: str
    timeout_seconds: Annotated[float, Meta(gt=0)]
    solvation_model: str | None = None
    optimization_level: str | None = None
    xyz_sha256: str | UnsetType = UNSET
    input_text: str | UnsetType = UNSET
    identity: Identity | UnsetType = UNSET
    charge_source: ValueSource | UnsetType = UNSET
    multiplicity_source: ValueSource | UnsetType = UNSET
    warnings: list[str] | UnsetType | None = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


@event("calculation")
class CalculationCompleted(CalculationEvent, frozen=True, kw_only=True):
    """A result that both the program and physics accept.

    energy: Eh. dipole: Debye.
    homo, lumo, gap: eV (gap = lumo − homo; null without a virtual orbital).
    wall_time_seconds, cpu_time_seconds: s. memory_peak_mb: MB. gradient_norm: Eh/Bohr.
    atoms: in input order. xyz_sha256: of the geometry in XYZ format. max_force: largest force on an
    atom, Eh/Bohr. geometry_source: how the structure was made from the SMILES, as `ETKDGv3+MMFF94`;
    null where a geometry was given. geometry_warning: what is doubtful in a structure so made.
    dipole, gradient_norm and the times are null where an imported result does not tell them.
    """

    energy: float
    homo: float | None
    lumo: float | None
    gap: float | None
    dipole: Annotated[float, Meta(ge=0)] | None
    convergence_status: str
    is_converged: bool
    gradient_norm: Annotated[float, Meta(ge=0)] | None
    wall_time_seconds: Annotated[float, Meta(ge=0)] | None
    cpu_time_seconds: Annotated[float, Meta(ge=0)] | None
    program: str
    program_version: str
    xyz_sha256: str
    atoms: Annotated[list[Atom], Meta(min_length=1)]
    geometry_source: str | UnsetType | None = UNSET
    geometry_warning: str | UnsetType | None = UNSET
    max_force: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    scf_cycles: Count | None = None
    optimization_cycles: Count | None = None
    convergence_iterations: Count | None = None
    memory_peak_mb: float | None = None
    stdout_log: str | UnsetType = UNSET
    stderr_log: str | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


@event("calculation")
class CalculationFailed(CalculationEvent, frozen=True, kw_only=True):
    """An attempt ended without a result.

    retry_count: earlier attempts that failed. retry_attempts: what is known of each.
    """

    attempt: Annotated[int, Meta(ge=1)]
    error_type: ErrorType
    error_severity: ErrorSeverity
    error_message: str
    error_code: str | None = None
    stack_trace: str | None = None
    retry_count: Count = 0
    retry_attempts: list[dict[str, object]] | None = None
    user_action_required: bool = False
    wall_time_seconds: Annotated[float, Meta(ge=0)] | None = None


@event("calculation")
class CalculationLost(CalculationEvent, frozen=True, kw_only=True):
    """An attempt vanished with its worker or runner: killed, crashed, switched off."""

    attempt: Annotated[int, Meta(ge=1)]
    error_message: str
    error_type: ErrorType = ErrorType.COMPUTE_LOST
    error_severity: ErrorSeverity = ErrorSeverity.WARNING
    error_code: str | None = None
    retry_count: Count = 0
    user_action_required: bool = False
    wall_time_seconds: Annotated[float, Meta(ge=0)] | None = None


@event("calculation")
class CalculationInvalidated(CalculationEvent, frozen=True, kw_only=True):
    """A result that the program calls a success but physics or a person does not.

    reason says why; it never counts as completed. was_completed: it had counted until now.
    retraction_id: the decision that covered it, where it was one of many.
    """

    reason: str
    was_completed: bool = False
    retraction_id: UUID | None = None
    attempt: Annotated[int, Meta(ge=1)] | None = None
    wall_time_seconds: Annotated[float, Meta(ge=0)] | None = None


@event("calculation")
class CalculationRetryScheduled(CalculationEvent, frozen=True, kw_only=True):
    """A failed calculation will be tried again.

    delay_seconds: s, exponential backoff with jitter.
    """

    attempt: Annotated[int, Meta(ge=1)]
    retry_at: Timestamp
    delay_seconds: Annotated[float, Meta(ge=0)]


@event("calculation")
class CalculationErrorResolved(Event, frozen=True, kw_only=True):
    """Somebody dealt with a recorded error.

    error_id: position of the event that recorded it.
    """

    error_id: Annotated[int, Meta(ge=1)]
    resolution_notes: str
    resolved_at: Timestamp


@event("retraction")
class ResultsRetracted(Event, frozen=True, kw_only=True):
    """The decision to retract results; the same append invalidates every calculation covered.

    The criteria that are given hold together; calculation_count: how many were covered.
    """

    reason: str
    calculation_count: Count
    program_version: str | None = None
    host: str | None = None
    method: str | None = None
    batch_id: UUID | None = None
    with_reused: bool = False
    since: Timestamp | None = None
    until: Timestamp | None = None


lifecycle(
    "molecule",
    {
        MoleculeCreated: when(
            NEW, "deleted", then="present", needs={"project_id": ("project", "active")}
        ),
        MoleculeUpdated: when("present"),
        MoleculeAddedToProject: when(
            "present", needs={"project_id": ("project", "active")}, lacks=("project_id",)
        ),
        MoleculeRemovedFromProject: when("present", carries={"from_project_id": "project_id"}),
        MoleculePropertiesComputed: when("present"),
        MoleculeDeleted: when("present", then="deleted", carries={"from_project_id": "project_id"}),
    },
)

lifecycle(
    "calculation",
    {
        CalculationRequested: when(NEW, "failed", "lost", "invalidated", then="pending"),
        CalculationStarted: when(NEW, "pending", "failed", "lost", "invalidated", then="running"),
        CalculationCompleted: when("running", then="completed"),
        CalculationFailed: when("running", then="failed"),
        CalculationLost: when("running", then="lost"),
        CalculationInvalidated: when("running", "completed", then="invalidated"),
        CalculationRetryScheduled: when("failed", "lost", then="pending"),
        CalculationErrorResolved: when(
            "pending", "running", "completed", "failed", "lost", "invalidated"
        ),
    },
)

lifecycle("retraction", {ResultsRetracted: when(NEW, then="retracted")})
