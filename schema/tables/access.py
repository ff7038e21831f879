"""Read models of what lets people and programs in."""

from sqlalchemy import BigInteger, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import TIMESTAMP, check, column, read_model

user_sessions = read_model(
    "user_sessions",
    "One row per open session of a browser, with all it takes to come back to it",
    [column("id", Uuid, "The session")],
    column("user_id", Uuid, "Whose it is", required=True),
    column(
        "token_hash",
        Text,
        "SHA-256 of the token that the browser holds",
        required=True,
        secret=True,
    ),
    column("current_view", Text, "The page that is shown"),
    column("active_molecule_id", Uuid, "The molecule that is edited"),
    column("active_calculation_id", Uuid, "The calculation that is looked at"),
    column("editor_content", JSONB, "What the editor holds, saved or not"),
    column("sidebar_state", JSONB, "What is folded, what is open"),
    column("theme_preference", Text, "light, dark or auto"),
    column("ui_preferences", JSONB, "Whatever else the pages remember"),
    column("last_activity", TIMESTAMP, "When something last happened in it", required=True),
    column("expires_at", TIMESTAMP, "Until when the token is good", required=True),
    check("session_token_is_hashed", "token_hash ~ '^sha256:[0-9a-f]{64}$'"),
    Index("user_sessions_user_idx", "tenant_id", "user_id", "last_activity"),
    Index("user_sessions_token_idx", "tenant_id", "token_hash"),
    Index("user_sessions_expiry_idx", "tenant_id", "expires_at"),
)

user_api_keys = read_model(
    "user_api_keys",
    "One row per key of the API, revoked ones too",
    [column("id", Uuid, "The key")],
    column("user_id", Uuid, "For whom it acts", required=True),
    column("name", Text, "What it is for", required=True),
    column("prefix", Text, "Its first characters, by which people tell it", required=True),
    column(
        "key_hash", Text, "SHA-256 of the key, which was shown once", required=True, secret=True
    ),
    column("scopes", JSONB, "What it may do", required=True),
    column("rate_limit", BigInteger, "Requests per minute; null: without limit"),
    column("usage_quota", BigInteger, "Requests in all; null: without limit"),
    column("last_used_at", TIMESTAMP, "When it last opened a door"),
    column("expires_at", TIMESTAMP, "Until when it is good; null: for ever"),
    column("revoked_at", TIMESTAMP, "When it was taken back"),
    check("api_key_is_hashed", "key_hash ~ '^sha256:[0-9a-f]{64}$'"),
    Index("user_api_keys_user_idx", "tenant_id", "user_id"),
    Index("user_api_keys_prefix_idx", "tenant_id", "prefix"),
)
