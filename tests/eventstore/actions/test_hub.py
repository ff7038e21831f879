"""The quantum hub from an app to a result: each action, its rule, and the row that it leaves."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.errors import EventRefused, LockHeld, RuleBroken
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.lifecycle_check import checked
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import named
from quantum_forge.schema.domains.apps import (
    AppVersionPublished,
    AppVersionYanked,
    QuantumAppCreated,
    QuantumAppDeleted,
    Visibility,
)
from quantum_forge.schema.domains.devices import (
    DeviceRegistered,
    DeviceWentOffline,
    DeviceWentOnline,
    PlatformRegistered,
)
from quantum_forge.schema.domains.jobs import JobCancelled, JobCompleted, JobQueued, JobStarted
from quantum_forge.schema.domains.marketplace import (
    MarketplaceListingCreated,
    MarketplaceListingPublished,
    MarketplaceListingWithdrawn,
    SubscriptionCancelled,
    SubscriptionKeyIssued,
    SubscriptionKeyRevoked,
    SubscriptionPaymentFailed,
    SubscriptionRenewed,
    SubscriptionStarted,
)
from tests.support.appending import TENANT

USER = UUID(int=9, version=4)
AUTHOR = Author(tenant_id=TENANT, user_id=USER)
HUB = named(
    [
        "quantum_apps",
        "app_versions",
        "marketplace_listings",
        "subscriptions",
        "subscription_keys",
        "platforms",
        "devices",
        "jobs",
        "job_results",
    ]
)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def row(engine: Engine, table: str, id_: UUID, key: str = "id") -> dict[str, Any]:
    """What a read model says of an entity, without times."""
    catch_up(engine, HUB)
    query = text(f"SELECT * FROM {table} WHERE {key} = :id")
    with engine.connect() as connection:
        found = connection.execute(query, {"id": id_}).mappings().one()
    return {name: value for name, value in found.items() if not name.endswith("_at")}


def test_an_app_is_published_yanked_and_published_anew(engine: Engine) -> None:
    """A version's number is given once, and a deleted app has no new ones."""
    recorder = Recorder(engine, AUTHOR)
    app = recorder.record(QuantumAppCreated(name="vqe", visibility=Visibility.PUBLIC)).entity_id
    first = recorder.record(
        AppVersionPublished(app_id=app, version="1.0", artifact_key="s3://a")
    ).entity_id

    with pytest.raises(RuleBroken, match="exists already"):
        recorder.record(AppVersionPublished(app_id=app, version="1.0", artifact_key="s3://b"))
    recorder.record(AppVersionYanked(reason="wrong sign"), of=first)
    with pytest.raises(RuleBroken, match="is yanked"):
        recorder.record(AppVersionYanked(reason="again"), of=first)
    recorder.record(
        AppVersionPublished(
            app_id=app, version="1.1", artifact_key="s3://b", changelog="right sign"
        )
    )

    assert row(engine, "quantum_apps", app) | {"last_position": 0} == {
        "tenant_id": TENANT,
        "id": app,
        "project_id": None,
        "user_id": USER,
        "name": "vqe",
        "description": None,
        "visibility": "public",
        "version_count": 2,
        "latest_version": "1.1",
        "last_position": 0,
    }
    assert row(engine, "app_versions", first)["yank_reason"] == "wrong sign"
    recorder.record(QuantumAppDeleted(), of=app)
    with pytest.raises(RuleBroken, match=r"quantum_app .* is deleted"):
        recorder.record(AppVersionPublished(app_id=app, version="2", artifact_key="s3://c"))


def test_only_what_is_published_can_be_subscribed_to(engine: Engine) -> None:
    """A listing goes from draft to published to withdrawn and back; subscriptions go on."""
    recorder = Recorder(engine, AUTHOR)
    app = recorder.record(QuantumAppCreated(name="vqe")).entity_id
    with pytest.raises(EventRefused, match=r"currency"):
        recorder.record(
            MarketplaceListingCreated(app_id=app, title="VQE", price_cents=100, currency="Euro")
        )
    listing = recorder.record(
        MarketplaceListingCreated(app_id=app, title="VQE", price_cents=4900, currency="EUR")
    ).entity_id
    month: dict[str, Any] = {"period_start": NOON, "period_end": NOON + timedelta(days=30)}
    wanted: dict[str, Any] = {"listing_id": listing, "subscriber_id": USER, "plan": "pro", **month}

    with pytest.raises(RuleBroken, match=r"is draft; subscription_started needs it to be publish"):
        recorder.record(SubscriptionStarted(**wanted))
    recorder.record(MarketplaceListingPublished(), of=listing)
    subscription = recorder.record(SubscriptionStarted(**wanted)).entity_id
    recorder.record(MarketplaceListingWithdrawn(), of=listing)
    with pytest.raises(RuleBroken, match="is withdrawn"):
        recorder.record(SubscriptionStarted(**wanted))

    recorder.record(SubscriptionPaymentFailed(reason="card expired"), of=subscription)
    assert row(engine, "subscriptions", subscription)["status"] == "past_due"
    recorder.record(
        SubscriptionRenewed(period_start=NOON, period_end=NOON + timedelta(days=60)),
        of=subscription,
    )
    found = row(engine, "subscriptions", subscription)
    assert (found["status"], found["plan"], found["user_id"]) == ("active", "pro", USER)
    assert found["period_end"] == NOON + timedelta(days=60)
    recorder.record(SubscriptionCancelled(), of=subscription)
    with pytest.raises(RuleBroken, match="is cancelled"):
        recorder.record(SubscriptionRenewed(**month), of=subscription)


def test_a_key_is_revoked_once_and_is_recorded_as_a_hash(engine: Engine) -> None:
    """Anything that is not a hash is refused, so that no key gets into the log by mistake."""
    recorder = Recorder(engine, AUTHOR)
    app = recorder.record(QuantumAppCreated(name="vqe")).entity_id
    listing = recorder.record(
        MarketplaceListingCreated(app_id=app, title="VQE", price_cents=0, currency="EUR")
    ).entity_id
    recorder.record(MarketplaceListingPublished(), of=listing)
    subscription = recorder.record(
        SubscriptionStarted(
            listing_id=listing, subscriber_id=USER, plan="pro", period_start=NOON, period_end=NOON
        )
    ).entity_id
    hashed = f"sha256:{sha256(b'qf_secret').hexdigest()}"

    with pytest.raises(EventRefused, match="key_hash"):
        recorder.record(
            SubscriptionKeyIssued(
                subscription_id=subscription, key_prefix="qf_s", key_hash="qf_secret"
            )
        )
    key = recorder.record(
        SubscriptionKeyIssued(subscription_id=subscription, key_prefix="qf_s", key_hash=hashed)
    ).entity_id
    recorder.record(SubscriptionKeyRevoked(reason="leaked"), of=key)
    with pytest.raises(RuleBroken, match="is revoked; subscription_key_revoked needs"):
        recorder.record(SubscriptionKeyRevoked(), of=key)

    found = row(engine, "subscription_keys", key)
    assert (found["key_prefix"], found["key_hash"]) == ("qf_s", hashed)


def test_a_job_runs_on_a_device_that_is_online_and_ends_once(engine: Engine) -> None:
    """Queued, started, completed; the result has a row of its own."""
    recorder = Recorder(engine, AUTHOR)
    app = recorder.record(QuantumAppCreated(name="vqe")).entity_id
    version = recorder.record(
        AppVersionPublished(app_id=app, version="1", artifact_key="s3://a")
    ).entity_id
    with pytest.raises(RuleBroken, match=r"platform .* does not exist"):
        recorder.record(DeviceRegistered(platform_id=uuid4(), name="Heron", qubits=156))
    platform = recorder.record(PlatformRegistered(name="Quantum", provider="IBM")).entity_id
    device = recorder.record(
        DeviceRegistered(platform_id=platform, name="Heron", qubits=156)
    ).entity_id
    job: dict[str, Any] = {"app_version_id": version, "device_id": device, "parameters": {}}

    with pytest.raises(RuleBroken, match=r"device .* is offline; job_queued needs it to be online"):
        recorder.record(JobQueued(**job, shots=100))
    recorder.record(DeviceWentOnline(), of=device)
    queued = recorder.record(JobQueued(**job, shots=100)).entity_id
    with pytest.raises(RuleBroken, match="is queued; job_completed needs it to be running"):
        recorder.record(JobCompleted(counts={"00": 100}, execution_time_seconds=1.5), of=queued)
    recorder.record(JobStarted(), of=queued)
    recorder.record(DeviceWentOffline(reason="calibration"), of=device)  # what runs goes on
    recorder.record(
        JobCompleted(counts={"00": 60, "11": 40}, execution_time_seconds=1.5, fidelity=0.99),
        of=queued,
    )
    with pytest.raises(RuleBroken, match="is completed"):
        recorder.record(JobCancelled(), of=queued)

    assert row(engine, "jobs", queued)["status"] == "completed"
    assert row(engine, "job_results", queued, "job_id")["counts"] == {"00": 60, "11": 40}
    found = row(engine, "devices", device)
    assert (found["status"], found["status_reason"]) == ("offline", "calibration")
    recorder.record(DeviceWentOnline(), of=device)
    assert row(engine, "devices", device)["status_reason"] is None


def test_what_is_needed_stays_until_the_append_is_done(engine: Engine) -> None:
    """A device that goes offline waits for an append that relies on its being online."""
    recorder = Recorder(engine, AUTHOR)
    app = recorder.record(QuantumAppCreated(name="vqe")).entity_id
    version = recorder.record(
        AppVersionPublished(app_id=app, version="1", artifact_key="s3://a")
    ).entity_id
    platform = recorder.record(PlatformRegistered(name="Quantum", provider="IBM")).entity_id
    device = recorder.record(
        DeviceRegistered(platform_id=platform, name="Heron", qubits=156)
    ).entity_id
    recorder.record(DeviceWentOnline(), of=device)
    queue = JobQueued(app_version_id=version, device_id=device, shots=1, parameters={})

    with engine.begin() as ours, engine.begin() as theirs:
        checked(ours, [AUTHOR.new(uuid4(), queue)])
        theirs.execute(text("SET LOCAL lock_timeout = '50ms'"))
        checked(theirs, [AUTHOR.new(uuid4(), queue)])
        with pytest.raises(LockHeld, match="recording by rules"):
            checked(theirs, [AUTHOR.new(device, DeviceWentOffline())])
        theirs.rollback()

    recorder.record(DeviceWentOffline(), of=device)
    with pytest.raises(RuleBroken):
        recorder.record(JobQueued(app_version_id=version, device_id=device, shots=1, parameters={}))
