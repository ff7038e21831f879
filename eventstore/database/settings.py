"""Settings from the environment and a .env file: database, home, tenant, user."""

import io
import math
import os
import pwd
import re
import shlex
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec
import psycopg
from dotenv.parser import Original, parse_stream
from platformdirs import user_data_path
from psycopg import pq
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import DotenvSyntaxError, InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.availability.deadline import DEFAULT_DEADLINE
from quantum_forge.schema.language.identity import NAMESPACE

DEFAULT_TENANT_ID = uuid5(NAMESPACE, "default tenant")
DRIVER = "postgresql+psycopg"
_SCHEMES = ("postgres", "postgresql")
EMBEDDED = "the embedded server"
DEFAULT_LINGER = 300.0
_DOTENV_LIMIT = 2**20
"""Bytes."""


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


class _Parts(NamedTuple):
    """The names of the variables that give a database piece by piece."""

    host: str
    port: str
    user: str
    password: str
    database: str

    @property
    def source(self) -> str:
        """How the family is called in messages."""
        return self.host.partition("_")[0] + "_*"


_USER_NAME = re.compile(r"[\w.-]{1,64}|[^@\s]+@[^@\s]+")
"""A user name or an email address, as accounts have them."""

_FAMILIES = (
    _Parts("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"),
    _Parts("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME"),
)


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
        found = _database(layer, merged)
        if found is not None:
            url, source = found
            break
    for parts in _FAMILIES:
        if parts.source == source:
            _require_one_place(parts, process, file, dotenv)

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
        deadline=_seconds(merged, "QFORGE_DEADLINE", DEFAULT_DEADLINE),
        server_linger=_seconds(merged, "QFORGE_SERVER_LINGER", DEFAULT_LINGER, may_be_zero=True),
        encryption_keys=tuple(Secret(key.strip()) for key in keys if key.strip()),
        encryption_key_file=_expanded("QFORGE_ENCRYPTION_KEY_FILE", key_file)
        if key_file
        else home / "encryption.key",
        domains=_modules(merged, "QFORGE_DOMAINS"),
    )


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a .env file, read by python-dotenv; none if there is no such file.

    `$NAME` and `${NAME}` stay as they are, for a password may contain them.

    Raises:
        DotenvSyntaxError: for a line without a value, or with a quote that is not closed.
        InvalidSetting: when the file cannot be read, or others could have written it: it decides
            to which server passwords are sent.
    """
    try:
        text = _own_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(str(path), f"cannot be read ({error})") from error
    variables = {}
    # dotenv_values() logs what it cannot parse and goes on without it.
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is not None and binding.value is not None:
            variables[binding.key] = binding.value
        elif binding.error or binding.key is not None:
            problem = "expected NAME=value, with every quote closed"
            raise DotenvSyntaxError(path, _line_of(binding.original), problem)
    return variables


def _own_text(path: Path) -> str:
    """Return the text of a file that belongs to this user or to root, and is theirs alone to write.

    A group may write that has the number of the user: it is the user's own.
    """
    # Without blocking: a named pipe would wait for somebody to write into it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise InvalidSetting(str(path), "is not a regular file; move it away")
        if facts.st_size > _DOTENV_LIMIT:
            raise InvalidSetting(str(path), f"is larger than {_DOTENV_LIMIT // 2**20} MB")
        if facts.st_uid not in (os.geteuid(), 0):
            raise InvalidSetting(
                str(path),
                f"belongs to another user ({facts.st_uid}), who could choose where your passwords "
                "are sent: work in another directory, or make the file yours",
            )
        shared = stat.S_IWOTH | (0 if facts.st_gid == facts.st_uid else stat.S_IWGRP)
        if facts.st_mode & shared:
            raise InvalidSetting(
                str(path),
                "can be written by other users, who could choose where your passwords are sent: "
                f"chmod go-w {shlex.quote(str(path))}",
            )
        return file.read(_DOTENV_LIMIT).decode("utf-8-sig")


def _line_of(original: Original) -> int:
    """Return the number of the line; python-dotenv counts from the blank lines before it."""
    blank = len(original.string) - len(original.string.lstrip())
    return original.line + original.string[:blank].count("\n")


def parse_database_url(text: str, *, variable: str = "DATABASE_URL") -> URL:
    """Return the URL for SQLAlchemy with psycopg, of an address as libpq takes it.

    It is a URL, with several hosts or a socket where wanted, or `host=… dbname=…`.

    Raises:
        InvalidSetting: names the variable, and quotes nothing, for any part may be a password's.
    """
    scheme, separator, rest = text.partition("://")
    if separator and "=" not in scheme:
        _check_scheme(scheme, variable)
        has_user = "@" in rest.partition("/")[0]
        host_and_path = (rest.partition("@")[2] if has_user else rest).partition("?")[0]
        if "@" in host_and_path:
            # The rest of the password would be taken for the host, and be shown in messages.
            raise InvalidSetting(
                variable,
                "has an @ in its host or path: write an @ or / of the password as %40 or %2F",
            )
        address = f"postgresql://{rest}"
    elif "=" in text:
        address = text
    else:
        raise InvalidSetting(variable, "is not a URL; write postgresql://user@host:5432/name")
    try:
        options = pq.Conninfo.parse(address.encode())
    except (psycopg.Error, UnicodeError):
        # The cause quotes the address, password and all.
        raise InvalidSetting(variable, _unparsed(rest)) from None
    given = {
        option.keyword.decode(): option.val.decode() for option in options if option.val is not None
    }
    return _address(given, variable)


def _check_scheme(scheme: str, variable: str) -> None:
    name, plus, driver = scheme.lower().partition("+")
    if name not in _SCHEMES:
        raise InvalidSetting(
            variable, f"starts with {scheme}://, but only PostgreSQL works: write postgresql://…"
        )
    if plus and driver != "psycopg":
        raise InvalidSetting(
            variable,
            f"names the driver +{driver}, but Quantum Forge uses psycopg: write postgresql://…",
        )


def _unparsed(rest: str) -> str:
    """Say why libpq does not take an address, without quoting what may be part of a password."""
    query = rest.partition("?")[2]
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    names = [part.partition("=")[0] for part in query.split("&") if part]
    unknown = [name for name in names if name.isidentifier() and name not in known]
    if unknown and "@" not in query:
        return (
            f"has the parameter {unknown[0]}, which libpq does not know: correct or remove it; "
            "https://www.postgresql.org/docs/current/libpq-connect.html lists them"
        )
    return (
        "cannot be parsed; write postgresql://user:password@host:5432/name, "
        "with special characters in the password percent-encoded"
    )


def _address(given: dict[str, str], variable: str, *, port_variable: str | None = None) -> URL:
    """Return the URL of libpq's parameters; several hosts, and a socket, are in its query."""
    rest = dict(given)
    user, password = rest.pop("user", None), rest.pop("password", None)
    database = rest.pop("dbname", None)
    hosts, ports = rest.pop("host", "").split(","), rest.pop("port", "").split(",")
    for port in ports:
        _check_port(port, variable, port_variable)
    if len(ports) not in (1, len(hosts)):
        raise InvalidSetting(
            port_variable or variable,
            f"has {len(ports)} ports for {counted(len(hosts), 'host')}: give one port, or one for "
            "each host",
        )
    host = port_number = None
    if len(hosts) == 1 and not hosts[0].startswith(("/", "@")):
        host, port_number = hosts[0] or None, int(ports[0]) if ports[0] else None
    if host is None and (hosts != [""] or ports != [""]):
        port_number = None
        rest |= {"host": ",".join(hosts), "port": ",".join(ports)}
    return URL.create(
        DRIVER,
        username=user,
        password=password,
        host=host,
        port=port_number,
        database=database,
        query={name: value for name, value in rest.items() if value},
    )


def login_name() -> str:
    """Return who runs this process, asked of the system rather than of $USER."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _database(layer: Mapping[str, str], merged: Mapping[str, str]) -> tuple[URL, str] | None:
    """Return the database that this layer asks for, its parts completed from the other layer."""
    if "DATABASE_URL" in layer:
        return parse_database_url(layer["DATABASE_URL"]), "DATABASE_URL"
    for parts in _FAMILIES:
        if any(name in layer for name in parts):
            return _url_of_parts(parts, merged), parts.source
    return None


def _require_one_place(
    parts: _Parts, process: Mapping[str, str], file: Mapping[str, str], path: Path
) -> None:
    """Refuse to send the password of one place to the host of the other.

    Raises:
        InvalidSetting: when the host is from the environment and the password from the file, or
            the other way round.
    """
    both = (parts.password, parts.host)
    if all(name in process or name in file for name in both):
        password, host = ("the environment" if name in process else str(path) for name in both)
        if password != host:
            raise InvalidSetting(
                parts.password,
                f"is set in {password}, and {parts.host} in {host}: set both in the same place",
            )


def _url_of_parts(parts: _Parts, variables: Mapping[str, str]) -> URL:
    """Complete the missing parts as libpq does: localhost, 5432, the login name, the user."""
    user = variables.get(parts.user, login_name())
    given = {
        "user": user,
        "host": variables.get(parts.host, "localhost"),
        "port": variables.get(parts.port, "5432"),
        "dbname": variables.get(parts.database, user),
    }
    if parts.password in variables:
        given["password"] = variables[parts.password]
    return _address(given, parts.host, port_variable=parts.port)


def _check_port(text: str, variable: str, port_variable: str | None) -> None:
    """Refuse a port that is none; it is quoted where it cannot be a part of a password."""
    if text == "" or (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 65535):
        return
    said = f", not {text!r}" if port_variable else ""
    raise InvalidSetting(port_variable or variable, f"must have a port from 1 to 65535{said}")


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


def _seconds(
    variables: Mapping[str, str], name: str, default: float, *, may_be_zero: bool = False
) -> float:
    text = variables.get(name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf or (may_be_zero and seconds == 0)):
        least = "from 0 on" if may_be_zero else "above 0"
        raise InvalidSetting(name, f"must be a number of seconds {least}, not {text!r}")
    return seconds
