"""A large catalogue, made up: molecules, batches, and calculations of many users over a year."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from benchmarks.workload import METADATA, TENANT
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.schema.domains.batches import BatchItem, BatchItemsAdded, BatchStarted, batch_id
from quantum_forge.schema.domains.calculations import Atom, CalculationCompleted, CalculationStarted
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id
from quantum_forge.schema.language.event import Event

BATCH = 1_000
"""Molecules of one batch; each is calculated twice, by two methods."""

METHODS = ("GFN2-xTB", "GFN1-xTB")
USERS = [UUID(int=n, version=4) for n in range(1, 201)]
BEGAN = datetime(2025, 11, 20, tzinfo=UTC)
YEAR = timedelta(days=365)
_METADATA = msgspec.json.encode(METADATA)

ETHANOL = [
    Atom(element, number, charge, x, y, z, force, -force, force / 2)
    for element, number, charge, x, y, z, force in (
        ("C", 6, -0.123437, -0.9082, 0.0151, -0.0207, 0.000412),
        ("C", 6, 0.025117, 0.4817, -0.5613, 0.0402, -0.000233),
        ("O", 8, -0.387121, 1.4022, 0.4926, -0.1034, 0.000871),
        ("H", 1, 0.051023, -1.0421, 0.6832, -0.8766, -0.000121),
        ("H", 1, 0.048911, -1.6542, -0.7781, -0.1033, 0.000098),
        ("H", 1, 0.050482, -1.0907, 0.5921, 0.8947, 0.000305),
        ("H", 1, 0.036671, 0.6514, -1.1402, 0.9533, -0.000177),
        ("H", 1, 0.037012, 0.5871, -1.2431, -0.8104, 0.000214),
        ("H", 1, 0.261342, 1.2987, 0.9621, -0.9402, -0.000089),
    )
]


def smiles(number: int) -> str:
    """A text like a SMILES, of the length of a drug's, for each number another."""
    return f"CC(=O)Nc1ccc(OCC(C)C{number})cc1"


def events(molecules: int, *, first: int = 0, batch: int = BATCH) -> Iterator[EncodedEvent]:
    """The history of so many molecules: in batches, each calculated twice, with its atoms."""
    chance = random.Random(first)
    for begin in range(first, first + molecules, batch):
        numbers = range(begin, min(begin + batch, first + molecules))
        its_id = batch_id(TENANT, f"batch {begin}")
        envelope: dict[str, Any] = {
            "user_id": USERS[begin // batch % len(USERS)],
            "occurred_at": BEGAN + YEAR * chance.random(),
        }
        ids = {number: molecule_id(TENANT, smiles(number), 0, 1) for number in numbers}
        started = BatchStarted(
            name=f"batch {begin}", parameters={"method": METHODS}, total_count=len(ids)
        )
        yield _encoded(its_id, started, **envelope)
        runs = {(number, method): uuid7() for number in ids for method in METHODS}
        items = [
            BatchItem(calculation_id=run, molecule_id=ids[number])
            for (number, _), run in runs.items()
        ]
        for some in range(0, len(items), 1000):
            added = BatchItemsAdded(items=items[some : some + 1000])
            yield _encoded(its_id, added, **envelope)
        for number, its_molecule in ids.items():
            yield _encoded(its_molecule, _molecule(number), **envelope)
            for method in METHODS:
                yield from _calculation(
                    runs[number, method], its_molecule, its_id, method, chance, envelope
                )


def _molecule(number: int) -> MoleculeCreated:
    return MoleculeCreated(
        smiles=smiles(number),
        charge=0,
        multiplicity=1,
        formula="C13H19NO2",
        molecular_weight=221.3,
        generation_method="imported",
        toolkit="RDKit",
        toolkit_version="2026.09.1",
        inchikey=f"{number:014d}-UHFFFAOYSA-N",
    )


def _calculation(
    calculation: UUID,
    molecule: UUID,
    batch: UUID,
    method: str,
    chance: random.Random,
    envelope: dict[str, Any],
) -> Iterator[EncodedEvent]:
    started = CalculationStarted(
        molecule_id=molecule,
        batch_id=batch,
        attempt=1,
        method=method,
        charge=0,
        multiplicity=1,
        program="tblite",
        program_version="0.4.0",
        timeout_seconds=3600.0,
    )
    homo, gap = chance.uniform(-13, -9), chance.uniform(1, 9)
    completed = CalculationCompleted(
        molecule_id=molecule,
        batch_id=batch,
        energy=chance.uniform(-100, -10),
        homo=homo,
        lumo=homo + gap,
        gap=gap,
        dipole=chance.uniform(0, 8),
        convergence_status="converged",
        is_converged=True,
        gradient_norm=0.000412,
        wall_time_seconds=chance.uniform(0.05, 2),
        cpu_time_seconds=0.0298,
        program="tblite",
        program_version="0.4.0",
        xyz_sha256=calculation.hex * 2,
        atoms=ETHANOL,
        scf_cycles=9,
        memory_peak_mb=120.5,
    )
    yield _encoded(calculation, started, **envelope)
    yield _encoded(calculation, completed, **envelope)


def _encoded(
    entity_id: UUID, event: Event, *, user_id: UUID, occurred_at: datetime
) -> EncodedEvent:
    return EncodedEvent(
        event_id=uuid7(),
        tenant_id=TENANT,
        entity_type=event.entity_type,
        entity_id=entity_id,
        event_type=event.event_type,
        data=msgspec.json.encode(event),
        metadata=_METADATA,
        user_id=user_id,
        occurred_at=occurred_at,
    )
