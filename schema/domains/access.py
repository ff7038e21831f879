"""Access of people and programs: sessions of browsers, and keys of the API."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import BigInteger, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.users import Theme
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, IndexedText, Timestamp
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.secrecy import SECRET
from quantum_forge.schema.language.table import TIMESTAMP, check, column, either, read_model
from quantum_forge.schema.language.value import entity_id, occurred_at

SecretHash = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z", max_length=71, extra=SECRET)]
"""Of a random secret of at least 128 bits, for which a plain hash is enough."""


class Scope(StrEnum):
    """What an API key may do; writing includes reading.

    Keys that were issued before scopes were checked may have others, which allow nothing.
    """

    READ = "read"
    WRITE = "write"


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
    scopes: list[IndexedText]
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

user_sessions = read_model(
    "user_sessions",
    "One row per open session of a browser, with the state needed to resume it",
    [column("id", Uuid, "The session")],
    column("user_id", Uuid, "User of the session", required=True),
    column(
        "token_hash",
        Text,
        "SHA-256 of the token held by the browser",
        required=True,
        secret=True,
    ),
    column("current_view", Text, "Page that is shown"),
    column("active_molecule_id", Uuid, "Molecule being edited"),
    column("active_calculation_id", Uuid, "Calculation being viewed"),
    column("editor_content", JSONB, "Contents of the editor, saved or not"),
    column("sidebar_state", JSONB, "Which panels are collapsed and which are open"),
    column("theme_preference", Text, either(Theme)),
    column("ui_preferences", JSONB, "Other state of the pages"),
    column("last_activity", TIMESTAMP, "Time of the last activity", required=True),
    column("expires_at", TIMESTAMP, "Time at which the token expires", required=True),
    check("session_token_is_hashed", "token_hash ~ '^sha256:[0-9a-f]{64}$'"),
    Index("user_sessions_user_idx", "tenant_id", "user_id", "last_activity"),
    Index("user_sessions_token_idx", "tenant_id", "token_hash"),
    Index("user_sessions_expiry_idx", "tenant_id", "expires_at"),
)

user_api_keys = read_model(
    "user_api_keys",
    "One row per API key, including revoked ones",
    [column("id", Uuid, "The key")],
    column("user_id", Uuid, "User on whose behalf the key acts", required=True),
    column("name", Text, "Purpose of the key", required=True),
    column("prefix", Text, "First characters of the key, for recognition", required=True),
    column(
        "key_hash",
        Text,
        "SHA-256 of the key; the key itself was shown once",
        required=True,
        secret=True,
    ),
    column("scopes", JSONB, "Scopes of the key", required=True),
    column("rate_limit", BigInteger, "Maximum number of requests per minute; null: no limit"),
    column("usage_quota", BigInteger, "Maximum number of requests in total; null: no limit"),
    column("last_used_at", TIMESTAMP, "Time of the last successful use"),
    column("expires_at", TIMESTAMP, "Time at which the key expires; null: never"),
    column("revoked_at", TIMESTAMP, "Time at which the key was revoked"),
    check("api_key_is_hashed", "key_hash ~ '^sha256:[0-9a-f]{64}$'"),
    Index("user_api_keys_user_idx", "tenant_id", "user_id"),
    Index("user_api_keys_prefix_idx", "tenant_id", "prefix"),
)

projection(
    user_sessions,
    events=[SessionOpened, SessionStateSaved, SessionExtended],
    ends=[SessionClosed, SessionExpired],
    key={"id": entity_id},
    opens=[SessionOpened],
    columns={"last_activity": last(occurred_at())},
)

projection(
    user_api_keys,
    events=[ApiKeyIssued, ApiKeyUsed, ApiKeyRevoked],
    key={"id": entity_id},
    opens=[ApiKeyIssued],
    columns={
        "last_used_at": last(occurred_at(ApiKeyUsed)),
        "revoked_at": last(occurred_at(ApiKeyRevoked)),
    },
)
