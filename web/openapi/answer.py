"""`GET /rest/v1/`: the document as an answer."""

from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READ
from quantum_forge.web.openapi.document import OPENAPI_MEDIA, openapi_json
from quantum_forge.web.rest.entity_tag import entity_tag, is_known
from quantum_forge.web.server import Server


async def describe(request: Request, server: Server) -> Response:
    """Answer with the document, for whoever may read tables.

    Raises:
        RestError: 401 or 403.
    """
    caller = await server.caller(request)
    if caller.tenant_id is not None:
        caller.require(Role.VIEWER, READ, "the description of the tables")
    headers = {"ETag": _tag(), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if is_known(_tag(), request.headers.get("if-none-match") or ""):
        return Response(status_code=304, headers=headers)
    # A program that does not know the media type, such as a browser, shows it as JSON.
    as_json = "application/json" in request.headers.get("accept", "")
    kind = "application/json" if as_json else OPENAPI_MEDIA
    return Response(openapi_json(), headers={**headers, "Content-Type": f"{kind}; charset=utf-8"})


@cache
def _tag() -> str:
    return entity_tag(openapi_json().decode(), ())
