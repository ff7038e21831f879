"""How the quantum hub follows from the log."""

from quantum_forge.schema.events.hub import (
    AppVersionPublished,
    AppVersionYanked,
    DeviceMaintenanceStarted,
    DeviceRegistered,
    DeviceRemoved,
    DeviceUpdated,
    DeviceWentOffline,
    DeviceWentOnline,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobQueued,
    JobStarted,
    MarketplaceListingCreated,
    MarketplaceListingPublished,
    MarketplaceListingUpdated,
    MarketplaceListingWithdrawn,
    PlatformRegistered,
    PlatformRemoved,
    PlatformUpdated,
    QuantumAppCreated,
    QuantumAppDeleted,
    QuantumAppUpdated,
    SubscriptionCancelled,
    SubscriptionKeyIssued,
    SubscriptionKeyRevoked,
    SubscriptionPaymentFailed,
    SubscriptionRenewed,
    SubscriptionStarted,
)
from quantum_forge.schema.language.fold import constant, count, last
from quantum_forge.schema.language.lifecycle import status_after
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import entity_id, nothing, occurred_at, user_id
from quantum_forge.schema.tables import hub as tables

quantum_apps = Projection(
    tables.quantum_apps,
    events=[QuantumAppCreated, QuantumAppUpdated, AppVersionPublished],
    key={"id": (AppVersionPublished.app_id, entity_id)},
    opens=[QuantumAppCreated],
    ends=[QuantumAppDeleted],
    columns={
        "user_id": last(user_id(QuantumAppCreated)),
        "version_count": count(AppVersionPublished),
        "latest_version": last(AppVersionPublished.version),
    },
)

app_versions = Projection(
    tables.app_versions,
    events=[AppVersionPublished, AppVersionYanked],
    key={"id": entity_id},
    opens=[AppVersionPublished],
    columns={
        "user_id": last(user_id(AppVersionPublished)),
        "published_at": last(occurred_at(AppVersionPublished)),
        "yanked_at": last(occurred_at(AppVersionYanked)),
        "yank_reason": last(AppVersionYanked.reason),
    },
)

marketplace_listings = Projection(
    tables.marketplace_listings,
    events=[
        MarketplaceListingCreated,
        MarketplaceListingUpdated,
        MarketplaceListingPublished,
        MarketplaceListingWithdrawn,
    ],
    key={"id": entity_id},
    opens=[MarketplaceListingCreated],
    columns={
        "user_id": last(user_id(MarketplaceListingCreated)),
        "status": constant(
            status_after(
                MarketplaceListingCreated, MarketplaceListingPublished, MarketplaceListingWithdrawn
            )
        ),
    },
)

subscriptions = Projection(
    tables.subscriptions,
    events=[
        SubscriptionStarted,
        SubscriptionRenewed,
        SubscriptionPaymentFailed,
        SubscriptionCancelled,
    ],
    key={"id": entity_id},
    opens=[SubscriptionStarted],
    columns={
        "user_id": last(SubscriptionStarted.subscriber_id),
        "status": constant(
            status_after(
                SubscriptionStarted,
                SubscriptionRenewed,
                SubscriptionPaymentFailed,
                SubscriptionCancelled,
            )
        ),
    },
)

subscription_keys = Projection(
    tables.subscription_keys,
    events=[SubscriptionKeyIssued, SubscriptionKeyRevoked],
    key={"id": entity_id},
    opens=[SubscriptionKeyIssued],
    columns={
        "issued_at": last(occurred_at(SubscriptionKeyIssued)),
        "revoked_at": last(occurred_at(SubscriptionKeyRevoked)),
    },
)

platforms = Projection(
    tables.platforms,
    events=[PlatformRegistered, PlatformUpdated],
    key={"id": entity_id},
    opens=[PlatformRegistered],
    ends=[PlatformRemoved],
)

devices = Projection(
    tables.devices,
    events=[
        DeviceRegistered,
        DeviceUpdated,
        DeviceWentOnline,
        DeviceWentOffline,
        DeviceMaintenanceStarted,
    ],
    key={"id": entity_id},
    opens=[DeviceRegistered],
    ends=[DeviceRemoved],
    columns={
        "status": constant(
            status_after(
                DeviceRegistered, DeviceWentOnline, DeviceWentOffline, DeviceMaintenanceStarted
            )
        ),
        "status_reason": last(
            nothing(DeviceWentOnline), DeviceWentOffline.reason, DeviceMaintenanceStarted.reason
        ),
    },
)

jobs = Projection(
    tables.jobs,
    events=[JobQueued, JobStarted, JobCompleted, JobFailed, JobCancelled],
    key={"id": entity_id},
    opens=[JobQueued],
    columns={
        "user_id": last(user_id(JobQueued)),
        "status": constant(
            status_after(JobQueued, JobStarted, JobCompleted, JobFailed, JobCancelled)
        ),
        "queued_at": last(occurred_at(JobQueued)),
        "started_at": last(occurred_at(JobStarted)),
        "finished_at": last(occurred_at(JobCompleted, JobFailed, JobCancelled)),
        "error_message": last(JobFailed.error_message),
    },
)

job_results = Projection(
    tables.job_results,
    events=[JobCompleted],
    key={"job_id": entity_id},
)

PROJECTIONS = [
    quantum_apps,
    app_versions,
    marketplace_listings,
    subscriptions,
    subscription_keys,
    platforms,
    devices,
    jobs,
    job_results,
]
