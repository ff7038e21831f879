"""Results of calculations, beside their row: atoms, costs and errors."""

from sqlalchemy import BigInteger, Boolean, Double, Index, Integer, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationErrorResolved,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRestored,
    CalculationStarted,
    ErrorSeverity,
    ErrorType,
    ResultEvent,
)
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, check, column, either, one_of, read_model
from quantum_forge.schema.language.value import element_index, entity_id, position
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by

atomic_properties = read_model(
    "atomic_properties",
    "One row per atom of a completed calculation",
    [
        column("calculation_id", Uuid, "Its calculation"),
        column("atom_index", Integer, "Place of the atom in the geometry, from 0"),
    ],
    column("element", Text, "Element symbol", required=True),
    column("atomic_number", Integer, "Atomic number", required=True),
    column("partial_charge", Double, "Partial charge in e"),
    column("position_x", Double, "x in Å", required=True),
    column("position_y", Double, "y in Å", required=True),
    column("position_z", Double, "z in Å", required=True),
    column("force_x", Double, "Force along x (−gradient) in Eh/Bohr"),
    column("force_y", Double, "Force along y (−gradient) in Eh/Bohr"),
    column("force_z", Double, "Force along z (−gradient) in Eh/Bohr"),
    check("atom_index_is_not_negative", "atom_index >= 0"),
    check("atomic_number_is_positive", "atomic_number > 0"),
)

calculation_execution_metrics = read_model(
    "calculation_execution_metrics",
    "One row per calculation: its cost and convergence",
    [column("calculation_id", Uuid, "Its calculation")],
    column("xtb_version", Text, "Program and version that computed it"),
    column("method", Text, "GFN2-xTB, GFN1-xTB or IPEA1-xTB"),
    column("solvation_model", Text, "Implicit solvation as model(solvent)"),
    column("optimization_level", Text, "Level of the geometry optimisation"),
    column("wall_time_seconds", Double, "Wall time in s"),
    column("cpu_time_seconds", Double, "Processor time in s"),
    column("scf_cycles", Integer, "Self-consistent-field iterations"),
    column("optimization_cycles", Integer, "Steps of the geometry optimisation"),
    column("convergence_iterations", Integer, "Total number of iterations until convergence"),
    column("memory_peak_mb", Double, "Peak memory in MB"),
    column("is_converged", Boolean, "Whether it converged"),
    column("convergence_criterion_met", Double, "Norm of the gradient in Eh/Bohr"),
    column("stdout_log", Text, "Output of the program"),
    column("stderr_log", Text, "Standard error of the program"),
    Index("calculation_execution_metrics_method_idx", "tenant_id", "method", "created_at"),
    searched("calculation_execution_metrics", "stderr_log"),
)

calculation_errors = read_model(
    "calculation_errors",
    "One row per failed or lost attempt",
    [column("id", BigInteger, "Position of the event that recorded it")],
    column("calculation_id", Uuid, "The calculation that failed", required=True),
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    column("error_type", Text, "Type of the error", required=True),
    column("error_severity", Text, either(ErrorSeverity), required=True),
    column("error_message", Text, "Message for a person", required=True),
    column("error_code", Text, "Error code of the program, if it has one"),
    column("stack_trace", Text, "Stack trace or place of the error"),
    column("retry_count", Integer, "Number of earlier attempts that failed"),
    column("retry_attempts", JSONB, "Errors of the earlier attempts"),
    column("user_action_required", Boolean, "Whether a person must intervene"),
    column("resolution_notes", Text, "How it was resolved"),
    column("resolved_at", TIMESTAMP, "Time at which it was resolved"),
    one_of("error_type_is_known", "error_type", ErrorType),
    one_of("error_severity_is_known", "error_severity", ErrorSeverity),
    Index("calculation_errors_type_idx", "tenant_id", "error_type", "created_at"),
    Index("calculation_errors_calculation_idx", "tenant_id", "calculation_id"),
    searched("calculation_errors", "error_message", "stack_trace"),
)

projection(
    atomic_properties,
    events=[CalculationCompleted, CalculationRestored],
    key={"calculation_id": entity_id, "atom_index": element_index},
    ends=[CalculationInvalidated],
    elements=ResultEvent.atoms,
    replaces=True,
)

projection(
    calculation_execution_metrics,
    events=[CalculationStarted, CalculationCompleted],
    key={"calculation_id": entity_id},
    opens=[CalculationStarted],
    columns={
        "xtb_version": last(CalculationStarted.program_version),
        "convergence_criterion_met": last(CalculationCompleted.gradient_norm),
    },
)

projection(
    calculation_errors,
    events=[CalculationFailed, CalculationLost, CalculationErrorResolved],
    key={"id": (CalculationErrorResolved.error_id, position)},
    opens=[CalculationFailed, CalculationLost],
    columns={"calculation_id": last(entity_id)},
)

written_by(calculation_errors, update=CalculationErrorResolved)
