"""Notifications: what was gathered for users, what was sent to them, and what could not be."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import BigInteger, Index, Integer, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, Timestamp
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, status_after, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, nothing, occurred_at

SHOWN = 5
"""Lines of a message that name single calculations, batches or jobs; a count tells of the rest."""

Attempt = Annotated[int, Meta(ge=1)]


class NotificationKind(StrEnum):
    """What a notification is about."""

    COMPLETION = "completion"
    FAILURE = "failure"
    GIVEN_UP = "given_up"
    REGRESSION = "regression"


class NotificationChannel(StrEnum):
    """How a notification reaches its user."""

    EMAIL = "email"
    SLACK = "slack"


class Matter(Struct, frozen=True, kw_only=True):
    """What one message tells of: one or more events of one kind.

    event_count: how many events. first_event_id, first_position, last_position: of the earliest
    and the latest of them. tally: how many of each type of error. lines: one for each of the first
    few. batches: names of the first few batches concerned.
    """

    event_count: Annotated[int, Meta(ge=1)]
    first_event_id: UUID
    first_position: Count
    last_position: Count
    tally: dict[str, Count] = {}
    lines: list[str] = []
    batches: list[str] = []


class Gathering(Struct, frozen=True, kw_only=True):
    """What waits to be told to a user in one message.

    sent_at: when the last message of this kind was queued for the user. pause_seconds: for which
    the next one has to wait since then. since: when the earliest event of the matter was recorded.
    """

    user_id: UUID
    kind: NotificationKind
    sent_at: Timestamp | None = None
    pause_seconds: Annotated[float, Meta(ge=0)] = 0.0
    since: Timestamp | None = None
    matter: Matter | None = None


def notifier_id(tenant_id: UUID) -> UUID:
    """Return the id of the notifier of a tenant: there is one."""
    return natural_id("notifier", tenant_id)


def _of_tenant(tenant_id: UUID, _: Any) -> UUID:
    return notifier_id(tenant_id)


def notification_id(
    tenant_id: UUID,
    first_event_id: UUID,
    user_id: UUID,
    channel: NotificationChannel,
    kind: NotificationKind,
) -> UUID:
    """Return the id of a notification, which receivers see as its idempotency key."""
    return natural_id("notification", tenant_id, first_event_id, user_id, channel, kind)


def _by_cause(tenant_id: UUID, queued: Any) -> UUID:
    return notification_id(
        tenant_id, queued.matter.first_event_id, queued.user_id, queued.channel, queued.kind
    )


@event("notifier", identity=_of_tenant)
class NotificationsPlanned(Event, frozen=True, kw_only=True):
    """The notifier has read the log up to a position; the same append queues what is to be sent.

    gatherings: what waits for a later message. performance_checked: the last day, in UTC as
    2026-03-31, whose wall times were compared with those of the days before.
    """

    position: Count
    gatherings: list[Gathering]
    performance_checked: str | None = None


@event("notification", identity=_by_cause)
class NotificationQueued(Event, frozen=True, kw_only=True):
    """A message to a user is to be sent; its address is looked up when it is sent."""

    user_id: UUID
    channel: NotificationChannel
    kind: NotificationKind
    event_count: Annotated[int, Meta(ge=1)]
    matter: Matter


@event("notification")
class NotificationDelivered(Event, frozen=True, kw_only=True):
    """The mail server, or the receiver of the webhook, took the message. message_id: of a mail."""

    attempt: Attempt
    message_id: str | UnsetType = UNSET


@event("notification")
class NotificationFailed(Event, frozen=True, kw_only=True):
    """An attempt to send a message failed; it is sent again at `retry_at`."""

    attempt: Attempt
    error_message: str
    retry_at: Timestamp


@event("notification")
class NotificationAbandoned(Event, frozen=True, kw_only=True):
    """A message is not sent any more: it was refused for good, or too late, or not wanted now."""

    error_message: str


lifecycle("notifier", {NotificationsPlanned: when(NEW, "planning", then="planning")})

LIFECYCLE = lifecycle(
    "notification",
    {
        NotificationQueued: when(NEW, then="queued"),
        NotificationDelivered: when("queued", "failing", then="delivered"),
        NotificationFailed: when("queued", "failing", then="failing"),
        NotificationAbandoned: when("queued", "failing", then="abandoned"),
    },
)

notifications = read_model(
    "notifications",
    "One row per message to a user",
    [column("id", Uuid, "uuid5 of tenant, first event, user, channel and kind")],
    column("user_id", Uuid, "User to whom it is sent", required=True),
    column("channel", Text, either(NotificationChannel), required=True),
    column("kind", Text, f"What it tells of: {either(NotificationKind)}", required=True),
    column("status", Text, either(LIFECYCLE.states), required=True),
    column("event_count", BigInteger, "Number of events that it tells of", required=True),
    column("attempt", Integer, "Number of attempts to send it"),
    column("error_message", Text, "Why the last attempt failed, or why it is not sent"),
    column("retry_at", TIMESTAMP, "Time of the next attempt"),
    column("message_id", Text, "Message-ID of the mail"),
    column("delivered_at", TIMESTAMP, "Time at which it was delivered"),
    one_of("channel_is_known", "channel", NotificationChannel),
    one_of("kind_of_notification_is_known", "kind", NotificationKind),
    one_of("notification_status_is_known", "status", LIFECYCLE.states),
    Index("notifications_user_idx", "tenant_id", "user_id", "created_at"),
    Index("notifications_status_idx", "tenant_id", "status", "created_at"),
)

projection(
    notifications,
    events=[NotificationQueued, NotificationDelivered, NotificationFailed, NotificationAbandoned],
    key={"id": entity_id},
    opens=[NotificationQueued],
    columns={
        "status": constant(
            status_after(
                NotificationQueued,
                NotificationDelivered,
                NotificationFailed,
                NotificationAbandoned,
            )
        ),
        "error_message": last(
            nothing(NotificationDelivered),
            NotificationFailed.error_message,
            NotificationAbandoned.error_message,
        ),
        "retry_at": last(
            nothing(NotificationDelivered, NotificationAbandoned), NotificationFailed.retry_at
        ),
        "delivered_at": last(occurred_at(NotificationDelivered)),
    },
)
