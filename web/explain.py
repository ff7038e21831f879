"""`/rest/v1/TABLE/KEY/explain`: the events behind a row, and which of them gave each value."""

from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.moments import WrongMoment, position_of
from quantum_forge.projections.history import lineage
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.table import is_secret
from quantum_forge.web.auth.callers import READ
from quantum_forge.web.rest.errors import JSON, RestError
from quantum_forge.web.rest.statements.tables import readable
from quantum_forge.web.server import Server
from quantum_forge.web.streams.hub import without_secrets


async def explain_row(request: Request, server: Server) -> Response:
    """Answer GET /rest/v1/TABLE/KEY/explain with the row's lineage as JSON.

    KEY has the values of the primary key after `tenant_id`, separated by commas. `?as_of=` explains
    the row as it was.

    Raises:
        RestError: 404 when no event concerns such a row of the caller's tenant, 400 when a prefix
            of a key fits several rows.
    """
    caller = await server.caller(request)
    table = request.path_params["table"]
    caller.require(Role.VIEWER, READ, f"the explanation of a row of {table}")
    auditor = caller.as_auditor(f"the explanation of a row of {table}")
    tenant_id = server.tenant_of(caller)
    projection = _projection(table)
    parts = _key_parts(request, len(projection.key))
    moment = _moment(request)

    def find() -> lineage.Lineage:
        with server.reading(auditor, request) as connection:
            try:
                position = _position(connection, projection, moment)
                key = lineage.find_key(connection, projection, tenant_id, parts)
            except lineage.NoSuchRow as error:
                raise _no_row(error) from error
            except lineage.SeveralRows as error:
                raise RestError(400, "QF400", str(error), details=error.candidates) from error
            found = lineage.explain(connection, projection, key, position)
        if not found.steps:
            raise _no_row(lineage.NoSuchRow(table, parts, list(projection.key)))
        return found

    found = await server.in_thread(find)
    return Response(
        await server.in_thread(partial(_encoded, projection, found)),
        headers={"Content-Type": JSON, "Cache-Control": "private, no-cache"},
    )


def _projection(table: str) -> Projection:
    found = readable(table)
    if found.projection is None:
        raise RestError(
            404,
            "QF404",
            f"rows of '{table}' cannot be explained: no fold fills it",
            hint="Read models can be explained; GET /rest/v1/ names the tables.",
        )
    return found.projection


def _key_parts(request: Request, columns: int) -> list[str]:
    """The values of the key: a comma that belongs to a value is sent as %2C."""
    sent = request.scope.get("raw_path") or request.scope["path"].encode()
    written = sent.decode("ascii", "replace").rstrip("/").rpartition("/")[0]
    written = written.split("/rest/v1/", 1)[-1].partition("/")[2]
    parts = [unquote(part) for part in written.split(",")]
    if len(parts) == 1 and columns > 1:
        parts = parts[0].split(",")  # by a client that encodes every comma
    return parts


def _moment(request: Request) -> str | None:
    for name in request.query_params:
        if name != "as_of":
            raise RestError(
                400, "PGRST100", f"unknown parameter {name!r}", hint="explain takes as_of."
            )
    return request.query_params.get("as_of")


def _position(connection: Connection, projection: Projection, moment: str | None) -> int:
    """The position as of which a row is explained: that of the table, unless one is asked for."""
    if moment is not None:
        try:
            return position_of(connection, moment)
        except WrongMoment as error:
            raise RestError(400, "PGRST100", f"as_of: {error}") from error
    checkpoint = read_checkpoints(connection).get(projection.name)
    return 0 if checkpoint is None else checkpoint.position


def _no_row(error: lineage.NoSuchRow) -> RestError:
    return RestError(404, "QF404", str(error))


def _encoded(projection: Projection, found: lineage.Lineage) -> bytes:
    hidden = {column.name for column in projection.table.columns if is_secret(column)}
    row: dict[str, Any] | None = found.row
    if row is not None:
        row = {name: value for name, value in row.items() if name not in hidden}
    steps = [
        msgspec.structs.replace(step, event=without_secrets(step.event)) for step in found.steps
    ]
    origins = [origin for origin in found.origins if origin.column not in hidden]
    shown = msgspec.structs.replace(found, row=row, origins=origins, steps=steps)
    return msgspec.json.encode(msgspec.to_builtins(shown, str_keys=True, enc_hook=_plain))


def _plain(value: object) -> object:
    """The value of encoded JSON, the text of the name of a column."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise NotImplementedError(f"{type(value).__qualname__} is not JSON")
