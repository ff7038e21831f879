"""The marketplace of the quantum hub: listings, subscriptions and their keys."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import BigInteger, Index, Text, Uuid

from quantum_forge.schema.domains.access import SecretHash
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, Name, Timestamp, in_the_form
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, status_after, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, check, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, occurred_at, user_id
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by

Currency = Annotated[
    str, in_the_form("^[A-Z]{3}$", "a currency of three letters, such as EUR", max_length=3)
]


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


LISTING = lifecycle(
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

SUBSCRIPTION = lifecycle(
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

marketplace_listings = read_model(
    "marketplace_listings",
    "One row per app offered for sale",
    [column("id", Uuid, "The listing")],
    column("app_id", Uuid, "Id of the app", required=True),
    column("user_id", Uuid, "User who offers it"),
    column("title", Text, "Title of the listing", required=True),
    column("description", Text, "Description for buyers"),
    column(
        "price_cents", BigInteger, "Price per month, in hundredths of the currency", required=True
    ),
    column("currency", Text, "Currency code of ISO 4217", required=True),
    column("status", Text, either(LISTING.states), required=True),
    one_of("listing_status_is_known", "status", LISTING.states),
    check("price_is_not_negative", "price_cents >= 0"),
    Index("marketplace_listings_app_idx", "tenant_id", "app_id"),
    Index("marketplace_listings_status_idx", "tenant_id", "status"),
    searched("marketplace_listings", "title", "description"),
)

subscriptions = read_model(
    "subscriptions",
    "One row per subscription to a listing",
    [column("id", Uuid, "The subscription")],
    column("listing_id", Uuid, "Id of the listing", required=True),
    column("user_id", Uuid, "User who subscribes", required=True),
    column("plan", Text, "Chosen plan", required=True),
    column("status", Text, either(SUBSCRIPTION.states), required=True),
    column("period_start", TIMESTAMP, "Start of the current period", required=True),
    column("period_end", TIMESTAMP, "End of the current period", required=True),
    one_of("subscription_status_is_known", "status", SUBSCRIPTION.states),
    Index("subscriptions_user_idx", "tenant_id", "user_id"),
    Index("subscriptions_listing_idx", "tenant_id", "listing_id", "status"),
    Index("subscriptions_period_idx", "tenant_id", "period_end"),
)

subscription_keys = read_model(
    "subscription_keys",
    "One row per key of a subscription; the key itself is not stored",
    [column("id", Uuid, "The key's id, not the key")],
    column("subscription_id", Uuid, "Id of the subscription", required=True),
    column("key_prefix", Text, "First characters of the key, for recognition", required=True),
    column(
        "key_hash",
        Text,
        "SHA-256 of the key, as sha256: and hexadecimal",
        required=True,
        secret=True,
    ),
    column("issued_at", TIMESTAMP, "Time at which the key was shown, once", required=True),
    column("revoked_at", TIMESTAMP, "Time from which the key is no longer accepted"),
    Index("subscription_keys_subscription_idx", "tenant_id", "subscription_id"),
    Index("subscription_keys_hash_idx", "tenant_id", "key_hash"),
)

projection(
    marketplace_listings,
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

projection(
    subscriptions,
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

projection(
    subscription_keys,
    events=[SubscriptionKeyIssued, SubscriptionKeyRevoked],
    key={"id": entity_id},
    opens=[SubscriptionKeyIssued],
    columns={
        "issued_at": last(occurred_at(SubscriptionKeyIssued)),
        "revoked_at": last(occurred_at(SubscriptionKeyRevoked)),
    },
)

written_by(
    marketplace_listings,
    insert=MarketplaceListingCreated,
    update=[
        MarketplaceListingUpdated,
        MarketplaceListingPublished,
        MarketplaceListingWithdrawn,
    ],
)

written_by(
    subscriptions, insert=SubscriptionStarted, update=[SubscriptionRenewed, SubscriptionCancelled]
)
