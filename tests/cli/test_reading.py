"""Commands that read: what was recorded before is shown, and nobody is told to project it."""

from uuid import UUID, uuid4

from sqlalchemy import Engine

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.registry import PROJECTIONS, named
from quantum_forge.schema.domains.batches import BatchStarted, batch_id
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.domains.users import Role, UserRegistered
from tests.conftest import Qforge
from tests.support.chemical_history import completed, created, happened, record, started

BATCH = batch_id(DEFAULT_TENANT_ID, "drugs")
CALCULATION = UUID("aaaa1111-0000-4000-8000-000000000001")
MOLECULE = molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)

READING = {
    ("calculations", "list"): "calculations molecules",
    ("calculations", "list", "--name", "w"): "calculations batch_item_names",
    ("calculations", "list", "--batch", "drugs"): "calculations batch_jobs batch_items",
    ("calculations", "list", "--weight", ":50"): "calculations molecule_properties_computed",
    ("calculations", "show", str(CALCULATION)): "calculations atomic_properties calculation_errors",
    ("molecules", "list"): "molecules",
    ("molecules", "list", "--logp", ":5", "--name", "w"): "molecules molecule_properties_computed",
    ("molecules", "show", str(MOLECULE)): "molecules calculations",
    ("batches", "list"): "batch_jobs",
    ("batches", "list", "--user", "ada"): "batch_jobs users",
    ("batches", "show", "drugs"): "batch_jobs batch_items calculations",
    ("metrics", "show"): "calculations molecules",
    ("metrics", "show", "queue_depth"): "performance_metrics_hourly",
    ("users", "list"): "users",
    ("audit", "--user", "ada"): "users organization_members",
    ("explain", "calculations", str(CALCULATION)): "calculations",
    ("retention", "show"): "user_sessions performance_metrics",
    ("dataset", "export", "set", "--batch", "drugs", "--force"): "batch_jobs",
    ("retract", "--batch", "drugs", "--dry-run"): "batch_jobs batch_items calculations",
    ("retry", "--dry-run"): "calculations",
}
"""Each command with the tables that it shows rows of."""

COUNTING = [("status",), ("metrics",), ("doctor",)]
"""Commands that measure the lag, and leave it as it is."""


def test_a_command_brings_up_to_date_what_it_reads(engine: Engine, qforge_here: Qforge) -> None:
    """New rows of every table, before each command: all that it reads is folded, without a word."""
    registered = UserRegistered(email="ada@example.org", username="ada", role=Role.ADMIN)
    record(
        engine,
        happened(registered, uuid4(), user_id=None),
        happened(BatchStarted(name="drugs", parameters={}, total_count=1), BATCH),
        created("O"),
    )
    for number, (command, tables) in enumerate(READING.items()):
        started_id = CALCULATION if number == 0 else uuid7()
        record(engine, started(started_id, "O", batch_id=BATCH), completed(started_id, "O"))
        said = qforge_here(*command, status=None)
        assert "Not up to date" not in said.stderr, (command, said.stderr)
        with engine.connect() as connection:
            lags = read_lags(connection, named(tables.split()), safe_head(connection))
        assert not [lag for lag in lags if lag.is_behind], command

    for command in COUNTING:
        record(engine, started(started_id, "O"), completed(started_id, "O"))
        qforge_here(*command, status=None)
        with engine.connect() as connection:
            lags = read_lags(connection, PROJECTIONS.values(), safe_head(connection))
        assert [lag for lag in lags if lag.is_behind], command


def test_a_command_projects_what_it_recorded(engine: Engine, qforge_here: Qforge) -> None:
    """So that nobody who asks for the status is told to project a data export."""
    qforge_here("record", "project_created", "--data", '{"name": "Malaria"}')
    qforge_here("audit", "--csv")
    qforge_here("dataset", "export", "empty")

    with engine.connect() as connection:
        lags = read_lags(connection, PROJECTIONS.values(), safe_head(connection))
    assert not [lag for lag in lags if lag.is_behind]
