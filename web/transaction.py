"""The transaction of a request: by a role of the database, with the caller's claims, limited."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, Engine, text

from quantum_forge.web.auth.callers import Caller
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.statements.compiled import OF_REQUESTS

_BEGIN = text("""
    SELECT set_config('transaction_read_only', :read_only, true),
           set_config('statement_timeout', :milliseconds, true),
           set_config('idle_in_transaction_session_timeout', :idle, true),
           set_config('request.jwt.claims', :claims, true),
           set_config('request.method', :method, true),
           set_config('request.path', :path, true),
           set_config('request.headers', :headers, true),
           set_config('role', :role, true)
""")

_HIDDEN = ("authorization", "apikey", "cookie")
"""Headers whose values are not passed to the database: its log may quote them."""


@contextmanager
def read_only(
    engine: Engine,
    caller: Caller,
    *,
    seconds: float,
    idle_seconds: float,
    method: str,
    path: str,
    headers: Mapping[str, str] = {},
) -> Iterator[Connection]:
    """Begin a transaction that can only read, and sees what the caller may see.

    Row-level security decides by `request.jwt.claims`, of which a caller without a tenant has none:
    it sees no rows. The role of the database ends with the transaction.

    Args:
        engine: by a login that may take the caller's role.
        caller: who reads.
        seconds: for each statement, by the server's clock.
        idle_seconds: between two statements, after which PostgreSQL ends the session.
        method: of the request.
        path: of the request.
        headers: of the request; those that let in are left out.

    Raises:
        RestError: 401 for claims that are no text of PostgreSQL.
    """
    claims = {**caller.claims, "tenant_id": caller.tenant_id and str(caller.tenant_id)}
    shown = {name: value for name, value in headers.items() if name not in _HIDDEN}
    with engine.connect().execution_options(**OF_REQUESTS) as connection, connection.begin():
        connection.execute(
            _BEGIN,
            {
                "read_only": "on",
                "milliseconds": _milliseconds(seconds),
                "idle": _milliseconds(idle_seconds),
                "claims": _encoded(claims),
                "method": method,
                "path": path,
                "headers": msgspec.json.encode(shown).decode(),
                "role": caller.database_role,
            },
        )
        yield connection


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _encoded(claims: Mapping[str, object]) -> str:
    """The claims as JSON; a token may be signed, and still hold what no text can."""
    try:
        return msgspec.json.encode(claims).decode()
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        raise RestError(
            401,
            "PGRST301",
            "the claims of the token cannot be encoded",
            details=str(error),
            headers={"WWW-Authenticate": "Bearer"},
        ) from error
