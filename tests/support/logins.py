"""Logins of a test's server, made and dropped by the commands that an administrator types."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from tests.conftest import Qforge


@contextmanager
def login(qforge: Qforge, *roles: str) -> Iterator[dict[str, str]]:
    """Return the environment of a new login that is a member of these roles; drop it at the end."""
    name = f"login_{uuid4().hex[:12]}"
    qforge("db", "psql", "-c", f"CREATE ROLE {name} LOGIN IN ROLE {', '.join(roles)}")
    url = qforge("db", "url").stdout.strip()
    try:
        yield {"DATABASE_URL": f"{url}{'&' if '?' in url else '?'}user={name}"}
    finally:
        qforge("db", "psql", "-c", f"DROP ROLE {name}")
