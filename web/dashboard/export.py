"""`/export/TABLE.FORM`: what a page shows as a file, by the query of the REST dialect.

A link of a page cannot have a header Accept: the ending of the name stands for it.
"""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.web.parts import parts_of
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.tables import read_table

FORMS: Final[Mapping[str, str]] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "ndjson": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
    "json": "application/json",
}
"""Media types by the ending of a file's name."""


async def export(request: Request) -> Response:
    """Answer GET /export/TABLE.FORM?…, as GET /rest/v1/TABLE?… with the media type of the ending.

    Raises:
        RestError: 404 for an unknown ending; whatever reading the table raises.
    """
    table, form = request.path_params["table"], request.path_params["form"]
    media_type = FORMS.get(form)
    if media_type is None:
        raise RestError(404, "PGRST125", f"no export as {form!r}", hint=f"Use {', '.join(FORMS)}.")
    request.state.unrecorded = False  # it takes data away, as a request for the table does
    headers = [pair for pair in request.scope["headers"] if pair[0] not in (b"accept", b"range")]
    headers.append((b"accept", media_type.encode()))
    asked = Request({**request.scope, "headers": headers}, request.receive)
    response = await read_table(asked, parts_of(request).server)
    response.headers["Content-Disposition"] = f'attachment; filename="{table}.{form}"'
    response.headers["Cache-Control"] = "no-store"
    return response
