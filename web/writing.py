"""`/rest/v1/TABLE` for requests that write: each change of a row is recorded as an event."""

from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import WRITE, Caller
from quantum_forge.web.rest.exchange import WriteRequest
from quantum_forge.web.rest.writing.asked import methods_of
from quantum_forge.web.rest.writing.write import write
from quantum_forge.web.server import Server


async def write_table(request: Request, server: Server) -> Response:
    """Answer POST, PATCH, PUT or DELETE /rest/v1/TABLE.

    Raises:
        RestError, QuantumForgeError: for a request that cannot be answered.
    """
    caller = await server.caller(request)
    table = request.path_params["table"]
    require_writer(caller, table)
    recorder = server.recorder_for(caller, request)
    query = request.scope["query_string"].decode("ascii", "replace")
    asked = WriteRequest(
        method=request.method,
        table=table,
        pairs=parse_qsl(query, keep_blank_values=True),
        body=await request.body(),
        accept=", ".join(request.headers.getlist("accept")) or None,
        prefer=request.headers.getlist("prefer"),
        content_type=request.headers.get("content-type"),
        max_seconds=server.web.max_seconds,
        idempotency_key=request.headers.get("idempotency-key"),
    )
    reply = await server.in_thread(partial(write, recorder, asked))
    return Response(reply.body, reply.status, reply.headers)


async def options_of_table(request: Request, server: Server) -> Response:
    """Answer OPTIONS /rest/v1/TABLE: the methods that the table takes.

    Raises:
        RestError: PGRST205, for an unknown table.
    """
    await server.caller(request)
    allowed = methods_of(request.path_params["table"])
    return Response(b"", 200, {"Allow": ",".join(allowed)})


def require_writer(caller: Caller, what: str) -> None:
    """Refuse whoever cannot be the author of an event; the recorder asks for the roles of users.

    Raises:
        RestError: 401 of an anonymous caller, else 403.
    """
    nobody = caller.user_id is None and caller.tenant_id is not None
    caller.require(Role.ADMIN if nobody else Role.VIEWER, WRITE, what)
