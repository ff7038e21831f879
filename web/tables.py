"""`/rest/v1/TABLE`: rows of read models, views and the log, in the dialect of PostgREST."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from urllib.parse import parse_qsl

import anyio
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.rest.exchange import ReadReply, ReadRequest
from quantum_forge.web.rest.reading import read
from quantum_forge.web.rest.request.media import parse_accept
from quantum_forge.web.server import Server

OF_THE_LOG = frozenset(
    {
        "activity_logs",
        "api_usage_logs",
        "event_logs",
        "event_streams",
        "user_api_keys",
        "user_audit_log",
        "user_sessions",
    }
)
"""What only an admin reads: everybody's events, and what each of the others did."""


async def read_table(request: Request, server: Server) -> Response:
    """Answer GET or HEAD /rest/v1/TABLE.

    Raises:
        RestError, QuantumForgeError: for a request that cannot be answered.
    """
    caller = await server.caller(request)
    table = request.path_params["table"]
    needed = Role.ADMIN if table in OF_THE_LOG else Role.VIEWER
    if caller.tenant_id is not None:  # a token without a tenant sees no rows
        caller.require(needed, READ, table)
    asked = _asked(request, server, caller, table)
    caller = _past_reader(caller, asked)
    media = parse_accept(asked.accept, plans=asked.plans)
    if asked.is_head or not media.is_streamed:
        reply = await server.in_thread(partial(_whole, request, server, caller, asked))
        assert isinstance(reply.body, bytes)
        return Response(reply.body, reply.status, reply.headers)
    return await _streamed(request, server, caller, asked)


def _past_reader(caller: Caller, asked: ReadRequest) -> Caller:
    """Return the caller with the database role that reads the past: it is folded from the log.

    A viewer may look into the past, as by `qforge as-of`; the log as it is stays hidden.
    """
    if all(name != "as_of" for name, _ in asked.pairs) or caller.tenant_id is None:
        return caller
    return caller.as_auditor(f"the past of {asked.table}")


def _asked(request: Request, server: Server, caller: Caller, table: str) -> ReadRequest:
    query = request.scope["query_string"].decode("ascii", "replace")
    headers = request.headers
    return ReadRequest(
        table=table,
        pairs=parse_qsl(query, keep_blank_values=True),
        path=f"/{table}",
        is_head=request.method == "HEAD",
        accept=", ".join(headers.getlist("accept")) or None,
        prefer=headers.getlist("prefer"),
        range_=headers.get("range"),
        if_none_match=headers.get("if-none-match"),
        anonymous=caller.is_anonymous,
        max_rows=server.web.max_rows,
        plans=server.web.plans,
        hidden=frozenset() if caller.may(Role.ADMIN, READ) else OF_THE_LOG,
    )


def _whole(request: Request, server: Server, caller: Caller, asked: ReadRequest) -> ReadReply:
    with server.reading(caller, request) as connection:
        return read(connection, asked, server.pages)


async def _streamed(
    request: Request, server: Server, caller: Caller, asked: ReadRequest
) -> Response:
    """Answer with rows that are written as they come; the transaction lasts until the end."""
    opened = contextlib.ExitStack()

    def begin() -> ReadReply:
        opened.enter_context(server.exports.one(caller.tenant_id))
        connection: Connection = opened.enter_context(server.exporting(caller, request))
        return read(connection, asked)

    try:
        reply = await server.in_thread(begin)
    except BaseException:
        await _closed(server, opened)
        raise
    if isinstance(reply.body, bytes):
        await _closed(server, opened)
        return Response(reply.body, reply.status, reply.headers)
    return _Export(server, opened, reply.body, reply.status, reply.headers)


class _Export(StreamingResponse):
    """Sends rows as they come; the transaction ends with the reply, however that ends.

    Args:
        server: whose threads read the rows.
        opened: the transaction.
        body: the rows.
        status: of the reply.
        headers: of the reply.
    """

    def __init__(
        self,
        server: Server,
        opened: contextlib.ExitStack,
        body: Iterator[bytes],
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(_parts(server, body), status, headers)
        self._close: Callable[[], Awaitable[None]] = lambda: _closed(server, opened)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()


async def _parts(server: Server, body: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (part := await server.in_thread(lambda: next(body, None))) is not None:
        yield part


async def _closed(server: Server, opened: contextlib.ExitStack) -> None:
    """End the transaction, even when the client has gone away."""
    with anyio.CancelScope(shield=True):
        await server.in_thread(opened.close)
