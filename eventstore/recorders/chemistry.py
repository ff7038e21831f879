"""What people and runners do to molecules and calculations, one action at a time.

A runner that computes uses `Recorder.calculation`, which records however an attempt ends.
"""

from typing import Any
from uuid import UUID

from eventstore.ids import molecule_id
from eventstore.recorders.domain import Domain, creates, happens
from schema.events.chemistry import (
    CalculationCompleted,
    CalculationErrorResolved,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRequested,
    CalculationRetryScheduled,
    CalculationStarted,
    MoleculeCreated,
    MoleculeDeleted,
    MoleculePropertiesComputed,
    MoleculeUpdated,
)


def _by_structure(tenant_id: UUID, event: Any) -> UUID:
    return molecule_id(tenant_id, event.smiles, event.charge, event.multiplicity)


class Molecules(Domain):
    """A molecule is known by its canonical SMILES, charge and multiplicity."""

    create = creates(MoleculeCreated, identity=_by_structure)
    update = happens(MoleculeUpdated)
    record_properties = happens(MoleculePropertiesComputed)
    delete = happens(MoleculeDeleted)


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
