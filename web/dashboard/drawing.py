"""`/drawing.svg?smiles=…`: the structure of a molecule, as an image of its own."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.drawing import svg_of
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READ
from quantum_forge.web.parts import parts_of
from quantum_forge.web.rest.errors import RestError

DRAWING = "/drawing.svg"

_LONGEST = 2_000
"""Characters of a SMILES that is drawn."""

_HEADERS = {
    # An image has styles of its own, and nothing else: no script, no request.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=86400",
}


async def drawing(request: Request) -> Response:
    """Answer GET /drawing.svg with an image.

    Raises:
        RestError: 404 for what cannot be drawn, or where RDKit is not installed.
    """
    server = parts_of(request).server
    caller = await server.caller(request)
    caller.require(Role.VIEWER, READ, "drawings of molecules")
    smiles = request.query_params.get("smiles", "")
    is_large = request.query_params.get("size") == "large"
    size = (420, 320) if is_large else (150, 110)
    svg = ""
    if len(smiles) <= _LONGEST:
        svg = await server.in_thread(partial(svg_of, smiles, width=size[0], height=size[1]))
    if not svg:
        raise RestError(404, "QF404", "this structure cannot be drawn")
    return Response(svg, headers=_HEADERS, media_type="image/svg+xml")
