"""Who wants to be told what, and where it goes."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from quantum_forge.schema.domains.notifications import NotificationChannel, NotificationKind
from quantum_forge.schema.domains.users import user_preferences, users

WANTED = {
    NotificationKind.COMPLETION: ("notification_on_completion", True),
    NotificationKind.FAILURE: ("notification_on_error", True),
    NotificationKind.GIVEN_UP: ("notification_on_give_up", True),
    NotificationKind.REGRESSION: ("notification_on_regression", False),
}
"""The preference for each kind, and what null means for who has enabled a channel."""

ENABLED = {
    NotificationChannel.EMAIL: "enable_email_notifications",
    NotificationChannel.SLACK: "enable_slack_notifications",
}
"""The preference that opens each channel; null closes it."""


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """An active user and what they asked for. webhook: encrypted."""

    user_id: UUID
    email: str
    webhook: str | None
    channels: frozenset[NotificationChannel]
    kinds: frozenset[NotificationKind]


def read_recipients(
    connection: Connection, tenant_id: UUID, user_ids: Collection[UUID] | None = None
) -> dict[UUID, Recipient]:
    """Return the active users who have a channel, by id; None: of all users."""
    p = user_preferences.c
    query = (
        select(users.c.email, user_preferences)
        .join_from(
            users, user_preferences, (users.c.tenant_id == p.tenant_id) & (users.c.id == p.user_id)
        )
        .where(users.c.tenant_id == tenant_id, users.c.is_active)
    )
    if user_ids is not None:
        query = query.where(users.c.id.in_(user_ids))
    found = {}
    for row in connection.execute(query).mappings():
        channels = frozenset(each for each, name in ENABLED.items() if row[name])
        if row["slack_webhook_url"] is None:
            channels -= {NotificationChannel.SLACK}
        if channels:
            found[row["user_id"]] = Recipient(
                user_id=row["user_id"],
                email=row["email"],
                webhook=row["slack_webhook_url"],
                channels=channels,
                kinds=frozenset(
                    kind
                    for kind, (name, default) in WANTED.items()
                    if (default if row[name] is None else row[name])
                ),
            )
    return found
