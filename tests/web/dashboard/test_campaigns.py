"""Campaigns: what the pages say of batches, and what their buttons record."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.schema.domains.batches import (
    BatchItem,
    BatchItemsAdded,
    BatchProgressed,
    BatchStarted,
    batch_id,
)
from quantum_forge.schema.domains.molecules import molecule_id
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.tables import event_logs
from tests.support.chemical_history import created, failed, record, started
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, calculation_of
from tests.support.web import OTHER, TENANT
from tests.web.conftest import Served
from tests.web.dashboard.conftest import Signed

PARAMETERS: dict[str, object] = {"method": "GFN2-xTB"}
OURS = batch_id(TENANT, "screen <1>", PARAMETERS)
THEIRS = batch_id(OTHER, "secret screen", PARAMETERS)


def _new(id_: UUID, event: Event, tenant_id: UUID = TENANT) -> NewEvent:
    at = datetime.now(UTC) - timedelta(minutes=5)
    return NewEvent(tenant_id=tenant_id, entity_id=id_, event=event, occurred_at=at)


@pytest.fixture(scope="module", autouse=True)
def campaigns(served: Served) -> None:
    """Record a running batch of ours, and one of another tenant."""
    plan = Plan(batch="", method="GFN2-xTB", solvent=None, engine="tblite")
    repeatable = plan.calculation_id(molecule_id(TENANT, "CCCCCCO", 0, 1), None)
    ids = [calculation_of(each, METHODS[0]) for each in MOLECULES[:3]]
    items = [BatchItem(calculation_id=id_, molecule_id=uuid4()) for id_ in [*ids, repeatable]]
    record(
        served.engine,
        created("CCCCCCO"),
        started(repeatable, "CCCCCCO"),
        failed(repeatable, "CCCCCCO"),
        _new(OURS, BatchStarted(name="screen <1>", parameters=PARAMETERS, total_count=10)),
        _new(OURS, BatchItemsAdded(items=items)),
        _new(OURS, BatchProgressed(successful_count=3, failed_count=1)),
        _new(
            THEIRS,
            BatchStarted(name="secret screen", parameters=PARAMETERS, total_count=5),
            OTHER,
        ),
    )
    wait_until_projected(served.engine)


def test_a_viewer_sees_progress_and_errors_and_no_button(signed_in: dict[str, Signed]) -> None:
    """Of the own tenant; what a batch is called is text, whatever it holds."""
    eve = signed_in["eve"]
    listed = eve.page("/campaigns?status=processing")
    assert "screen &lt;1&gt;" in listed
    assert "4 of 10" in listed
    assert "secret screen" not in listed
    assert "No batch fits" in eve.page("/campaigns?name=another")
    assert eve.http.get("/campaigns?status=odd").status_code == 400

    page = eve.page(f"/campaigns/{OURS}")
    assert "4 of 10" in page
    assert f"batch_id={OURS}&amp;status=failed&amp;error_type=" in page
    assert "<button>Retry" not in page
    assert 'value="stop"' not in page
    assert eve.http.get(f"/campaigns/{THEIRS}").status_code == 404
    for address, action in ((f"/campaigns/{OURS}", "stop"), (f"/campaigns/{OURS}", "retry")):
        assert eve.post(address, action=action, reason="mine").status_code == 403
    assert eve.http.get(f"/campaigns/{OURS}/retract").status_code == 403


def test_a_researcher_retries_retracts_and_stops(
    served: Served, signed_in: dict[str, Signed]
) -> None:
    """The events are those of the commands, by the user who pressed."""
    bob = signed_in["bob"]
    page = f"/campaigns/{OURS}"
    assert "1 retry scheduled" in bob.post(page, action="retry").text
    assert "0 retries scheduled" in bob.post(page, action="retry").text
    assert bob.post(page, action="stop", reason=" ").status_code == 400
    assert "stops within some seconds" in bob.post(page, action="stop", reason="wrong").text
    wait_until_projected(served.engine)
    assert "Its runner was asked to stop" in bob.page(page)
    assert "is cancelled" in bob.post(page, action="close", reason="no answer").text
    assert bob.post(page, action="close", reason="again").status_code == 409

    extent = bob.page(f"{page}/retract?with_reused=true")
    assert "What would be retracted" in extent
    done = bob.post(f"{page}/retract?with_reused=true", action="retract", reason="charges")
    assert "Nothing to retract" in done.text or "qforge retract --undo" in done.text

    mine = select(event_logs.c.event_type).where(
        event_logs.c.user_id == served.accounts["bob"].id, event_logs.c.tenant_id == TENANT
    )
    with served.engine.connect() as connection:
        recorded = set(connection.scalars(mine))
    assert recorded >= {"calculation_retry_scheduled", "batch_stop_requested", "batch_cancelled"}
