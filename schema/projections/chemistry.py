"""How molecules, calculations and their parts follow from the log."""

from quantum_forge.schema.events.chemistry import (
    CalculationCompleted,
    CalculationErrorResolved,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRequested,
    CalculationRetryScheduled,
    CalculationStarted,
    MoleculeAddedToProject,
    MoleculeCreated,
    MoleculeDeleted,
    MoleculePropertiesComputed,
    MoleculeRemovedFromProject,
    MoleculeUpdated,
)
from quantum_forge.schema.language.fold import constant, count, last
from quantum_forge.schema.language.lifecycle import status_after
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import (
    element_index,
    entity_id,
    nothing,
    occurred_at,
    position,
    user_id,
)
from quantum_forge.schema.tables import chemistry as tables

molecules = Projection(
    tables.molecules,
    events=[
        MoleculeCreated,
        MoleculeUpdated,
        MoleculeAddedToProject,
        MoleculeRemovedFromProject,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
    ],
    key={"id": (CalculationEvent.molecule_id, entity_id)},
    opens=[MoleculeCreated],
    ends=[MoleculeDeleted],
    columns={
        "user_id": last(user_id(MoleculeCreated)),
        "completed_calculation_count": count(CalculationCompleted),
        "retracted_calculation_count": count(CalculationInvalidated, where={"was_completed": True}),
        "failed_calculation_count": count(CalculationFailed, CalculationLost),
        "metadata": last(MoleculeCreated.metadata, MoleculeUpdated.metadata),
    },
)

molecule_properties_computed = Projection(
    tables.molecule_properties_computed,
    events=[MoleculePropertiesComputed],
    key={"molecule_id": entity_id},
    ends=[MoleculeDeleted],
)

calculations = Projection(
    tables.calculations,
    events=[
        CalculationRequested,
        CalculationStarted,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
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
                CalculationRetryScheduled,
            )
        ),
        "attempt": last(CalculationStarted.attempt),
        "execution_time_seconds": last(
            CalculationCompleted.wall_time_seconds,
            CalculationFailed.wall_time_seconds,
            CalculationLost.wall_time_seconds,
            CalculationInvalidated.wall_time_seconds,
        ),
        "started_at": last(occurred_at(CalculationStarted)),
        "completed_at": last(
            occurred_at(
                CalculationCompleted, CalculationFailed, CalculationLost, CalculationInvalidated
            )
        ),
        "error_type": last(
            nothing(CalculationStarted), CalculationFailed.error_type, CalculationLost.error_type
        ),
        "error_message": last(
            nothing(CalculationStarted),
            CalculationFailed.error_message,
            CalculationLost.error_message,
            CalculationInvalidated.reason,
        ),
    },
)

atomic_properties = Projection(
    tables.atomic_properties,
    events=[CalculationCompleted],
    key={"calculation_id": entity_id, "atom_index": element_index},
    ends=[CalculationInvalidated],
    elements=CalculationCompleted.atoms,
    replaces=True,
)

calculation_execution_metrics = Projection(
    tables.calculation_execution_metrics,
    events=[CalculationStarted, CalculationCompleted],
    key={"calculation_id": entity_id},
    opens=[CalculationStarted],
    columns={
        "xtb_version": last(CalculationStarted.program_version),
        "convergence_criterion_met": last(CalculationCompleted.gradient_norm),
    },
)

calculation_errors = Projection(
    tables.calculation_errors,
    events=[CalculationFailed, CalculationLost, CalculationErrorResolved],
    key={"id": (CalculationErrorResolved.error_id, position)},
    opens=[CalculationFailed, CalculationLost],
    columns={"calculation_id": last(entity_id)},
)

PROJECTIONS = [
    molecules,
    molecule_properties_computed,
    calculations,
    atomic_properties,
    calculation_execution_metrics,
    calculation_errors,
]
