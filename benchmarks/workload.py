"""What is written: the life of calculations as the runner records it, some 400 bytes an event."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.schema.domains.calculations import Atom, CalculationCompleted, CalculationStarted
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.language.event import Event

TENANT = UUID("0198a5b0-0000-7000-8000-000000000001")
USER = UUID("0198a5b0-0000-7000-8000-000000000002")
BATCH = UUID("0198a5b0-0000-7000-8000-000000000003")
MOLECULE = molecule_id(TENANT, "[He]", 0, 1)
METADATA = {"host": "node-017", "service": "qforge-runner", "program": "tblite 0.4.0"}

STARTED = CalculationStarted(
    molecule_id=MOLECULE,
    batch_id=BATCH,
    attempt=1,
    method="GFN2-xTB",
    charge=0,
    multiplicity=1,
    program="tblite",
    program_version="0.4.0",
    timeout_seconds=3600.0,
    xyz_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)
COMPLETED = CalculationCompleted(
    molecule_id=MOLECULE,
    batch_id=BATCH,
    energy=-1.743126632946,
    homo=-12.1456,
    lumo=2.2317,
    gap=14.3773,
    dipole=2.2413,
    convergence_status="converged",
    is_converged=True,
    gradient_norm=0.000412,
    wall_time_seconds=0.0312,
    cpu_time_seconds=0.0298,
    program="tblite",
    program_version="0.4.0",
    xyz_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    atoms=[Atom("He", 2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)],
    scf_cycles=9,
)

STATES = {1: msgspec.json.encode(STARTED), 2: msgspec.json.encode(COMPLETED)}
"""The payloads of a calculation's two events, by version."""

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def histories() -> Iterator[tuple[UUID, int, Event]]:
    """Calculation after calculation: its id, the version of the event in its stream, the event."""
    while True:
        calculation = uuid7()
        yield calculation, 1, STARTED
        yield calculation, 2, COMPLETED


def new_events() -> Iterator[NewEvent]:
    """The same as events to append; each is made when it is asked for."""
    for calculation, _, event in histories():
        yield NewEvent(
            tenant_id=TENANT,
            entity_id=calculation,
            event=event,
            user_id=USER,
            metadata=METADATA,
        )


def encoded_events(count: int) -> list[EncodedEvent]:
    """As many events, their payloads JSON already."""
    metadata = msgspec.json.encode(METADATA)
    return [
        EncodedEvent(
            event_id=uuid7(),
            tenant_id=TENANT,
            entity_type=event.entity_type,
            entity_id=calculation,
            event_type=event.event_type,
            data=STATES[version],
            metadata=metadata,
            user_id=USER,
            occurred_at=NOON,
        )
        for calculation, version, event in itertools.islice(histories(), count)
    ]
