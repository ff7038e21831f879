"""Calculations: a molecule with a method and its settings, and the attempts to compute it.

Units are those that xTB prints: energies in Eh, orbital energies and gap in eV, dipole in Debye,
positions in Å, forces in Eh/Bohr (forces = −gradient), charges in e, times in s, memory in MB.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import BigInteger, Double, Index, Integer, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, IndexedText, Timestamp
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, status_after, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, check, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, nothing, occurred_at, user_id
from quantum_forge.schema.language.writing import written_by

Multiplicity = Annotated[int, Meta(ge=1)]


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

    method: IndexedText
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
    conformer_seed: seed of the structure that is made from the SMILES, where it is not the usual.
    """

    attempt: Annotated[int, Meta(ge=1)]
    method: IndexedText
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
    conformer_seed: Count | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType = UNSET


class ResultEvent(CalculationEvent, frozen=True, kw_only=True):
    """Gives a calculation a result. atoms: in input order; an invalidation removes them."""

    atoms: Annotated[list[Atom], Meta(min_length=1)]


@event("calculation")
class CalculationCompleted(ResultEvent, frozen=True, kw_only=True):
    """A result that both the program and physics accept.

    energy: Eh. dipole: Debye.
    homo, lumo, gap: eV (gap = lumo − homo; null without a virtual orbital).
    wall_time_seconds, cpu_time_seconds: s. memory_peak_mb: MB. gradient_norm: Eh/Bohr.
    xyz_sha256: of the geometry in XYZ format. max_force: largest force on an atom, Eh/Bohr.
    geometry_source: how the structure was made from the SMILES, as `ETKDGv3+MMFF94`;
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
class CalculationRestored(ResultEvent, frozen=True, kw_only=True):
    """The retraction of its result was reversed: the result is valid again, as it was.

    It repeats the values that the invalidation removed from the tables. reason: of the reversal.
    retraction_id: the decision that was reversed. completed_at: when the result was completed.
    wall_time_seconds: s, of the attempt that completed it.
    """

    reason: str
    retraction_id: UUID
    completed_at: Timestamp
    wall_time_seconds: Annotated[float, Meta(ge=0)] | None


@event("calculation")
class CalculationRetryScheduled(CalculationEvent, frozen=True, kw_only=True):
    """A failed calculation will be tried again.

    delay_seconds: s, exponential backoff with jitter.
    """

    attempt: Annotated[int, Meta(ge=1)]
    retry_at: Timestamp
    delay_seconds: Annotated[float, Meta(ge=0)]


@event("calculation")
class CalculationGivenUp(CalculationEvent, frozen=True, kw_only=True):
    """A failed calculation is not tried again by itself. attempt: the last one."""

    attempt: Annotated[int, Meta(ge=1)]
    error_type: ErrorType
    reason: str


@event("calculation")
class CalculationErrorResolved(Event, frozen=True, kw_only=True):
    """Somebody dealt with a recorded error.

    error_id: position of the event that recorded it.
    """

    error_id: Annotated[int, Meta(ge=1)]
    resolution_notes: str
    resolved_at: Timestamp


NOTES = frozenset({CalculationGivenUp.event_type, CalculationErrorResolved.event_type})
"""The events that leave a calculation as it is."""

LIFECYCLE = lifecycle(
    "calculation",
    {
        CalculationRequested: when(NEW, "failed", "lost", "invalidated", then="pending"),
        CalculationStarted: when(NEW, "pending", "failed", "lost", "invalidated", then="running"),
        CalculationCompleted: when("running", then="completed"),
        CalculationFailed: when("running", then="failed"),
        CalculationLost: when("running", then="lost"),
        CalculationInvalidated: when("running", "completed", then="invalidated"),
        CalculationRestored: when("invalidated", then="completed"),
        CalculationRetryScheduled: when("failed", "lost", then="pending"),
        CalculationGivenUp: when("failed", "lost"),
        CalculationErrorResolved: when(
            "pending", "running", "completed", "failed", "lost", "invalidated"
        ),
    },
)

calculations = read_model(
    "calculations",
    "One row per calculation: a molecule with a method and its settings",
    [column("id", Uuid, "uuid5 of molecule and settings")],
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    column(
        "batch_id",
        Uuid,
        "Batch that last ran it; batch_items lists all its batches",
    ),
    column("user_id", Uuid, "User who last requested it"),
    column("status", Text, either(LIFECYCLE.states), required=True),
    column("attempt", Integer, "Number of the latest attempt, from 1; 0 before the first one"),
    column("method", Text, "GFN2-xTB, GFN1-xTB or IPEA1-xTB"),
    column("solvation_model", Text, "Implicit solvation as model(solvent); null in the gas phase"),
    column(
        "optimization_level", Text, "Level of the geometry optimisation; null for a single point"
    ),
    column("charge", Integer, "Total charge in e"),
    column("multiplicity", Integer, "Spin multiplicity 2S+1"),
    column("program", Text, "Program that computed it"),
    column("program_version", Text, "Version of that program"),
    column("xyz_sha256", Text, "SHA-256 of the geometry in XYZ format"),
    column("energy", Double, "Total energy in Eh"),
    column("homo", Double, "Energy of the highest occupied orbital in eV"),
    column("lumo", Double, "Energy of the lowest unoccupied orbital in eV"),
    column("gap", Double, "lumo − homo in eV"),
    column("dipole", Double, "Norm of the dipole moment in Debye"),
    column("convergence_status", Text, "Convergence status"),
    column("execution_time_seconds", Double, "Wall time of the latest attempt in s"),
    column("started_at", TIMESTAMP, "Start of the latest attempt"),
    column("completed_at", TIMESTAMP, "End of the latest attempt, successful or not"),
    column("error_type", Text, "Error type of the latest failure"),
    column("error_message", Text, "Message of the latest failure"),
    column("identity", Text, f"How its molecule was identified: {', '.join(Identity)}", added=True),
    column("charge_source", Text, f"Whether the charge was {either(ValueSource)}", added=True),
    column(
        "multiplicity_source", Text, f"Whether multiplicity was {either(ValueSource)}", added=True
    ),
    column(
        "warnings", JSONB, "Reasons why an assumption may be wrong, as a list of texts", added=True
    ),
    column(
        "geometry_source",
        Text,
        "Method by which the structure was generated, such as ETKDGv3+MMFF94; null for a given "
        "geometry",
        added=True,
    ),
    column("geometry_warning", Text, "Reason why a generated structure is doubtful", added=True),
    column("max_force", Double, "Largest force on an atom in Eh/Bohr", added=True),
    column(
        "conformer_seed",
        BigInteger,
        "Seed of the generated structure, where another than the usual was asked for",
        added=True,
    ),
    one_of("identity_is_known", "identity", Identity),
    one_of("charge_source_is_known", "charge_source", ValueSource),
    one_of("multiplicity_source_is_known", "multiplicity_source", ValueSource),
    one_of("status_is_known", "status", LIFECYCLE.states),
    check(
        "energy_is_finite", "energy BETWEEN '-1.7976931348623157e308' AND '1.7976931348623157e308'"
    ),
    Index("calculations_molecule_idx", "tenant_id", "molecule_id", "started_at"),
    Index("calculations_status_idx", "tenant_id", "status"),
    Index("calculations_method_idx", "tenant_id", "method"),
    Index("calculations_batch_idx", "tenant_id", "batch_id"),
    Index("calculations_energy_idx", "tenant_id", "energy"),
    Index("calculations_gap_idx", "tenant_id", "gap"),
    Index("calculations_started_idx", "tenant_id", "started_at"),
    Index(
        "calculations_user_idx",
        "tenant_id",
        "user_id",
        "started_at",
        postgresql_where=text("user_id IS NOT NULL"),
    ),
    # What a training set is made of: results that count.
    Index(
        "calculations_completed_gap_idx",
        "tenant_id",
        "gap",
        postgresql_where=text("status = 'completed'"),
    ),
    metadata=True,
)

projection(
    calculations,
    events=[
        CalculationRequested,
        CalculationStarted,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
        CalculationRestored,
        CalculationRetryScheduled,
    ],
    key={"id": entity_id},
    opens=[CalculationRequested, CalculationStarted],
    columns={
        "user_id": last(user_id(CalculationRequested, CalculationStarted)),
        "status": constant(
            status_after(
                CalculationRequested,
                CalculationStarted,
                CalculationCompleted,
                CalculationFailed,
                CalculationLost,
                CalculationInvalidated,
                CalculationRestored,
                CalculationRetryScheduled,
            )
        ),
        "attempt": last(CalculationStarted.attempt),
        "execution_time_seconds": last(
            CalculationCompleted.wall_time_seconds,
            CalculationFailed.wall_time_seconds,
            CalculationLost.wall_time_seconds,
            CalculationInvalidated.wall_time_seconds,
            CalculationRestored.wall_time_seconds,
        ),
        "started_at": last(occurred_at(CalculationStarted)),
        "completed_at": last(
            occurred_at(
                CalculationCompleted, CalculationFailed, CalculationLost, CalculationInvalidated
            ),
            CalculationRestored.completed_at,
        ),
        "error_type": last(
            nothing(CalculationStarted), CalculationFailed.error_type, CalculationLost.error_type
        ),
        "error_message": last(
            nothing(CalculationStarted, CalculationRestored),
            CalculationFailed.error_message,
            CalculationLost.error_message,
            CalculationInvalidated.reason,
        ),
    },
)

written_by(calculations, insert=CalculationRequested)
