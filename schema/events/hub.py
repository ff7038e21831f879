"""What happens in the quantum hub: apps and their market, devices, and the jobs on them."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from quantum_forge.schema.events.access import SecretHash
from quantum_forge.schema.events.chemistry import Count, Timestamp
from quantum_forge.schema.events.discovery import Name
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when

Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)]


class Visibility(StrEnum):
    """Who finds an app: its owner, whoever has the link, everybody."""

    PRIVATE = "private"
    UNLISTED = "unlisted"
    PUBLIC = "public"


# Apps and their versions


@event("quantum_app")
class QuantumAppCreated(Event, frozen=True, kw_only=True):
    """An app was begun; it runs once a version is published."""

    name: Name
    description: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    project_id: UUID | None = None


@event("quantum_app")
class QuantumAppUpdated(Event, frozen=True, kw_only=True):
    """An app was described anew: absent leaves a value alone, null clears it."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    visibility: Visibility | UnsetType = UNSET


@event("quantum_app")
class QuantumAppDeleted(Event, frozen=True, kw_only=True):
    """An app was deleted; what ran stays recorded."""

    reason: str | None = None


@event("app_version")
class AppVersionPublished(Event, frozen=True, kw_only=True):
    """A version of an app can be run from now on. artifact_key: where its code is."""

    app_id: UUID
    version: Name
    artifact_key: Name
    changelog: str | None = None


@event("app_version")
class AppVersionYanked(Event, frozen=True, kw_only=True):
    """A version must not be run any more; its number is never given again."""

    reason: str


# The market


@event("marketplace_listing")
class MarketplaceListingCreated(Event, frozen=True, kw_only=True):
    """An app was prepared for sale. price_cents: a month, in hundredths of the currency."""

    app_id: UUID
    title: Name
    price_cents: Count
    currency: Currency
    description: str | None = None


@event("marketplace_listing")
class MarketplaceListingUpdated(Event, frozen=True, kw_only=True):
    """A listing was changed: absent leaves a value alone, null clears it."""

    title: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    price_cents: Count | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET


@event("marketplace_listing")
class MarketplaceListingPublished(Event, frozen=True, kw_only=True):
    """A listing can be subscribed to."""


@event("marketplace_listing")
class MarketplaceListingWithdrawn(Event, frozen=True, kw_only=True):
    """A listing takes no new subscriptions; those that there are go on."""

    reason: str | None = None


@event("subscription")
class SubscriptionStarted(Event, frozen=True, kw_only=True):
    """Somebody subscribed to a listing. subscriber_id: who it is for."""

    listing_id: UUID
    subscriber_id: UUID
    plan: Name
    period_start: Timestamp
    period_end: Timestamp


@event("subscription")
class SubscriptionRenewed(Event, frozen=True, kw_only=True):
    """A subscription was paid for another period."""

    period_start: Timestamp
    period_end: Timestamp
    plan: Name | UnsetType = UNSET


@event("subscription")
class SubscriptionPaymentFailed(Event, frozen=True, kw_only=True):
    """A period was not paid for."""

    reason: str


@event("subscription")
class SubscriptionCancelled(Event, frozen=True, kw_only=True):
    """A subscription ended for good."""

    reason: str | None = None


@event("subscription_key")
class SubscriptionKeyIssued(Event, frozen=True, kw_only=True):
    """A key was issued for a subscription; it was shown once.

    key_prefix: its beginning, to tell keys apart. key_hash: `sha256:` and its SHA-256.
    """

    subscription_id: UUID
    key_prefix: Annotated[str, Meta(min_length=1, max_length=16)]
    key_hash: SecretHash


@event("subscription_key")
class SubscriptionKeyRevoked(Event, frozen=True, kw_only=True):
    """A key opens nothing any more."""

    reason: str | None = None


# Platforms and devices


@event("platform")
class PlatformRegistered(Event, frozen=True, kw_only=True):
    """A provider's platform can be used."""

    name: Name
    provider: Name
    api_url: str | None = None


@event("platform")
class PlatformUpdated(Event, frozen=True, kw_only=True):
    """A platform changed: absent leaves a value alone, null clears it."""

    name: Name | UnsetType = UNSET
    provider: Name | UnsetType = UNSET
    api_url: str | UnsetType | None = UNSET


@event("platform")
class PlatformRemoved(Event, frozen=True, kw_only=True):
    """A platform is not used any more."""

    reason: str | None = None


@event("device")
class DeviceRegistered(Event, frozen=True, kw_only=True):
    """A platform has a device, which is not online yet."""

    platform_id: UUID
    name: Name
    qubits: Annotated[int, Meta(ge=1)]
    properties: dict[str, object] | UnsetType = UNSET


@event("device")
class DeviceUpdated(Event, frozen=True, kw_only=True):
    """A device was recalibrated or described anew."""

    name: Name | UnsetType = UNSET
    qubits: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    properties: dict[str, object] | UnsetType | None = UNSET


@event("device")
class DeviceWentOnline(Event, frozen=True, kw_only=True):
    """A device takes jobs."""


@event("device")
class DeviceWentOffline(Event, frozen=True, kw_only=True):
    """A device takes no jobs."""

    reason: str | None = None


@event("device")
class DeviceMaintenanceStarted(Event, frozen=True, kw_only=True):
    """A device is being worked on, until about then."""

    reason: str | None = None
    until: Timestamp | None = None


@event("device")
class DeviceRemoved(Event, frozen=True, kw_only=True):
    """A device is not there any more."""

    reason: str | None = None


# Jobs


@event("job")
class JobQueued(Event, frozen=True, kw_only=True):
    """A version of an app shall run on a device. shots: how often it is measured."""

    app_version_id: UUID
    device_id: UUID
    shots: Annotated[int, Meta(ge=1)]
    parameters: dict[str, object]


@event("job")
class JobStarted(Event, frozen=True, kw_only=True):
    """The device began with a job."""


@event("job")
class JobCompleted(Event, frozen=True, kw_only=True):
    """A job has a result.

    counts: how often each bit string was measured. fidelity: from 0 to 1.
    execution_time_seconds: s, on the device. result_key: where the whole result is.
    """

    counts: dict[str, Count]
    execution_time_seconds: Annotated[float, Meta(ge=0)]
    fidelity: Annotated[float, Meta(ge=0, le=1)] | None = None
    result_key: str | None = None


@event("job")
class JobFailed(Event, frozen=True, kw_only=True):
    """A job ended without a result."""

    error_message: str


@event("job")
class JobCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped a job."""

    reason: str | None = None


lifecycle(
    "quantum_app",
    {
        QuantumAppCreated: when(NEW, then="present", needs={"project_id": ("project", "active")}),
        QuantumAppUpdated: when("present"),
        QuantumAppDeleted: when("present", then="deleted"),
    },
)

lifecycle(
    "app_version",
    {
        AppVersionPublished: when(
            NEW, then="published", needs={"app_id": ("quantum_app", "present")}
        ),
        AppVersionYanked: when("published", then="yanked"),
    },
)

lifecycle(
    "marketplace_listing",
    {
        MarketplaceListingCreated: when(
            NEW, then="draft", needs={"app_id": ("quantum_app", "present")}
        ),
        MarketplaceListingUpdated: when("draft", "published", "withdrawn"),
        MarketplaceListingPublished: when("draft", "withdrawn", then="published"),
        MarketplaceListingWithdrawn: when("published", then="withdrawn"),
    },
)

lifecycle(
    "subscription",
    {
        SubscriptionStarted: when(
            NEW, then="active", needs={"listing_id": ("marketplace_listing", "published")}
        ),
        SubscriptionRenewed: when("active", "past_due", then="active"),
        SubscriptionPaymentFailed: when("active", "past_due", then="past_due"),
        SubscriptionCancelled: when("active", "past_due", then="cancelled"),
    },
)

lifecycle(
    "subscription_key",
    {
        SubscriptionKeyIssued: when(
            NEW, then="issued", needs={"subscription_id": ("subscription", "active")}
        ),
        SubscriptionKeyRevoked: when("issued", then="revoked"),
    },
)

lifecycle(
    "platform",
    {
        PlatformRegistered: when(NEW, then="present"),
        PlatformUpdated: when("present"),
        PlatformRemoved: when("present", then="removed"),
    },
)

lifecycle(
    "device",
    {
        DeviceRegistered: when(NEW, then="offline", needs={"platform_id": ("platform", "present")}),
        DeviceUpdated: when("offline", "online", "maintenance"),
        DeviceWentOnline: when("offline", "maintenance", then="online"),
        DeviceWentOffline: when("online", "maintenance", then="offline"),
        DeviceMaintenanceStarted: when("offline", "online", then="maintenance"),
        DeviceRemoved: when("offline", "online", "maintenance", then="removed"),
    },
)

lifecycle(
    "job",
    {
        JobQueued: when(
            NEW,
            then="queued",
            needs={
                "app_version_id": ("app_version", "published"),
                "device_id": ("device", "online"),
            },
        ),
        JobStarted: when("queued", then="running"),
        JobCompleted: when("running", then="completed"),
        JobFailed: when("queued", "running", then="failed"),
        JobCancelled: when("queued", "running", then="cancelled"),
    },
)
