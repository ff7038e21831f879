"""Actions of recorders that no story elsewhere tells: each leaves its mark in its table."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select

from quantum_forge.eventstore.actions.accounts.sessions import Sessions
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.actions.telemetry import Telemetry
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS, named
from quantum_forge.schema.domains.audit import AccessDenied, ActionAudited, AuditStatus
from quantum_forge.schema.domains.batches import (
    BatchItem,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchItemsNamed,
    BatchProgressed,
    BatchStarted,
)
from quantum_forge.schema.domains.calculations import (
    CalculationErrorResolved,
    CalculationFailed,
    CalculationRequested,
    CalculationRetryScheduled,
    CalculationStarted,
    ErrorSeverity,
    ErrorType,
)
from quantum_forge.schema.domains.devices import (
    DeviceMaintenanceStarted,
    DeviceRegistered,
    PlatformRegistered,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculePropertiesComputed
from quantum_forge.schema.domains.telemetry import Error, PerformanceMetric
from quantum_forge.schema.domains.users import UserTwoFactorEnabled
from tests.support.appending import TENANT

USER = UUID(int=9, version=4)
AUTHOR = Author(tenant_id=TENANT, user_id=USER)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Return a recorder, which is closed afterwards."""
    with Recorder(engine, AUTHOR) as recorder:
        yield recorder


def told(engine: Engine, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of a read model that is up to date, in order of its key."""
    catch_up(engine, named([table]))
    of = PROJECTIONS[table].table
    query = select(*(of.c[name] for name in columns)).order_by(*of.primary_key.columns)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_service_tells_of_its_metrics_and_errors(recorder: Recorder, engine: Engine) -> None:
    """One by one or together; an exception comes with where it was raised."""
    telemetry = Telemetry(recorder)
    depth = PerformanceMetric(metric_type="gauge", metric_name="depth", value=4.0, unit="1")

    telemetry.record_metrics(
        PerformanceMetric(metric_type="timer", metric_name="scf", value=0.5, unit="s")
    )
    telemetry.record_metrics(depth, depth)
    slow_answer = Error(
        service="web", severity=ErrorSeverity.WARNING, error_type="Slow", message="took 3 s"
    )
    telemetry.recorder.record(slow_answer, of=telemetry.source_id)
    try:
        raise ValueError("no\0text")
    except ValueError as error:
        telemetry.report_exception(error, service="web")

    names = told(engine, "performance_metrics", "metric_name", "value")
    assert names == [("scf", 0.5), ("depth", 4.0), ("depth", 4.0)]
    slow, broken = told(engine, "errors", "error_type", "severity", "message", "stack_trace")
    assert slow == ("Slow", "warning", "took 3 s", None)
    assert broken[:3] == ("ValueError", "error", "no�text")
    assert "test_a_service_tells" in broken[3]


def test_an_account_changes_and_its_session_ends(recorder: Recorder, engine: Engine) -> None:
    """The tier, the second factor; logged out, and nobody came back in time."""
    users, sessions = Users(recorder), Sessions(recorder)
    ada = users.register(email="ada@example.org", username="ada")
    session = sessions.open(ada)
    account = ("tier", "two_factor_enabled")

    users.change_tier(ada, tier="gold")
    users.record((ada, UserTwoFactorEnabled()))
    assert told(engine, "users", *account) == [("gold", True)]
    users.disable_two_factor(ada)
    users.log_out(ada)
    assert told(engine, "users", *account) == [("gold", False)]
    assert told(engine, "user_sessions", "id") == [(session.id,)]
    sessions.expire(session.id)
    assert told(engine, "user_sessions", "id") == []


def test_a_calculation_is_asked_for_tried_again_and_its_error_resolved(
    recorder: Recorder, engine: Engine
) -> None:
    """From the request to the note of the person who dealt with it."""
    inputs: dict[str, Any] = {"molecule_id": uuid4(), "batch_id": None}
    asked: dict[str, Any] = {**inputs, "method": "GFN2-xTB", "charge": 0, "multiplicity": 1}

    its_id = recorder.record(CalculationRequested(**asked)).entity_id
    assert told(engine, "calculations", "status") == [("pending",)]
    begun: dict[str, Any] = {
        "attempt": 1,
        "program": "tblite",
        "program_version": "1",
        "timeout_seconds": 60.0,
    }
    recorder.record(CalculationStarted(**asked, **begun), of=its_id)
    failed = recorder.record(
        CalculationFailed(
            **inputs,
            attempt=1,
            error_type=ErrorType.TIMEOUT,
            error_severity=ErrorSeverity.ERROR,
            error_message="too slow",
        ),
        of=its_id,
    ).placed
    assert failed is not None
    again: dict[str, Any] = {"attempt": 2, "retry_at": NOON, "delay_seconds": 60.0}
    recorder.record(CalculationRetryScheduled(**inputs, **again), of=its_id)
    recorder.record(
        CalculationErrorResolved(
            error_id=failed.position, resolution_notes="a faster machine", resolved_at=NOON
        ),
        of=its_id,
    )

    assert told(engine, "calculations", "status") == [("pending",)]
    assert told(engine, "calculation_errors", "id", "resolution_notes", "resolved_at") == [
        (failed.position, "a faster machine", NOON)
    ]


def test_what_a_batch_does_not_run_counts_in_it(recorder: Recorder, engine: Engine) -> None:
    """An item that has its result already, one that can have none, and how far the rest is."""
    batch = recorder.record(BatchStarted(name="night", parameters={}, total_count=2)).entity_id
    known, hopeless = uuid4(), uuid4()
    first, second = sorted([uuid4(), uuid4()])
    aspirin = BatchItem(calculation_id=first, molecule_id=known, name="aspirin")
    nameless = BatchItem(calculation_id=second, molecule_id=hopeless)
    renamed = BatchItem(calculation_id=first, molecule_id=known, name="my-id-17")

    for event in (
        BatchItemsAdded(items=[aspirin, nameless]),
        BatchItemReused(molecule_id=known, calculation_id=first),
        BatchItemsNamed(items=[renamed]),
        BatchItemRefused(molecule_id=hopeless, calculation_id=second, reason="no such ion"),
        BatchProgressed(successful_count=1, failed_count=1),
    ):
        recorder.record(event, of=batch)

    assert told(engine, "batch_items", "molecule_id", "name", "status", "error_message") == [
        (known, "my-id-17", "completed", None),
        (hopeless, None, "failed", "no such ion"),
    ]
    assert told(engine, "batch_item_names", "calculation_id", "name") == [
        (first, "aspirin"),
        (first, "my-id-17"),
    ]
    assert told(engine, "batch_jobs", "successful_count", "failed_count") == [(1, 1)]


def test_descriptors_maintenance_and_what_auditors_are_told(
    recorder: Recorder, engine: Engine
) -> None:
    """A molecule's properties, a device that is worked on, actions of other programs."""
    created = MoleculeCreated(
        smiles="O",
        charge=0,
        multiplicity=1,
        formula="H2O",
        molecular_weight=18.015,
        generation_method="manual",
        toolkit="RDKit",
        toolkit_version="1",
    )
    water = recorder.record(created).entity_id
    properties = MoleculePropertiesComputed(
        molecular_weight=18.015,
        logp=-0.82,
        hydrogen_bond_donors=0,
        hydrogen_bond_acceptors=0,
        rotatable_bonds=0,
        topological_polar_surface_area=31.5,
        molar_refractivity=2.8,
        qed=0.33,
        toolkit="RDKit",
        toolkit_version="1",
        computed_at=NOON,
    )
    recorder.record(properties, of=water)
    platform = recorder.record(PlatformRegistered(name="Q", provider="QC")).entity_id
    heron = recorder.record(
        DeviceRegistered(platform_id=platform, name="Heron", qubits=156)
    ).entity_id
    recorder.record(
        DeviceMaintenanceStarted(reason="coolant", until=NOON + timedelta(days=1)), of=heron
    )
    recorder.record(AccessDenied(action="report_read", reason="not yours"))
    recorder.record(ActionAudited(action="report_print", status=AuditStatus.SUCCESS))

    assert told(engine, "molecule_properties_computed", "molecule_id", "logp") == [(water, -0.82)]
    assert told(engine, "devices", "status") == [("maintenance",)]
    assert told(engine, "user_audit_log", "action", "status", "user_id") == [
        ("report_read", "denied", USER),
        ("report_print", "success", USER),
    ]
