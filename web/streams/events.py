"""`GET /events`: the log of a tenant as server-sent events, skipping none.

The id of each is its position. A client that comes back with it in `Last-Event-ID`, as browsers do,
gets what came after; without it, what comes from now on, or after `?after=POSITION`.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from quantum_forge.eventstore.base.codec import event_class, require_entity_type
from quantum_forge.eventstore.log.read import Filter, read_all, safe_head
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.server import Server
from quantum_forge.web.streams.hub import Frame, Hub, frame_of

HEARTBEAT_SECONDS = 15.0
"""After which a comment shows that the connection is alive."""

RECHECK_SECONDS = 10.0
"""After which a stream asks whether its caller is still let in."""

_PAGE = 500
_FILTERS = ("type", "entity_type", "entity_id", "user_id")


async def events(request: Request, server: Server, hub: Hub) -> Response:
    """Answer a request for the stream of events.

    Raises:
        RestError: when the caller may not read the log, or a parameter is wrong.
        EventRefused: for a type of events or entities that there is not.
    """
    caller = await server.caller(request)
    caller.require(Role.RESEARCHER, READ, "the stream of events")
    where = _filter(request, server.tenant_of(caller))
    asked = _after(request)
    opened = contextlib.ExitStack()
    opened.enter_context(hub.joined(server.tenant_of(caller), caller.user_id or caller.name))
    try:
        after = await server.in_thread(partial(_begin, server, request, caller, asked))
    except BaseException:
        opened.close()
        raise
    return _Stream(opened, _streamed(request, server, hub, caller, where, after))


class _Stream(StreamingResponse):
    """A stream of events, which counts as one until it has ended, however that ends."""

    def __init__(self, opened: contextlib.ExitStack, body: AsyncIterator[bytes]) -> None:
        super().__init__(
            body,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._opened:
            await super().__call__(scope, receive, send)


async def _streamed(
    request: Request,
    server: Server,
    hub: Hub,
    caller: Caller,
    where: Filter,
    position: int,
) -> AsyncIterator[bytes]:
    # Whatever reads has to know that the stream has begun: browsers wait for the first byte.
    yield b": connected\nretry: 1000\n" + _place(position)
    sent_at = checked_at = time.monotonic()
    while not hub.is_closing:
        now = time.monotonic()
        if now - checked_at > RECHECK_SECONDS:
            # A key that was revoked, a token that expired or a role that was taken ends the stream,
            # also where there is always more to send.
            caller = await server.still_let_in(request, caller)
            caller.require(Role.RESEARCHER, READ, "the stream of events")
            checked_at = now
        frames, position = await _next(request, server, hub, caller, where, position)
        if frames:
            sent_at = now
            yield b"".join(frame.sent for frame in frames)
            continue
        if now - sent_at > HEARTBEAT_SECONDS:
            sent_at = now
            yield b": heartbeat\n" + _place(position)
        await hub.changed(HEARTBEAT_SECONDS)


def _place(position: int) -> bytes:
    """Tell a client where it is, without an event: it comes back with this position."""
    return b"id: %d\n\n" % position


async def _next(
    request: Request, server: Server, hub: Hub, caller: Caller, where: Filter, position: int
) -> tuple[list[Frame], int]:
    """The next matching events, and the position up to which that is all of them."""
    at_hand = hub.since(position, where)
    if at_hand is not None:
        return at_hand
    upto = hub.position
    if upto is None or upto <= position:
        return [], position
    frames = await server.in_thread(partial(_read, server, request, caller, where, position, upto))
    return frames, frames[-1].position if len(frames) == _PAGE else upto


def _read(
    server: Server, request: Request, caller: Caller, where: Filter, after: int, upto: int
) -> list[Frame]:
    """The next matching events of the log, a page at most."""
    auditor = caller.as_auditor("the stream of events")
    with server.reading(auditor, request) as connection:
        found = read_all(connection, after=after, upto=upto, where=where, limit=_PAGE)
        return [frame_of(event) for event in found]


def _begin(server: Server, request: Request, caller: Caller, after: int | None) -> int:
    """Return the position to begin after: the one asked for, or the end of the log.

    Raises:
        RestError: 409 for a position that the log has not reached: the client has seen another log.
    """
    auditor = caller.as_auditor("the stream of events")
    with server.reading(auditor, request) as connection:
        head = safe_head(connection)
    if after is not None and after > head:
        raise RestError(
            409,
            "QF409",
            f"the log ends at position {head}, before {after}",
            hint="It is another log, or events were lost in a failover: begin at ?after=0.",
        )
    return head if after is None else after


def _filter(request: Request, tenant_id: UUID) -> Filter:
    given = request.query_params
    unknown = [name for name in given if name not in (*_FILTERS, "after")]
    if unknown:
        raise RestError(
            400,
            "PGRST100",
            f"unknown parameter {unknown[0]!r}",
            hint=f"The stream of events takes {', '.join(_FILTERS)}, after.",
        )
    types, entity_type = _listed(given.getlist("type")), given.get("entity_type")
    return Filter(
        types=[event_class(name).event_type for name in types] or None,
        tenant_id=tenant_id,
        entity_type=None if entity_type is None else require_entity_type(entity_type),
        entity_id=_id(given.get("entity_id"), "entity_id"),
        user_id=_id(given.get("user_id"), "user_id"),
    )


def _listed(values: list[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


def _id(value: str | None, name: str) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise RestError(
            400, "22P02", f'{name}: invalid input syntax for type uuid: "{value}"'
        ) from None


def _after(request: Request) -> int | None:
    text = request.headers.get("last-event-id") or request.query_params.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63):
        raise RestError(400, "22P02", f"the position of the last event is no number: {text!r}")
    return int(text)
