"""What happens to each request: an id, a limit on its body, an answer to errors, a log line.

Pure ASGI, so that streams pass through as they are.
"""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quantum_forge.eventstore.base import tracing
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.web.auth.callers import Caller
from quantum_forge.web.failures import no_such_path, response_of
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.limits import require_short
from quantum_forge.web.settings import WebSettings

ID_HEADER = "X-Request-Id"

MOST_OF_AUTH = 2**16
"""Bytes of a body below /auth/, which needs no key."""

_LAST = {"Connection": "close"}
"""What is left of the body would be taken for the next request."""

Served = Callable[["Answered"], object]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was answered, for the access log and for `api_usage_logs`.

    at: when it came, in s since 1970. milliseconds: until the end of its answer. caller: who sent
    it; None where that was not found out. is_use: whether it counts as a use of the API.
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
    is_use: bool = True


class Requests:
    """ASGI middleware around the whole application.

    Args:
        app: what it wraps.
        web: limits.
        served: called at the end of each request.
    """

    def __init__(self, app: ASGIApp, *, web: WebSettings, served: Served) -> None:
        self._app = app
        self._web = web
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other scopes pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Request(self._app, scope, receive, send, self._web, self._served).answer()


class _Request:
    """One request on its way."""

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        web: WebSettings,
        served: Served,
    ) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._web, self._served = web, served
        self._max_body = web.max_body
        if scope["path"].startswith("/auth/"):
            self._max_body = min(self._max_body, MOST_OF_AUTH)
        self._received = self._sent = 0
        self._is_read = self._is_cut = False
        self._body_until: float | None = None
        self._status = 499  # the client went away before there was an answer
        self._at, self._began = time.time(), time.perf_counter()
        headers = Headers(scope=scope)
        self._id = _id_of(headers.get(ID_HEADER))
        scope.setdefault("state", {})["id"] = self._id
        self._headers = headers
        self._announced = headers.get("content-length", "0")

    async def answer(self) -> None:
        """Answer it; an error of the program is passed on when its answer has been sent."""
        with tracing.request_span(self._scope["method"], self._headers) as span:
            try:
                await self._answer()
            finally:
                if span is not None:
                    span.update_name(f"{self._scope['method']} {_route_of(self._scope)}")
                    span.set_attributes(self._facts())

    def _facts(self) -> dict[str, str | int]:
        """What a span says of the request: neither its query nor its headers."""
        return {
            "http.request.method": self._scope["method"],
            "http.route": _route_of(self._scope),
            "http.response.status_code": self._status,
            "http.response.body.size": self._sent,
            "qforge.request_id": str(self._id),
        }

    async def _answer(self) -> None:
        try:
            if (refused := self._refused()) is not None:
                asked = Request(self._scope)
                asked.state.error = refused.message
                await response_of(refused, asked)(self._scope, self._receive, self._observed)
                return
            await self._app(self._scope, self._limited, self._observed)
        except Exception:
            if not self._is_cut:
                raise
        finally:
            self._served(self._answered())

    def _refused(self) -> RestError | None:
        """What is wrong with the address of the request, whatever it asks for."""
        if "\0" in self._scope["path"]:
            return no_such_path(self._scope["path"])
        try:
            require_short(self._scope["query_string"])
        except RestError as error:
            return error
        return None

    async def _limited(self) -> Message:
        if not self._announced.isdigit() or int(self._announced) > self._max_body:
            raise self._too_large()
        if self._is_read:
            return await self._receive()  # waits until the client goes away
        loop = asyncio.get_running_loop()
        if self._body_until is None:
            self._body_until = loop.time() + self._web.body_seconds
        try:
            async with asyncio.timeout_at(self._body_until):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow(self._web.body_seconds) from None
        self._is_read = not message.get("more_body", False)
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._max_body:
                raise self._too_large()
        return message

    async def _observed(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[ID_HEADER] = str(self._id)
            headers.append("Server-Timing", f"total;dur={self._milliseconds():.1f}")
            headers.setdefault("X-Content-Type-Options", "nosniff")
            if self._scope["state"].get("by_cookie"):  # no cache keeps it for whoever comes next
                headers.setdefault("Cache-Control", "private, no-cache")
                headers.add_vary_header("Cookie")
        elif message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))
        try:
            async with asyncio.timeout(self._web.stream_seconds):
                await self._send(message)
        except TimeoutError:
            await self._cut()
            raise

    async def _cut(self) -> None:
        """Close the connection of a client that does not read its reply.

        What is waiting to be sent to it would keep the connection, and its memory, for ever.
        """
        self._is_cut = True
        self._scope["state"].setdefault("error", "the client did not read the reply in time")
        # ASGI has no message for it; uvicorn's `send` belongs to what holds the transport.
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
            await asyncio.sleep(0)

    def _too_large(self) -> RestError:
        is_set = self._max_body == self._web.max_body
        hint = "Send it in several requests; QFORGE_WEB_MAX_BODY sets the limit."
        return RestError(
            413,
            "QF413",
            f"the body of the request is larger than {self._max_body:,} bytes",
            hint=hint if is_set else "No request below /auth/ needs more.",
            headers=_LAST,
        )

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
            is_use=not self._scope["state"].get("unrecorded", False),
        )


def _route_of(scope: Scope) -> str:
    """The path with the names of its parameters, as the route has it."""
    return getattr(scope.get("route"), "path", None) or "unknown"


def _too_slow(seconds: float) -> RestError:
    return RestError(
        408,
        "QF408",
        f"the body of the request did not arrive within {seconds:g} s",
        hint="Send it in several requests; QFORGE_WEB_BODY_SECONDS sets the limit.",
        headers=_LAST,
    )


def _id_of(given: str | None) -> UUID:
    """The id that a client gives its request, where it is a UUID, or a new one."""
    try:
        return UUID(given) if given else uuid7()
    except ValueError:
        return uuid7()
