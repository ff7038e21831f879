"""Errors as clients of the dialect expect them: a status, a code, and JSON of four keys."""

from collections.abc import Mapping

import msgspec
import psycopg
from sqlalchemy.exc import TimeoutError as PoolTimeout

from quantum_forge.eventstore.base.errors import DatabaseUnavailable, QuantumForgeError

JSON = "application/json; charset=utf-8"
RETRY_AFTER = "1"
"""Seconds after which a client may send a request again that found no database."""

_BY_STATE: Mapping[str, int] = {
    "25006": 405,
    "23503": 409,
    "23505": 409,
    "53400": 500,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "P0001": 400,
}
_BY_CLASS: Mapping[str, int] = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}
"""Status by the first two characters of a SQLSTATE, as PostgREST answers; 400 for the others."""

_FORBIDDEN = "42501"


class RestError(QuantumForgeError):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        code: PostgREST's (`PGRST…`), or the SQLSTATE of an error of PostgreSQL.
        message: what is wrong.
        details: where, or in which way; any value of JSON.
        hint: what to do instead.
        headers: beside those that every error has.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: object = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message = _encodable(message)
        self.details = _encodable(details) if isinstance(details, str) else details
        self.hint = hint = None if hint is None else _encodable(hint)
        self.own_headers = dict(headers or {})
        super().__init__("; ".join(str(part) for part in (message, hint) if part))

    @property
    def headers(self) -> dict[str, str]:
        """Every header of the reply, except its length."""
        named = {"Content-Type": JSON, "Proxy-Status": f"PostgREST; error={self.code}"}
        return named | {name: _printable(value) for name, value in self.own_headers.items()}

    @property
    def body(self) -> bytes:
        """The JSON of the reply, with all four keys."""
        return msgspec.json.encode(
            {
                "code": self.code,
                "message": self.message,
                "details": self.details,
                "hint": self.hint,
            }
        )


def _encodable(said: str) -> str:
    """A text that may quote a request, without what UTF-8 does not have."""
    return said.encode("utf-8", "backslashreplace").decode()


def _printable(value: str) -> str:
    """The value of a header that may quote a request, without what no header may have."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in value)


def from_database(error: BaseException, *, anonymous: bool = False) -> RestError:
    """Return the reply to a request that the database refused, or could not answer.

    Args:
        error: of psycopg, of SQLAlchemy, or what the engine made of it.
        anonymous: whether the request came without credentials, so that what is forbidden asks for
            them.
    """
    if isinstance(error, RestError):
        return error
    if isinstance(error, PoolTimeout):
        return RestError(
            504,
            "PGRST003",
            "Timed out acquiring connection from connection pool.",
            hint="Send the request again.",
            headers={"Retry-After": RETRY_AFTER},
        )
    found = _driver_error(error)
    state = None if found is None else found.sqlstate
    if found is None or state is None:
        return _unavailable(error)
    diagnosis = found.diag
    headers = {}
    status = status_of(state, anonymous=anonymous)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif status == 503:
        headers["Retry-After"] = RETRY_AFTER
    return RestError(
        status,
        state,
        diagnosis.message_primary or str(found),
        details=diagnosis.message_detail,
        hint=diagnosis.message_hint,
        headers=headers,
    )


def denied(table: str, *, anonymous: bool = False) -> RestError:
    """Return the error for a table that a request may not read, as PostgreSQL words it."""
    return RestError(
        status_of(_FORBIDDEN, anonymous=anonymous),
        _FORBIDDEN,
        f"permission denied for table {table}",
        headers={"WWW-Authenticate": "Bearer"} if anonymous else {},
    )


def status_of(state: str, *, anonymous: bool = False) -> int:
    """Return the status that answers a SQLSTATE."""
    if state == _FORBIDDEN:
        return 401 if anonymous else 403
    if state.startswith("PT") and state[2:].isdecimal():
        return int(state[2:])
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2], 400)


def _driver_error(error: BaseException) -> psycopg.Error | None:
    """The error of psycopg in an error, or behind it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, psycopg.Error):
            return seen
        original = getattr(seen, "orig", None)
        seen = original if isinstance(original, BaseException) else seen.__cause__
    return None


def _unavailable(error: BaseException) -> RestError:
    """The reply where PostgreSQL said nothing: the connection broke, or never was."""
    if isinstance(error, QuantumForgeError) and not isinstance(error, DatabaseUnavailable):
        return RestError(500, "XX000", str(error))
    return RestError(
        503,
        "PGRST001",
        "Database connection error. Retrying the connection.",
        hint="Send the request again.",
        headers={"Retry-After": RETRY_AFTER},
    )
