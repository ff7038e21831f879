"""The application: routes, and what begins and ends with it."""

import contextlib
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from quantum_forge.eventstore.base import tracing
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.projections.operate.prometheus import exposition, read_gauges
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.accounts import Accounts
from quantum_forge.web.appends import append
from quantum_forge.web.auth.addresses import BehindProxies
from quantum_forge.web.auth.callers import READ, credential_of
from quantum_forge.web.auth.local import LocalSignIn
from quantum_forge.web.dashboard.frame import Frames
from quantum_forge.web.dashboard.rendering import error_page, wants_page
from quantum_forge.web.dashboard.routes import dashboard_routes
from quantum_forge.web.explain import explain_row
from quantum_forge.web.failures import answer, no_such_path, response_of
from quantum_forge.web.geometry import geometry_of
from quantum_forge.web.heads import LimitedHeads
from quantum_forge.web.middleware import ID_HEADER, Answered, Requests
from quantum_forge.web.openapi.answer import describe
from quantum_forge.web.parts import Parts, parts_of
from quantum_forge.web.questions import answer_question
from quantum_forge.web.rest.errors import JSON, RestError
from quantum_forge.web.rpc import call
from quantum_forge.web.server import Server
from quantum_forge.web.settings import WebSettings, load_web_settings
from quantum_forge.web.streams.events import events
from quantum_forge.web.streams.hub import Hub
from quantum_forge.web.streams.listeners import Listeners
from quantum_forge.web.tables import read_table
from quantum_forge.web.usage import Usage
from quantum_forge.web.wire import APPEND_PATH, READ_PATH
from quantum_forge.web.writing import options_of_table, write_table

OF_UVICORN: Final[dict[str, Any]] = {
    "http": LimitedHeads,  # by httptools: h11 refuses a head of 16 kB that comes in pieces
    "lifespan": "on",
    "log_level": "warning",
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": 1,  # seconds for requests that are being answered
}
"""What the application asks of uvicorn, whoever runs it."""

_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "HEAD")
_EXPOSED = (
    "Content-Encoding",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Location",
    "Retry-After",
    "Server",
    "Transfer-Encoding",
    "Range-Unit",
    ID_HEADER,
)


def from_environment() -> ASGIApp:
    """Make the application from the settings of the environment, in a worker process."""
    tracing.begin()
    return create_app(load_settings(), load_web_settings())


def create_app(
    settings: Settings, web: WebSettings, *, local: LocalSignIn | None = None
) -> ASGIApp:
    """Make the application; it opens the database when it starts, and closes it at its end.

    Args:
        settings: of the database.
        web: limits, and who is let in.
        local: lets in whoever started the process, and has its links.
    """
    parts: list[Parts] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        server = Server(settings, web, local)
        hub = Hub(server.engine, Listeners(web.streams), on_trouble=_teller())
        usage = Usage(server.recorder, prints=web.log)
        hub.start()
        usage.start()
        app.state.frames = Frames()
        app.state.parts = Parts(server, hub, usage, Accounts(server))
        parts.append(app.state.parts)
        try:
            with _told_to_stop(hub.begin_to_close), server.projecting():
                yield
        finally:
            parts.clear()
            usage.close()
            hub.close()
            server.close()

    def served(answered: Answered) -> None:
        for each in parts:
            each.usage.served(answered)

    app = Starlette(
        routes=[*routes(), *dashboard_routes()],
        lifespan=lifespan,
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=list(web.origins),
                allow_methods=list(_METHODS),
                allow_headers=["*"],
                expose_headers=list(_EXPOSED),
                max_age=86400,
            )
        ],
        exception_handlers={
            404: _not_found,
            405: _not_allowed,
            QuantumForgeError: answer,
            SQLAlchemyError: answer,
            RecursionError: answer,
            Exception: answer,
        },
    )
    # The address of a redirect would have the host that the client named.
    app.router.redirect_slashes = False
    return BehindProxies(
        Requests(app, web=web, served=served), web.trusted_proxies, head_seconds=web.body_seconds
    )


def routes() -> list[Route]:
    """Return the routes, which the OpenAPI document describes one by one."""
    return [
        Route("/live", _live),
        Route("/ready", _ready),
        Route("/metrics", _metrics),
        Route("/auth/v1/token", _token, methods=["POST"]),
        Route("/auth/v1/user", _user, methods=["GET", "HEAD", "PUT"]),
        Route("/auth/v1/.well-known/jwks.json", _keys),
        Route("/auth/v1/logout", _logout, methods=["POST"]),
        Route("/events", _events),
        Route(APPEND_PATH, _append, methods=["POST"]),
        Route(READ_PATH, _read, methods=["POST"]),
        Route(
            "/rest/v1/rpc/{action}",
            _rpc,
            methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"],
        ),
        Route("/rest/v1/", _openapi),
        Route("/rest/v1/calculations/{id}/geometry", _geometry),
        Route("/rest/v1/{table}/{key:path}/explain", _explain),
        Route(
            "/rest/v1/{table}",
            _table,
            methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"],
        ),
    ]


@contextlib.contextmanager
def _told_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function when a signal asks the process to stop, before whoever handles it now.

    The server waits for the answers that are being sent, and streams would never end by themselves.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # as in tests: nobody sends signals to a thread
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop()
        if callable(handler := before[signal.Signals(number)]):
            handler(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _live(_: Request) -> Response:
    """Answer that the process runs."""
    return Response(b'{"status":"live"}', headers={"Content-Type": JSON})


async def _ready(request: Request) -> Response:
    """Answer whether the database answers, too."""
    server = parts_of(request).server

    def ask() -> None:
        with server.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    await server.in_thread(ask)
    return Response(b'{"status":"ready"}', headers={"Content-Type": JSON})


async def _metrics(request: Request) -> Response:
    """Answer with the gauges of `qforge metrics`, for Prometheus."""
    server = parts_of(request).server
    caller = await server.caller(request)
    caller.require(Role.VIEWER, READ, "/metrics")
    tenant_id = server.tenant_of(caller)

    def measure() -> bytes:
        spool = spool_state(spool_directory(server.settings.home))
        with server.engine.connect() as connection:
            gauges = read_gauges(connection, PROJECTIONS.values(), tenant_id, spool)
        return exposition(gauges).encode()

    return Response(
        await server.in_thread(measure),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def _token(request: Request) -> Response:
    return await parts_of(request).accounts.token(request)


async def _user(request: Request) -> Response:
    return await parts_of(request).accounts.user(request)


async def _keys(request: Request) -> Response:
    return await parts_of(request).accounts.keys(request)


async def _logout(request: Request) -> Response:
    return await parts_of(request).accounts.logout(request)


async def _events(request: Request) -> Response:
    parts = parts_of(request)
    # By a cookie, a page of ours asks: an event for each would have it ask again.
    request.state.unrecorded = credential_of(request.headers) is None
    return await events(request, parts.server, parts.hub)


async def _append(request: Request) -> Response:
    return await append(request, parts_of(request).server)


async def _read(request: Request) -> Response:
    return await answer_question(request, parts_of(request).server)


async def _table(request: Request) -> Response:
    server = parts_of(request).server
    match request.method:
        case "GET" | "HEAD":
            return await read_table(request, server)
        case "OPTIONS":
            return await options_of_table(request, server)
        case _:
            return await write_table(request, server)


async def _openapi(request: Request) -> Response:
    return await describe(request, parts_of(request).server)


async def _geometry(request: Request) -> Response:
    return await geometry_of(request, parts_of(request).server)


async def _explain(request: Request) -> Response:
    return await explain_row(request, parts_of(request).server)


async def _rpc(request: Request) -> Response:
    return await call(request, parts_of(request).server)


async def _not_found(request: Request, _: Exception) -> Response:
    error = no_such_path(request.scope["path"])
    return error_page(request, error) if wants_page(request) else response_of(error, request)


async def _not_allowed(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None) or {}
    return response_of(
        RestError(
            405,
            "PGRST117",
            f"Unsupported HTTP method: {request.method}",
            headers=dict(headers),
        ),
        request,
    )


def _teller() -> Callable[[str], None]:
    """Return what says why the log cannot be followed: each reason once, until there is another."""
    said = [""]

    def say(message: str) -> None:
        if message != said[0]:
            said[0] = message
            print(f"the log cannot be followed: {message}", file=sys.stderr, flush=True)

    return say
