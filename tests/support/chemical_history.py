"""Events as a runner appends them, made up but consistent: molecules and their calculations."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import NewEvent, Placed
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import append
from quantum_forge.schema.domains.calculations import (
    Atom,
    CalculationCompleted,
    CalculationFailed,
    CalculationRequested,
    CalculationStarted,
    ErrorSeverity,
    ErrorType,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id
from quantum_forge.schema.language.event import Event

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE = datetime(2026, 11, 20, 13, tzinfo=UTC)
USER = UUID(int=77, version=4)


def record(engine: Engine, *events: NewEvent) -> list[Placed]:
    """Append events in a transaction of their own."""
    with engine.begin() as connection:
        return append(connection, events)


def happened(
    event: Event,
    entity_id: UUID,
    *,
    tenant_id: UUID = DEFAULT_TENANT_ID,
    at: datetime = NOON,
    user_id: UUID | None = USER,
) -> NewEvent:
    """Return an event with its envelope."""
    return NewEvent(
        tenant_id=tenant_id, entity_id=entity_id, event=event, user_id=user_id, occurred_at=at
    )


def created(
    smiles: str,
    *,
    multiplicity: int = 1,
    tenant_id: UUID = DEFAULT_TENANT_ID,
    at: datetime = NOON,
) -> NewEvent:
    """Return the creation of a neutral molecule."""
    event = MoleculeCreated(
        smiles=smiles,
        charge=0,
        multiplicity=multiplicity,
        formula="H2O",
        molecular_weight=18.015,
        generation_method="imported",
        toolkit="RDKit",
        toolkit_version="2026.03",
        name=f"name of {smiles}",
    )
    id_ = molecule_id(tenant_id, smiles, 0, multiplicity)
    return happened(event, id_, tenant_id=tenant_id, at=at)


def requested(
    id_: UUID, smiles: str, *, tenant_id: UUID = DEFAULT_TENANT_ID, at: datetime = NOON
) -> NewEvent:
    """Return the request of a calculation of a neutral singlet."""
    event = CalculationRequested(
        molecule_id=molecule_id(tenant_id, smiles, 0, 1),
        batch_id=None,
        method="GFN2-xTB",
        charge=0,
        multiplicity=1,
    )
    return happened(event, id_, tenant_id=tenant_id, at=at)


def started(
    id_: UUID,
    smiles: str,
    *,
    method: str = "GFN2-xTB",
    batch_id: UUID | None = None,
    tenant_id: UUID = DEFAULT_TENANT_ID,
    at: datetime = NOON,
) -> NewEvent:
    """Return the start of the first attempt at a neutral singlet."""
    event = CalculationStarted(
        molecule_id=molecule_id(tenant_id, smiles, 0, 1),
        batch_id=batch_id,
        attempt=1,
        method=method,
        charge=0,
        multiplicity=1,
        program="tblite",
        program_version="0.4.0",
        timeout_seconds=60.0,
    )
    return happened(event, id_, tenant_id=tenant_id, at=at)


def completed(
    id_: UUID,
    smiles: str,
    *,
    energy: float = -5.07,
    gap: float = 14.6,
    batch_id: UUID | None = None,
    tenant_id: UUID = DEFAULT_TENANT_ID,
    at: datetime = ONE,
) -> NewEvent:
    """Return the completion of a calculation with five atoms."""
    event = CalculationCompleted(
        molecule_id=molecule_id(tenant_id, smiles, 0, 1),
        batch_id=batch_id,
        energy=energy,
        homo=-12.1,
        lumo=-12.1 + gap,
        gap=gap,
        dipole=2.2,
        convergence_status="converged",
        is_converged=True,
        gradient_norm=0.01,
        wall_time_seconds=0.5,
        cpu_time_seconds=0.4,
        program="tblite",
        program_version="0.4.0",
        xyz_sha256="0" * 64,
        atoms=[Atom("H", 1, 0.1, float(x), 0.0, 0.0, 0.0, 0.0, 0.0) for x in range(5)],
        scf_cycles=12,
    )
    return happened(event, id_, tenant_id=tenant_id, at=at)


def failed(
    id_: UUID,
    smiles: str,
    *,
    batch_id: UUID | None = None,
    tenant_id: UUID = DEFAULT_TENANT_ID,
    at: datetime = ONE,
) -> NewEvent:
    """Return the failure of the first attempt."""
    event = CalculationFailed(
        molecule_id=molecule_id(tenant_id, smiles, 0, 1),
        batch_id=batch_id,
        attempt=1,
        error_type=ErrorType.CONVERGENCE_ERROR,
        error_severity=ErrorSeverity.ERROR,
        error_message="no convergence after 250 iterations",
    )
    return happened(event, id_, tenant_id=tenant_id, at=at)
