"""Accounts of users: who they are, what they may do, what they prefer."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Boolean, Index, Integer, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Changed, in_the_form
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.secrecy import SECRET
from quantum_forge.schema.language.table import TIMESTAMP, check, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, occurred_at
from quantum_forge.schema.language.writing import written_by

Email = Annotated[
    str,
    in_the_form(
        r"\A[^@\s]+@[^@\s]+\Z", "an email address, such as ada@example.org", max_length=254
    ),
]

Username = Annotated[
    str,
    in_the_form(
        r"\A[\w.-]{1,64}\Z",
        "1 to 64 letters, digits, underscores, hyphens and full stops",
        max_length=64,
    ),
]

Orcid = Annotated[
    str, in_the_form(r"^(\d{4}-){3}\d{3}[\dX]$", "an ORCID iD, such as 0000-0002-1825-0097")
]

PasswordHash = Annotated[str, Meta(pattern=r"\A\$(argon2id|scrypt)\$[^\s]{20,400}\Z", extra=SECRET)]
"""What a password became: never the password, which this pattern refuses."""

Encrypted = Annotated[str, Meta(pattern=r"\AgAAAA[\w=-]{60,4000}\Z", extra=SECRET)]
"""A Fernet token: what only the holder of the key can read."""


RecoveryCodeHashes = Annotated[
    list[Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z", max_length=71)]],
    Meta(max_length=100, extra=SECRET),
]
"""Of random codes of 80 bits, for which a plain hash is enough."""


class Role(StrEnum):
    """What a person may do."""

    ADMIN = "admin"
    RESEARCHER = "researcher"
    VIEWER = "viewer"


class DisplayUnits(StrEnum):
    """The unit in which energies are shown."""

    HARTREE = "hartree"
    EV = "ev"


class Theme(StrEnum):
    """How pages look."""

    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


@event("user")
class UserRegistered(Event, frozen=True, kw_only=True):
    """A person got an account; one without a password signs in elsewhere."""

    email: Email
    username: Username
    hashed_password: PasswordHash | None = None
    full_name: str | None = None
    institution: str | None = None
    role: Role = Role.RESEARCHER
    tier: str = "free"


@event("user")
class UserUpdated(Event, frozen=True, kw_only=True):
    """What a person says of themselves changed; what is absent stays."""

    email: Email | UnsetType = UNSET
    username: Username | UnsetType = UNSET
    full_name: str | UnsetType | None = UNSET
    institution: str | UnsetType | None = UNSET
    changes: dict[str, Changed] | UnsetType = UNSET


@event("user")
class UserPasswordChanged(Event, frozen=True, kw_only=True):
    """A new password, as its hash."""

    hashed_password: PasswordHash


@event("user")
class UserRoleChanged(Event, frozen=True, kw_only=True):
    """A person may do more, or less."""

    role: Role
    changes: dict[str, Changed] | UnsetType = UNSET


@event("user")
class UserTierChanged(Event, frozen=True, kw_only=True):
    """A person pays for more, or less."""

    tier: str
    changes: dict[str, Changed] | UnsetType = UNSET


@event("user")
class UserDeactivated(Event, frozen=True, kw_only=True):
    """The account was closed; what it did stays."""

    reason: str | None = None


@event("user")
class UserReactivated(Event, frozen=True, kw_only=True):
    """The account was opened again."""


@event("user")
class UserTwoFactorPrepared(Event, frozen=True, kw_only=True):
    """A secret for an authenticator app was shown; it counts once a code of it was entered."""

    totp_secret: Encrypted


@event("user")
class UserTwoFactorEnabled(Event, frozen=True, kw_only=True):
    """Signing in takes a second factor from now on.

    totp_time_step: of the code that confirmed it. Without a secret, as older events are, nobody can
    sign in until it is disabled.
    """

    totp_secret: Encrypted | None = None
    totp_time_step: int | None = None
    recovery_code_hashes: RecoveryCodeHashes | None = None


@event("user")
class UserTwoFactorDisabled(Event, frozen=True, kw_only=True):
    """Signing in takes the password alone."""


@event("user")
class UserLoggedIn(Event, frozen=True, kw_only=True):
    """A person signed in. login_method: `password`, `api_key`, `sso`, ….

    totp_time_step: of the code of an authenticator app that was used, in units of 30 s since 1970.
    recovery_code: which recovery code was used instead, counted from 0.
    """

    login_method: str = "password"
    totp_time_step: int | None = None
    recovery_code: int | None = None


@event("user")
class UserLoginFailed(Event, frozen=True, kw_only=True):
    """Somebody tried to sign in as this person, and was refused."""

    reason: str


@event("user")
class UserLoggedOut(Event, frozen=True, kw_only=True):
    """A person signed out."""


@event("user")
class UserProfileUpdated(Event, frozen=True, kw_only=True):
    """What a person shows to others; what is absent stays, null clears."""

    bio: str | UnsetType | None = UNSET
    avatar_url: str | UnsetType | None = UNSET
    website: str | UnsetType | None = UNSET
    orcid: Orcid | UnsetType | None = UNSET
    affiliation: str | UnsetType | None = UNSET
    changes: dict[str, Changed] | UnsetType = UNSET


@event("user")
class UserPreferencesChanged(Event, frozen=True, kw_only=True):
    """How a person wants things; what is absent stays, null goes back to the default.

    display_precision: decimals. default_method, default_solvation: of `qforge run`, unless an
    option says otherwise. slack_webhook_url: encrypted, never in clear. notification_on_*: what
    `qforge notify` tells the user by each channel that is enabled.
    """

    display_units: DisplayUnits | UnsetType | None = UNSET
    display_precision: Annotated[int, Meta(ge=0, le=15)] | UnsetType | None = UNSET
    default_optimization_level: str | UnsetType | None = UNSET
    default_method: str | UnsetType | None = UNSET
    default_solvation: str | UnsetType | None = UNSET
    theme: Theme | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    enable_email_notifications: bool | UnsetType | None = UNSET
    enable_slack_notifications: bool | UnsetType | None = UNSET
    slack_webhook_url: Encrypted | UnsetType | None = UNSET
    notification_on_completion: bool | UnsetType | None = UNSET
    notification_on_error: bool | UnsetType | None = UNSET
    notification_on_give_up: bool | UnsetType | None = UNSET
    notification_on_regression: bool | UnsetType | None = UNSET
    changes: dict[str, Changed] | UnsetType = UNSET


@event("unique_name")
class NameClaimed(Event, frozen=True, kw_only=True):
    """An e-mail address or user name belongs to one account from now on.

    The entity is the uuid5 of tenant, kind and the name in lower case, so that of two who claim a
    name at once the log refuses one; the name itself is not repeated here.
    """

    kind: str
    user_id: UUID


@event("unique_name")
class NameReleased(Event, frozen=True, kw_only=True):
    """The name is free again."""

    user_id: UUID


_EVER = ("active", "inactive")

lifecycle(
    "user",
    {
        UserRegistered: when(NEW, then="active"),
        UserUpdated: when("active"),
        UserPasswordChanged: when("active"),
        UserRoleChanged: when("active"),
        UserTierChanged: when("active"),
        UserDeactivated: when("active", then="inactive"),
        UserReactivated: when("inactive", then="active"),
        UserTwoFactorPrepared: when("active"),
        UserTwoFactorEnabled: when("active"),
        UserTwoFactorDisabled: when("active"),
        UserLoggedIn: when("active"),
        UserLoginFailed: when(*_EVER),
        UserLoggedOut: when(*_EVER),
        UserProfileUpdated: when("active"),
        UserPreferencesChanged: when("active"),
    },
)

lifecycle(
    "unique_name",
    {
        NameClaimed: when(NEW, "free", then="claimed"),
        NameReleased: when("claimed", then="free"),
    },
)

users = read_model(
    "users",
    "One row per user",
    [column("id", Uuid, "The user")],
    column("email", Text, "E-mail address, unique in the tenant whatever its case", required=True),
    column("username", Text, "User name, unique in the tenant whatever its case", required=True),
    column(
        "hashed_password",
        Text,
        "Hash of the password; null for a user who signs in elsewhere",
        secret=True,
    ),
    column("full_name", Text, "Full name"),
    column("institution", Text, "Affiliation"),
    column("role", Text, either(Role), required=True),
    column("tier", Text, "free, …", required=True),
    column("is_active", Boolean, "Whether the account is active", required=True),
    column("two_factor_enabled", Boolean, "Whether a second factor is required", required=True),
    column("last_login_at", TIMESTAMP, "Time of the last login"),
    one_of("role_is_known", "role", Role),
    check("password_is_hashed", "hashed_password ~ '^\\$(argon2id|scrypt)\\$'"),
    Index("users_email_idx", "tenant_id", "email"),
    Index("users_username_idx", "tenant_id", "username"),
)

user_profiles = read_model(
    "user_profiles",
    "One row per user with a public profile",
    [column("user_id", Uuid, "The user")],
    column("bio", Text, "Short text about the user"),
    column("avatar_url", Text, "URL of a picture"),
    column("website", Text, "URL of the user's website"),
    column("orcid", Text, "ORCID iD, 0000-0000-0000-0000"),
    column("affiliation", Text, "Affiliation, as shown to others"),
)

user_preferences = read_model(
    "user_preferences",
    "One row per user who changed a preference; null means the default",
    [column("user_id", Uuid, "The user")],
    column("display_units", Text, f"Unit in which energies are shown: {either(DisplayUnits)}"),
    column("display_precision", Integer, "Number of decimals shown"),
    column("default_optimization_level", Text, "Optimisation level of new calculations"),
    column("default_method", Text, "Method of new calculations"),
    column("default_solvation", Text, "Solvation of new calculations"),
    column("theme", Text, either(Theme)),
    column("language", Text, "BCP 47 tag: en, de-CH, …"),
    column("enable_email_notifications", Boolean, "Whether to send e-mail"),
    column("enable_slack_notifications", Boolean, "Whether to send messages to Slack"),
    column(
        "slack_webhook_url",
        Text,
        "Encrypted URL of a Slack webhook; only a holder of the key can decrypt it",
        secret=True,
    ),
    column("notification_on_completion", Boolean, "Whether to notify when a batch is done"),
    column("notification_on_error", Boolean, "Whether to notify of failures"),
    column(
        "notification_on_give_up",
        Boolean,
        "Whether to notify of calculations that are not retried any more",
        added=True,
    ),
    column(
        "notification_on_regression",
        Boolean,
        "Whether to notify when calculations have become slower",
        added=True,
    ),
    one_of("display_units_are_known", "display_units", DisplayUnits),
    one_of("theme_is_known", "theme", Theme),
    check("slack_webhook_url_is_encrypted", "slack_webhook_url LIKE 'gAAAA%'"),
)

projection(
    users,
    events=[
        UserRegistered,
        UserUpdated,
        UserPasswordChanged,
        UserRoleChanged,
        UserTierChanged,
        UserDeactivated,
        UserReactivated,
        UserTwoFactorEnabled,
        UserTwoFactorDisabled,
        UserLoggedIn,
    ],
    key={"id": entity_id},
    opens=[UserRegistered],
    columns={
        "is_active": constant(
            {UserRegistered: True, UserReactivated: True, UserDeactivated: False}
        ),
        "two_factor_enabled": constant(
            {UserRegistered: False, UserTwoFactorEnabled: True, UserTwoFactorDisabled: False}
        ),
        "last_login_at": last(occurred_at(UserLoggedIn)),
    },
)

projection(user_profiles, events=[UserProfileUpdated], key={"user_id": entity_id})

projection(user_preferences, events=[UserPreferencesChanged], key={"user_id": entity_id})

written_by(user_profiles, insert=UserProfileUpdated, update=UserProfileUpdated)

written_by(user_preferences, insert=UserPreferencesChanged, update=UserPreferencesChanged)
