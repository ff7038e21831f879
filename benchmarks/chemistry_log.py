"""A log as a laboratory fills it: molecules, attempts, results with atoms, failures, metrics."""

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from benchmarks.workload import METADATA, TENANT, USER
from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.schema.domains.batches import BatchStarted
from quantum_forge.schema.domains.calculations import (
    Atom,
    CalculationCompleted,
    CalculationFailed,
    CalculationInvalidated,
    CalculationStarted,
    ErrorSeverity,
    ErrorType,
    Identity,
    ValueSource,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id
from quantum_forge.schema.domains.telemetry import PerformanceMetric
from quantum_forge.schema.language.event import Event

MOLECULES_A_BATCH = 1_000
TEMPLATES = 64
"""Different results; each is given to many calculations."""

FAILED, RETRACTED, MEASURED = 0.06, 0.01, 0.1
"""Of the molecules: whose first attempt failed, whose result was retracted, beside a metric."""

_BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
_A_MOLECULE = UUID(int=0xA)
_A_BATCH = UUID(int=0xB)
_METADATA = msgspec.json.encode(METADATA)
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f0%04x"


def events(count: int) -> Iterator[EncodedEvent]:
    """As many events, the same each time, in the order in which they happened."""
    return itertools.islice(_life(random.Random(1)), count)


def _life(chance: random.Random) -> Iterator[EncodedEvent]:
    templates = _Templates(chance)
    now = _BEGINNING
    batch = _A_BATCH
    # Runners work side by side: the events of a calculation lie some places apart.
    running: list[Iterator[EncodedEvent]] = []
    for number in itertools.count():
        now += timedelta(milliseconds=250)
        if number % MOLECULES_A_BATCH == 0:
            batch = UUID(int=chance.getrandbits(128), version=4)
            name = f"screening {number // MOLECULES_A_BATCH}"
            yield _event(
                chance,
                batch,
                BatchStarted(name=name, parameters={}, total_count=MOLECULES_A_BATCH),
                now,
            )
        running.append(templates.calculation(number, batch, now))
        if len(running) == 8:
            while len(running) > 4:
                turn = chance.randrange(len(running))
                event = next(running[turn], None)
                if event is None:
                    del running[turn]
                else:
                    yield event


class _Templates:
    """Payloads that are encoded once and differ in their ids only."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.started = [
            msgspec.json.encode(_started(number, attempt))
            for number in range(TEMPLATES)
            for attempt in (1, 2)
        ]
        self.completed = [
            msgspec.json.encode(_completed(chance, number)) for number in range(TEMPLATES)
        ]
        self.failed = msgspec.json.encode(_failed())
        self.invalidated = msgspec.json.encode(
            CalculationInvalidated(
                molecule_id=_A_MOLECULE,
                batch_id=_A_BATCH,
                reason="The geometry is not converged",
                was_completed=True,
            )
        )

    def calculation(self, number: int, batch: UUID, now: datetime) -> Iterator[EncodedEvent]:
        """The life of one molecule and its calculation."""
        chance = self.chance
        smiles = "C" * (number % 40 + 1) + f"N{number}"
        molecule = molecule_id(TENANT, smiles, 0, 1)
        calculation = UUID(int=chance.getrandbits(128), version=4)
        ids = (str(molecule).encode(), str(batch).encode())
        kind = number % TEMPLATES
        second = timedelta(seconds=1)

        def happened(cls: type[Event], template: bytes, late: int) -> EncodedEvent:
            data = template.replace(_MOLECULE_TEXT, ids[0]).replace(_BATCH_TEXT, ids[1])
            return _encoded(chance, calculation, cls, data, now + late * second)

        yield _event(chance, molecule, _created(smiles, number), now)
        yield happened(CalculationStarted, self.started[2 * kind], 1)
        if chance.random() < FAILED:
            yield happened(CalculationFailed, self.failed, 2)
            yield happened(CalculationStarted, self.started[2 * kind + 1], 3)
        yield happened(CalculationCompleted, self.completed[kind], 4)
        if chance.random() < RETRACTED:
            yield happened(CalculationInvalidated, self.invalidated, 5)
        if chance.random() < MEASURED:
            metric = PerformanceMetric(
                metric_type="gauge",
                metric_name=f"queue_depth_{number % 8}",
                value=round(chance.random() * 100, 3),
                unit="calculations",
            )
            yield _event(chance, UUID(int=chance.getrandbits(128), version=4), metric, now)


_MOLECULE_TEXT = str(_A_MOLECULE).encode()
_BATCH_TEXT = str(_A_BATCH).encode()


def _created(smiles: str, number: int) -> MoleculeCreated:
    return MoleculeCreated(
        smiles=smiles,
        charge=0,
        multiplicity=1,
        formula=f"C{number % 40 + 1}H{number % 80 + 4}N",
        molecular_weight=16.043 + number % 400,
        generation_method="imported",
        toolkit="RDKit",
        toolkit_version="2026.09.1",
        inchikey="VNWKTOKETHGBQD-UHFFFAOYSA-N",
        identity=Identity.GIVEN,
    )


def _started(number: int, attempt: int) -> CalculationStarted:
    return CalculationStarted(
        molecule_id=_A_MOLECULE,
        batch_id=_A_BATCH,
        attempt=attempt,
        method="GFN2-xTB",
        charge=0,
        multiplicity=1,
        program="tblite",
        program_version="0.4.0",
        timeout_seconds=3600.0,
        solvation_model="alpb(water)" if number % 4 == 0 else None,
        xyz_sha256=_DIGEST % number,
        identity=Identity.GIVEN,
        charge_source=ValueSource.ASSUMED,
        multiplicity_source=ValueSource.ASSUMED,
    )


def _completed(chance: random.Random, number: int) -> CalculationCompleted:
    """A result with 5 to 36 atoms, every number with as many digits as tblite gives."""

    def digits(scale: float) -> float:
        return chance.uniform(-scale, scale)

    atoms = [
        Atom(
            element,
            atomic_number,
            digits(0.5),
            *(digits(6) for _ in range(3)),
            *(digits(1e-3) for _ in range(3)),
        )
        for element, atomic_number in itertools.islice(
            itertools.cycle([("C", 6), ("H", 1), ("H", 1), ("N", 7), ("O", 8)]), 5 + number // 2
        )
    ]
    return CalculationCompleted(
        molecule_id=_A_MOLECULE,
        batch_id=_A_BATCH,
        energy=-40 + digits(10),
        homo=-9.5 + digits(1),
        lumo=-7.4 + digits(1),
        gap=2.1 + digits(1),
        dipole=3 + digits(2),
        convergence_status="converged",
        is_converged=True,
        gradient_norm=0.000412,
        wall_time_seconds=round(0.5 + chance.random(), 6),
        cpu_time_seconds=round(0.4 + chance.random(), 6),
        program="tblite",
        program_version="0.4.0",
        xyz_sha256=_DIGEST % number,
        atoms=atoms,
        scf_cycles=9 + number % 7,
        memory_peak_mb=120.5 + number,
        geometry_source="ETKDGv3+MMFF94",
        max_force=0.000412 + 1e-6 * number,
    )


def _failed() -> CalculationFailed:
    return CalculationFailed(
        molecule_id=_A_MOLECULE,
        batch_id=_A_BATCH,
        attempt=1,
        error_type=ErrorType.CONVERGENCE_ERROR,
        error_severity=ErrorSeverity.ERROR,
        error_message="SCF not converged in 250 cycles",
        wall_time_seconds=12.5,
    )


def _event(chance: random.Random, entity: UUID, event: Event, now: datetime) -> EncodedEvent:
    return _encoded(chance, entity, type(event), msgspec.json.encode(event), now)


def _encoded(
    chance: random.Random, entity: UUID, cls: type[Event], data: bytes, now: datetime
) -> EncodedEvent:
    return EncodedEvent(
        event_id=UUID(int=chance.getrandbits(128), version=4),
        tenant_id=TENANT,
        entity_type=cls.entity_type,
        entity_id=entity,
        event_type=cls.event_type,
        data=data,
        metadata=_METADATA,
        user_id=USER,
        occurred_at=now,
    )
