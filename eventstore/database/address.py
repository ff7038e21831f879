"""Addresses of databases as text without their secrets, for messages and other programs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import pq
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.database.availability.deadline import TCP

_PUBLIC = frozenset(
    option.keyword.decode() for option in pq.Conninfo.get_defaults() if not option.dispchar
) | {"fallback_application_name", "replication", "sslkeylogfile"}
"""The parameters that are shown. libpq marks its secrets (`password`, `sslpassword`,
`oauth_client_secret`) with `*`, and its keys for SCRAM as not for display. A parameter that libpq
does not know may be a secret with a typing error in its name."""

_SERVICE = "qforge"


def libpq_url(url: URL, *, hide_password: bool = False) -> str:
    """Return the address as psql, pg_dump and DATABASE_URL take it.

    With `hide_password`, the password and every secret of the query are written as ***.
    """
    if hide_password:
        url = url.update_query_dict(dict.fromkeys(_secrets(url), "***"))
    rendered = url.set(drivername="postgresql").render_as_string(hide_password=hide_password)
    address, separator, query = rendered.partition("?")
    # SQLAlchemy writes a space in the query as +, which libpq takes for a plus sign.
    return address + separator + query.replace("+", "%20").replace("%2A%2A%2A", "***")


def hosts_of(url: URL) -> list[tuple[str, str]]:
    """Return each host, which may be the folder of a socket, with its port; empty: the default."""
    hosts = (url.host or _last(url.query.get("host", ""))).split(",")
    ports = (str(url.port or "") or _last(url.query.get("port", ""))).split(",")
    # One port is that of every host.
    return list(zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=False))


@contextmanager
def for_programs(url: URL) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the address as an argument of a program, and the environment variables it needs.

    Every user of the machine can read the arguments, so no secret is in them: the password is in
    the environment, which only the same user can read. Secrets that libpq takes from no variable
    are in a service file of mode 0600, which exists until the block ends.

    Raises:
        InvalidSetting: a secret cannot be written to a service file.
    """
    secrets = {name: _last(url.query[name]) for name in _secrets(url)}
    password = secrets.pop("password", url.password)
    variables = {"PGPASSWORD": str(password)} if password else {}
    # URL.set() takes None for "leave it as it is".
    address = url._replace(password=None).difference_update_query([*secrets, "password"])
    if not all(host.startswith("/") for host, _ in hosts_of(url) if host):
        given = {name: str(value) for name, value in TCP.items() if name not in url.query}
        address = address.update_query_dict(given)
    if not secrets:
        yield libpq_url(address), variables
        return
    names = ", ".join(secrets)
    if "service" in url.query or os.environ.get("PGSERVICE"):
        raise InvalidSetting(
            "DATABASE_URL",
            f"names a service and has {names}: write {names} into the service file instead",
        )
    if any("\n" in value or value != value.strip() for value in secrets.values()):
        raise InvalidSetting(
            "DATABASE_URL",
            f"contains a line break, or a leading or trailing space, in one of {names}: choose "
            "another secret",
        )
    with tempfile.TemporaryDirectory(prefix="qforge-") as folder:
        file = Path(folder) / "pg_service.conf"
        file.touch(mode=0o600)
        lines = [f"[{_SERVICE}]", *(f"{name}={value}" for name, value in secrets.items())]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield (
            libpq_url(address.update_query_dict({"service": _SERVICE})),
            {**variables, "PGSERVICEFILE": str(file)},
        )


def _secrets(url: URL) -> list[str]:
    """Return the names of the query's secret parameters."""
    return [name for name in url.query if name not in _PUBLIC]


def _last(value: str | tuple[str, ...]) -> str:
    """Return the value that libpq takes of a parameter that is given several times."""
    return value if isinstance(value, str) else value[-1]
