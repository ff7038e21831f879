"""Actions in the quantum hub, of users and providers."""

from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.schema.domains.apps import (
    AppVersionPublished,
    AppVersionYanked,
    QuantumAppCreated,
    QuantumAppDeleted,
    QuantumAppUpdated,
)
from quantum_forge.schema.domains.devices import (
    DeviceMaintenanceStarted,
    DeviceRegistered,
    DeviceRemoved,
    DeviceUpdated,
    DeviceWentOffline,
    DeviceWentOnline,
    PlatformRegistered,
    PlatformRemoved,
    PlatformUpdated,
)
from quantum_forge.schema.domains.jobs import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobQueued,
    JobStarted,
)
from quantum_forge.schema.domains.marketplace import (
    MarketplaceListingCreated,
    MarketplaceListingPublished,
    MarketplaceListingUpdated,
    MarketplaceListingWithdrawn,
    SubscriptionCancelled,
    SubscriptionKeyIssued,
    SubscriptionKeyRevoked,
    SubscriptionPaymentFailed,
    SubscriptionRenewed,
    SubscriptionStarted,
)


class QuantumApps(Domain):
    """Apps; each needs a version to run."""

    create = creates(QuantumAppCreated)
    update = happens(QuantumAppUpdated)
    delete = happens(QuantumAppDeleted)


class AppVersions(Domain):
    """A version is known by its app and its number, which is given once."""

    publish = creates(AppVersionPublished)
    yank = happens(AppVersionYanked)


class MarketplaceListings(Domain):
    """Apps for sale."""

    create = creates(MarketplaceListingCreated)
    update = happens(MarketplaceListingUpdated)
    publish = happens(MarketplaceListingPublished)
    withdraw = happens(MarketplaceListingWithdrawn)


class Subscriptions(Domain):
    """Who may use what is for sale, and until when."""

    start = creates(SubscriptionStarted)
    renew = happens(SubscriptionRenewed)
    miss_payment = happens(SubscriptionPaymentFailed)
    cancel = happens(SubscriptionCancelled)


class SubscriptionKeys(Domain):
    """Keys of subscriptions; recorded as prefix and hash."""

    issue = creates(SubscriptionKeyIssued)
    revoke = happens(SubscriptionKeyRevoked)


class Platforms(Domain):
    """Providers' platforms."""

    register = creates(PlatformRegistered)
    update = happens(PlatformUpdated)
    remove = happens(PlatformRemoved)


class Devices(Domain):
    """The devices of platforms."""

    register = creates(DeviceRegistered)
    update = happens(DeviceUpdated)
    go_online = happens(DeviceWentOnline)
    go_offline = happens(DeviceWentOffline)
    start_maintenance = happens(DeviceMaintenanceStarted)
    remove = happens(DeviceRemoved)


class Jobs(Domain):
    """Runs of an app's version on a device; each has one end."""

    queue = creates(JobQueued)
    start = happens(JobStarted)
    complete = happens(JobCompleted)
    fail = happens(JobFailed)
    cancel = happens(JobCancelled)
