"""What happens to each request: an id, a limit on its body, an answer to errors, a log line.

Pure ASGI, so that streams pass through as they are.
"""

import time
from collections.abc import Callable
from uuid import UUID

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.web.auth.callers import Caller
from quantum_forge.web.rest.errors import RestError

ID_HEADER = "X-Request-Id"

Served = Callable[["Answered"], object]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was answered, for the access log and for `api_usage_logs`.

    at: when it came, in s since 1970. milliseconds: until the end of its answer. caller: who sent
    it; None where that was not found out.
    """

    at: float
    id: UUID
    method: str
    path: str
    query: str
    status: int
    milliseconds: float
    request_bytes: int
    response_bytes: int
    address: str | None
    caller: Caller | None
    error: str | None


class Requests:
    """ASGI middleware around the whole application.

    Args:
        app: what it wraps.
        max_body: bytes of a request's body at most.
        served: called at the end of each request.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, served: Served) -> None:
        self._app = app
        self._max_body = max_body
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other scopes pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Request(self._app, scope, receive, send, self._max_body, self._served).answer()


class _Request:
    """One request on its way."""

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        max_body: int,
        served: Served,
    ) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._max_body, self._served = max_body, served
        self._received = self._sent = 0
        self._status = 499  # the client went away before there was an answer
        self._at, self._began = time.time(), time.perf_counter()
        headers = Headers(scope=scope)
        self._id = _id_of(headers.get(ID_HEADER))
        scope.setdefault("state", {})["id"] = self._id
        self._announced = headers.get("content-length", "0")

    async def answer(self) -> None:
        """Answer it; an error of the program is passed on when its answer has been sent."""
        try:
            await self._app(self._scope, self._limited, self._observed)
        finally:
            self._served(self._answered())

    async def _limited(self) -> Message:
        if not self._announced.isdigit() or int(self._announced) > self._max_body:
            raise _too_large(self._max_body)
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._max_body:
                raise _too_large(self._max_body)
        return message

    async def _observed(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[ID_HEADER] = str(self._id)
            headers.append("Server-Timing", f"total;dur={self._milliseconds():.1f}")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        elif message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))
        await self._send(message)

    def _caller(self) -> Caller | None:
        caller = self._scope["state"].get("caller")
        return caller if isinstance(caller, Caller) else None

    def _milliseconds(self) -> float:
        return (time.perf_counter() - self._began) * 1000

    def _answered(self) -> Answered:
        client = self._scope.get("client")
        return Answered(
            at=self._at,
            id=self._id,
            method=self._scope["method"],
            path=self._scope["path"],
            query=self._scope["query_string"].decode("ascii", "replace"),
            status=self._status,
            milliseconds=self._milliseconds(),
            request_bytes=self._received,
            response_bytes=self._sent,
            address=client[0] if client else None,
            caller=self._caller(),
            error=self._scope["state"].get("error"),
        )


def _too_large(limit: int) -> RestError:
    return RestError(
        413,
        "QF413",
        f"the body of the request is larger than {limit:,} bytes",
        hint="Send it in several requests; QFORGE_WEB_MAX_BODY sets the limit.",
    )


def _id_of(given: str | None) -> UUID:
    """The id that a client gives its request, where it is a UUID, or a new one."""
    try:
        return UUID(given) if given else uuid7()
    except ValueError:
        return uuid7()
