"""Read models of people's accounts: who they are, what they show, what they prefer."""

from sqlalchemy import Boolean, Index, Integer, Text, Uuid

from quantum_forge.schema.language.table import TIMESTAMP, check, column, read_model

users = read_model(
    "users",
    "One row per user",
    [column("id", Uuid, "The user")],
    column("email", Text, "E-mail address, unique in the tenant whatever its case", required=True),
    column("username", Text, "User name, unique in the tenant whatever its case", required=True),
    column(
        "hashed_password",
        Text,
        "What the password became; null where one signs in elsewhere",
        secret=True,
    ),
    column("full_name", Text, "How the user is called"),
    column("institution", Text, "Where the user works"),
    column("role", Text, "admin, researcher or viewer", required=True),
    column("tier", Text, "free, …", required=True),
    column("is_active", Boolean, "Whether the account is open", required=True),
    column("two_factor_enabled", Boolean, "Whether a second factor is asked for", required=True),
    column("last_login_at", TIMESTAMP, "When the user last signed in"),
    check("role_is_known", "role IN ('admin', 'researcher', 'viewer')"),
    check("password_is_hashed", "hashed_password ~ '^\\$(argon2id|scrypt)\\$'"),
    Index("users_email_idx", "tenant_id", "email"),
    Index("users_username_idx", "tenant_id", "username"),
)

user_profiles = read_model(
    "user_profiles",
    "One row per user who shows something to others",
    [column("user_id", Uuid, "The user")],
    column("bio", Text, "A few words"),
    column("avatar_url", Text, "A picture"),
    column("website", Text, "A page of the user's own"),
    column("orcid", Text, "ORCID iD, 0000-0000-0000-0000"),
    column("affiliation", Text, "Where the user works, as others may see it"),
)

user_preferences = read_model(
    "user_preferences",
    "One row per user who changed a preference; null: the default",
    [column("user_id", Uuid, "The user")],
    column("display_units", Text, "Unit in which energies are shown: hartree or ev"),
    column("display_precision", Integer, "Decimals of shown numbers"),
    column("default_optimization_level", Text, "Of new calculations"),
    column("default_method", Text, "Of new calculations"),
    column("default_solvation", Text, "Of new calculations"),
    column("theme", Text, "light, dark or auto"),
    column("language", Text, "BCP 47 tag: en, de-CH, …"),
    column("enable_email_notifications", Boolean, "Whether to send e-mail"),
    column("enable_slack_notifications", Boolean, "Whether to write to Slack"),
    column(
        "slack_webhook_url", Text, "Encrypted; only the holder of the key can read it", secret=True
    ),
    column("notification_on_completion", Boolean, "Whether to tell that a batch is done"),
    column("notification_on_error", Boolean, "Whether to tell that something failed"),
    check("display_units_are_known", "display_units IN ('hartree', 'ev')"),
    check("theme_is_known", "theme IN ('light', 'dark', 'auto')"),
    check("slack_webhook_url_is_encrypted", "slack_webhook_url LIKE 'gAAAA%'"),
)
