"""Errors of the store as answers: status, SQLSTATE, and the message for a person."""

import sys
import traceback

import msgspec
from psycopg import Error as DriverError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.eventstore.base.errors import (
    AccessRefused,
    CalculationEnded,
    DatabaseUnavailable,
    EventIdReused,
    EventRefused,
    EventTooLarge,
    LastAdmin,
    NameTaken,
    NeedsPrimary,
    NoSuchUser,
    NotAllowed,
    NotLetIn,
    OtherTenant,
    QuantumForgeError,
    RuleBroken,
    VersionConflict,
    WeakPassword,
    WrongSearch,
)
from quantum_forge.web.rest.errors import RestError, from_database

_STATUS: tuple[tuple[type[QuantumForgeError], int, str], ...] = (
    (EventTooLarge, 413, "54000"),
    (WrongSearch, 400, "22023"),
    (EventRefused, 400, "22023"),
    (AccessRefused, 403, "42501"),
    (NotAllowed, 403, "42501"),
    (OtherTenant, 403, "42501"),
    (NotLetIn, 401, "28000"),
    (NoSuchUser, 404, "P0002"),
    (NameTaken, 409, "23505"),
    (EventIdReused, 409, "23505"),
    (VersionConflict, 409, "40001"),
    (RuleBroken, 409, "55000"),
    (CalculationEnded, 409, "55000"),
    (LastAdmin, 409, "55000"),
    (WeakPassword, 422, "QF422"),
)
"""The first that fits decides: status and SQLSTATE."""

_WEAK = "QF422"
_BY_CODE = {"PGRST302": "no_authorization", "28P01": "invalid_credentials", _WEAK: "weak_password"}
_AUTH_CODES = {
    400: "validation_failed",
    401: "bad_jwt",
    403: "insufficient_permissions",
    404: "not_found",
    405: "validation_failed",
    409: "conflict",
    429: "over_request_rate_limit",
    503: "request_timeout",
}
"""`error_code` of Supabase's authentication server, by code, or else by status."""


def rest_error(error: Exception, *, anonymous: bool = False) -> RestError | None:
    """Return how an error is answered; None for one that is a fault of the program.

    Args:
        error: that a request met.
        anonymous: whether its caller came without a key, which a refusal then asks for.
    """
    match error:
        case RestError():
            return error
        case RecursionError():
            return RestError(400, "54001", "the request is nested too deeply")
        case NeedsPrimary():
            return RestError(405, "25006", str(error))
        case PoolTimeout() | DatabaseUnavailable() | DBAPIError() | DriverError():
            return from_database(error, anonymous=anonymous)
        case QuantumForgeError():
            for kind, status, code in _STATUS:
                if isinstance(error, kind):
                    return RestError(status, code, str(error))
            return RestError(400, "QF000", str(error))
        case _:
            return None


async def answer(request: Request, error: Exception) -> Response:
    """Answer a request that met an error: a handler of Starlette's for all exceptions."""
    caller = getattr(request.state, "caller", None)
    known = rest_error(error, anonymous=caller is not None and caller.is_anonymous)
    if known is None:
        traceback.print_exception(error, file=sys.stderr)
        known = RestError(
            500,
            "XX000",
            "internal error",
            details=f"request {request.state.id}; the log of the server says more",
        )
    request.state.error = known.message
    return response_of(known, request)


def response_of(error: RestError, request: Request) -> Response:
    """Return the answer of an error; below /auth/v1 with the fields that clients look for there."""
    body = error.body
    if request.scope["path"].startswith("/auth/v1/"):
        name = _BY_CODE.get(error.code) or _AUTH_CODES.get(error.status, "unexpected_failure")
        also: dict[str, object] = {"error_code": name, "msg": error.message}
        if error.code == _WEAK:
            also[name] = {"reasons": ["length"]}
        body = msgspec.json.encode({**msgspec.json.decode(body), **also})
    return Response(body, status_code=error.status, headers=error.headers)


def no_such_path(path: str) -> RestError:
    """Return the error for a path that leads nowhere."""
    return RestError(
        404,
        "PGRST125",
        "Invalid path specified in request URL",
        details=path,
        hint="GET /rest/v1/ describes the paths: /rest/v1/TABLE, /rest/v1/rpc/ACTION, "
        "/auth/v1/…, /events, /live, /ready and /metrics.",
    )
