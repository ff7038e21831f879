"""The views of the system: what they count, and for whom."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.actions.spool_report import report_spool
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import (
    CalculationFailed,
    CalculationStarted,
    ErrorSeverity,
    ErrorType,
)
from tests.conftest import Qforge
from tests.support.appending import append_and_commit

OURS, THEIRS = DEFAULT_TENANT_ID, UUID(int=2, version=4)
COMMON: dict[str, Any] = {"molecule_id": None, "batch_id": None, "attempt": 1}
STARTED = CalculationStarted(
    **COMMON,
    method="GFN2-xTB",
    charge=0,
    multiplicity=1,
    program="tblite",
    program_version="0.4.0",
    timeout_seconds=60,
)
FAILED = CalculationFailed(
    **COMMON,
    error_type=ErrorType.TIMEOUT,
    error_severity=ErrorSeverity.ERROR,
    error_message="too slow",
)


@pytest.fixture
def populated(engine: Engine, tmp_path: Path) -> Engine:
    """Two calculations of ours, one of them failed, and one of another tenant's; their spools."""
    for tenant, count in ((OURS, 2), (THEIRS, 1)):
        author = Author(tenant_id=tenant)
        ids = [uuid4() for _ in range(count)]
        append_and_commit(engine, *(author.new(id_, STARTED) for id_ in ids))
        if tenant == OURS:
            append_and_commit(engine, author.new(ids[0], FAILED))
        report_spool(Recorder(engine, author), host="node1", directory=tmp_path)
    catch_up(engine, PROJECTIONS.values())
    return engine


@pytest.fixture(params=["qforge_reader", "qforge_auditor"])
def login(request: pytest.FixtureRequest, database: Database) -> Iterator[Engine]:
    """Return an engine of a login that sees one tenant."""
    name = f"login_{uuid4().hex[:12]}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE {request.param}"))
    engine = make_engine(database.url.set(username=name))
    yield engine
    engine.dispose()
    with database.engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


def health(connection: Connection) -> dict[str, Any]:
    """The one row of system_health."""
    return dict(connection.execute(text("SELECT * FROM system_health")).mappings().one())


def statistics(connection: Connection) -> dict[tuple[str, str], tuple[int, int | None]]:
    """Rows and bytes by kind and name."""
    query = text("SELECT kind, name, rows, bytes FROM database_stats")
    return {(kind, name): (rows, size) for kind, name, rows, size in connection.execute(query)}


def test_an_administrator_sees_the_whole_system(populated: Engine) -> None:
    """Queue, rate, head, lag, dead letters, spool, engine; rows, bytes and events of everybody."""
    with populated.connect() as connection:
        found, counted = health(connection), statistics(connection)

    assert (found["pending"], found["running"], found["failed"]) == (0, 2, 1)
    assert found["events_per_minute"] == 6
    assert found["head"] == 6
    assert found["lag"] == dict.fromkeys(PROJECTIONS, 0)
    assert (found["dead_letters"], found["spool_depth"]) == (0, 0)
    assert (found["engine"], found["engine_version"]) == ("tblite", "0.4.0")
    assert counted["event_type", "calculation_started"] == (3, None)
    rows, size = counted["table", "calculations"]
    assert rows == 3
    assert size is not None
    assert size > 0
    assert set(PROJECTIONS) <= {name for _, name in counted}


@pytest.mark.usefixtures("populated")
def test_others_see_what_is_their_tenants(login: Engine) -> None:
    """Neither the counts nor the sizes of another tenant's; without a tenant, nothing."""
    with login.begin() as connection:
        act_for(connection, OURS)
        found, counted = health(connection), statistics(connection)
    with login.begin() as connection:
        nobody, nothing = health(connection), statistics(connection)

    assert (found["running"], found["failed"], found["events_per_minute"]) == (1, 1, 4)
    assert counted["table", "calculations"] == (2, None)
    assert counted["event_type", "calculation_started"] == (2, None)
    assert (nobody["running"], nobody["engine"], nobody["events_per_minute"]) == (0, None, 0)
    assert {rows for rows, _ in nothing.values()} == {0}


def test_a_rebuild_leaves_the_view_as_it_was(populated: Engine, login: Engine) -> None:
    """Over the new table, with its grants, and still with the reader's own rights."""
    rebuild(populated, PROJECTIONS["calculations"])

    with login.begin() as connection:
        act_for(connection, OURS)
        assert health(connection)["running"] == 1
    with populated.connect() as connection:
        assert health(connection)["running"] == 2


def test_a_machine_reports_what_waits_there(qforge_here: Qforge, engine: Engine) -> None:
    """By command, as often as one likes; the last report counts."""
    qforge_here("spool", "report")
    qforge_here("spool", "report")
    catch_up(engine, [PROJECTIONS["spools"]])

    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT host, events FROM spools"))
        assert tuple(row) == (socket.gethostname(), 0)
        assert health(connection)["spool_reported_at"] is not None
