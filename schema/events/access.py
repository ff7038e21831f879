"""By what people and programs get in: sessions of browsers, and keys of the API."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from quantum_forge.schema.events.chemistry import Count, Timestamp
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.secrecy import SECRET

SecretHash = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z", extra=SECRET)]
"""Of a random secret of at least 128 bits, for which a plain hash is enough."""


@event("session")
class SessionOpened(Event, frozen=True, kw_only=True):
    """A browser was let in; it holds the token, we hold its hash."""

    user_id: UUID
    token_hash: SecretHash
    expires_at: Timestamp


@event("session")
class SessionStateSaved(Event, frozen=True, kw_only=True):
    """What the browser shows, so that it can come back to it; what is absent stays."""

    current_view: str | UnsetType | None = UNSET
    active_molecule_id: UUID | UnsetType | None = UNSET
    active_calculation_id: UUID | UnsetType | None = UNSET
    editor_content: dict[str, object] | UnsetType | None = UNSET
    sidebar_state: dict[str, object] | UnsetType | None = UNSET
    theme_preference: str | UnsetType | None = UNSET
    ui_preferences: dict[str, object] | UnsetType | None = UNSET


@event("session")
class SessionExtended(Event, frozen=True, kw_only=True):
    """A session that is used lives longer."""

    expires_at: Timestamp


@event("session")
class SessionClosed(Event, frozen=True, kw_only=True):
    """A person signed out."""


@event("session")
class SessionExpired(Event, frozen=True, kw_only=True):
    """Nobody came back in time."""


@event("api_key")
class ApiKeyIssued(Event, frozen=True, kw_only=True):
    """A program may act for a person. The key itself was shown once; its hash and prefix stay.

    rate_limit: requests per minute; usage_quota: requests in all; None: without limit.
    """

    user_id: UUID
    name: str
    prefix: Annotated[str, Meta(min_length=4, max_length=16)]
    key_hash: SecretHash
    scopes: list[str]
    rate_limit: Count | None = None
    usage_quota: Count | None = None
    expires_at: Timestamp | None = None


@event("api_key")
class ApiKeyUsed(Event, frozen=True, kw_only=True):
    """The key opened a door; recorded at intervals, not for each request."""


@event("api_key")
class ApiKeyRevoked(Event, frozen=True, kw_only=True):
    """The key opens nothing any more."""

    reason: str | None = None


_ACTIVE_USER = {"user_id": ("user", "active")}

lifecycle(
    "session",
    {
        SessionOpened: when(NEW, then="open", needs=_ACTIVE_USER),
        SessionStateSaved: when("open"),
        SessionExtended: when("open"),
        SessionClosed: when("open", then="closed"),
        SessionExpired: when("open", then="expired"),
    },
)

lifecycle(
    "api_key",
    {
        ApiKeyIssued: when(NEW, then="valid", needs=_ACTIVE_USER),
        ApiKeyUsed: when("valid"),
        ApiKeyRevoked: when("valid", then="revoked"),
    },
)
