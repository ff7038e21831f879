"""Settings from the environment and a .env file: database, home, tenant, user."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid5

import msgspec
from platformdirs import user_data_path
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.availability.deadline import DEFAULT_DEADLINE
from quantum_forge.eventstore.database.env_file import read_dotenv
from quantum_forge.eventstore.database.given_address import (
    FAMILIES,
    database_of,
    login_name,
    require_one_place,
)
from quantum_forge.eventstore.database.variables import seconds_of
from quantum_forge.schema.language.identity import NAMESPACE

DEFAULT_TENANT_ID = uuid5(NAMESPACE, "default tenant")
EMBEDDED = "the embedded server"
DEFAULT_LINGER = 300.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the environment decides.

    `url` is None for the embedded server; printed settings hide its secrets. `source` names the
    variables that decided on the database, for messages. `home` holds the embedded server and the
    spool. `deadline`: seconds that the server may take for one answer to a follower of the log;
    see eventstore/database/availability/deadline.py. `server_linger`: seconds for which the
    embedded server runs on after the last command. `encryption_keys`: see
    eventstore/security/encryption.py; without any, the file has them.
    `user_is_given`: whether somebody said who acts: without it, a database login that is linked to
    a user acts as that user. `user_name`: the user name or email address that was given instead of
    an id, to be looked up in the database; `user_id` is then not theirs.
    `domains`: modules that add event types and tables; see eventstore/database/domains.py.
    """

    url: URL | None = None
    source: str = EMBEDDED
    home: Path
    tenant_id: UUID = DEFAULT_TENANT_ID
    user_id: UUID
    user_is_given: bool = False
    user_name: str | None = None
    deadline: float = DEFAULT_DEADLINE
    server_linger: float = DEFAULT_LINGER
    encryption_keys: tuple[Secret, ...] = ()
    encryption_key_file: Path = Path("encryption.key")
    domains: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # SQLAlchemy hides the password of a URL, and not the secrets in its query.
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.url is not None:
            shown["url"] = libpq_url(self.url, hide_password=True)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


_USER_NAME = re.compile(r"[\w.-]{1,64}|[^@\s]+@[^@\s]+")
"""A user name or an email address, as accounts have them."""


def load_settings(
    environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")
) -> Settings:
    """Read the settings; an empty variable counts as absent; the environment wins over the file.

    The database is that of DATABASE_URL, else of POSTGRES_*, else of DB_*; if the environment has
    none of them, the file is asked in the same order. The host and the password of POSTGRES_* or
    DB_* come from one place.

    Raises:
        InvalidSetting, DotenvSyntaxError: see `read_dotenv`.
    """
    environ = os.environ if environ is None else environ
    process = {name: value for name, value in environ.items() if value}
    file = {name: value for name, value in read_dotenv(dotenv).items() if value}
    merged = {**file, **process}

    url, source = None, EMBEDDED
    for layer in (process, file):
        found = database_of(layer, merged)
        if found is not None:
            url, source = found
            break
    for parts in FAMILIES:
        if parts.source == source:
            require_one_place(parts, process, file, dotenv)

    user_id, user_name = _user(merged.get("QFORGE_USER_ID"))
    home = _home(merged)
    keys = merged.get("QFORGE_ENCRYPTION_KEYS", "").split(",")
    key_file = merged.get("QFORGE_ENCRYPTION_KEY_FILE")
    return Settings(
        url=url,
        source=source,
        home=home,
        tenant_id=parse_uuid("QFORGE_TENANT_ID", merged.get("QFORGE_TENANT_ID", DEFAULT_TENANT_ID)),
        user_id=uuid5(NAMESPACE, f"user {login_name()}") if user_id is None else user_id,
        user_is_given="QFORGE_USER_ID" in merged,
        user_name=user_name,
        deadline=seconds_of(merged, "QFORGE_DEADLINE", DEFAULT_DEADLINE),
        server_linger=seconds_of(merged, "QFORGE_SERVER_LINGER", DEFAULT_LINGER, may_be_zero=True),
        encryption_keys=tuple(Secret(key.strip()) for key in keys if key.strip()),
        encryption_key_file=_expanded("QFORGE_ENCRYPTION_KEY_FILE", key_file)
        if key_file
        else home / "encryption.key",
        domains=_modules(merged, "QFORGE_DOMAINS"),
    )


def _home(variables: Mapping[str, str]) -> Path:
    home = variables.get("QFORGE_HOME")
    if home is not None:
        return _expanded("QFORGE_HOME", home).absolute()
    try:
        return user_data_path("quantum-forge", appauthor=False)
    except RuntimeError:
        # Neither HOME is set, nor is there an entry of this user in the list of users.
        raise InvalidSetting(
            "QFORGE_HOME", "must be set, because this user has no home directory"
        ) from None


def _expanded(name: str, value: str) -> Path:
    """Return a path with its ~ replaced by the home of a user."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InvalidSetting(
            name, f"begins with ~, but the home directory is unknown: write {value!r} in full"
        ) from None


def parse_uuid(name: str, value: object) -> UUID:
    """Return the id that a setting gives, as a UUID or as its text.

    Raises:
        InvalidSetting: when it is not a UUID.
    """
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise InvalidSetting(name, f"must be a UUID, not {value!r}") from None


def _user(written: str | None) -> tuple[UUID | None, str | None]:
    """The id of the user who acts, or their user name or email address."""
    if written is None:
        return None, None
    with suppress(ValueError):
        return UUID(written), None
    if not _USER_NAME.fullmatch(written):
        raise InvalidSetting(
            "QFORGE_USER_ID",
            f"must be a user name, an email address or a UUID, not {written!r}",
        )
    return None, written


def _modules(variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = [part.strip() for part in variables.get(name, "").split(",") if part.strip()]
    for module in found:
        if not all(word.isidentifier() for word in module.split(".")):
            raise InvalidSetting(
                name,
                (
                    f"must name modules such as mylab.spectra, separated by commas; {module!r} is "
                    "not the name of one"
                ),
            )
    return tuple(found)
