"""The address of the database as it is given: one variable, or one for each of its parts."""

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import pq
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import InvalidSetting

DRIVER = "postgresql+psycopg"
_SCHEMES = ("postgres", "postgresql")


class Parts(NamedTuple):
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


FAMILIES = (
    Parts("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"),
    Parts("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME"),
)


def login_name() -> str:
    """Return who runs this process, asked of the system rather than of $USER."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


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


def database_of(layer: Mapping[str, str], merged: Mapping[str, str]) -> tuple[URL, str] | None:
    """Return the database that this layer asks for, its parts completed from the other layer."""
    if "DATABASE_URL" in layer:
        return parse_database_url(layer["DATABASE_URL"]), "DATABASE_URL"
    for parts in FAMILIES:
        if any(name in layer for name in parts):
            return _url_of_parts(parts, merged), parts.source
    return None


def require_one_place(
    parts: Parts, process: Mapping[str, str], file: Mapping[str, str], path: Path
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


def _url_of_parts(parts: Parts, variables: Mapping[str, str]) -> URL:
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
