"""`/rest/v1/calculations/ID/geometry`: the atoms of a calculation as SDF or extended XYZ."""

import threading
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.datasets.formats import FORMATS
from quantum_forge.datasets.geometry import Geometry, NoGeometry, read_geometry
from quantum_forge.eventstore.base.errors import MissingLibrary
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READ
from quantum_forge.web.rest.entity_tag import entity_tag, is_known
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.media import by_preference
from quantum_forge.web.server import Server

MEDIA_TYPES = {"extxyz": "chemical/x-xyz", "sdf": "chemical/x-mdl-sdfile"}
"""Formats of geometries, the default first, and their media types."""

_BY_TYPE = {type_: name for name, type_ in MEDIA_TYPES.items()}
_ANY = ("*/*", "chemical/*")

_WRITERS = threading.Semaphore(2)
"""Geometries that are written at the same time: RDKit runs in a process for each."""


async def geometry_of(request: Request, server: Server) -> Response:
    """Answer GET /rest/v1/calculations/ID/geometry in the format of Accept, or of `?format=`.

    Raises:
        RestError: 404 where there is no such calculation with atoms in the caller's tenant; 406
            for an unknown format.
    """
    caller = await server.caller(request)
    what = "the geometry of a calculation"
    caller.require(Role.VIEWER, READ, what)
    auditor = caller.as_auditor(what)
    tenant_id = server.tenant_of(caller)
    name = _format(request)
    id_ = _id(request.path_params["id"])

    def read() -> Geometry:
        with server.reading(auditor, request) as connection:
            try:
                return read_geometry(connection, tenant_id, id_, FORMATS[name])
            except NoGeometry as error:
                raise RestError(404, "QF404", str(error)) from error

    def write() -> bytes:
        try:
            with _WRITERS:
                return found.written()
        except MissingLibrary as error:
            raise RestError(501, "QF501", str(error)) from error

    found = await server.in_thread(read)
    tag = entity_tag(f"{id_}@{found.position}", (name,))
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if is_known(tag, request.headers.get("if-none-match") or ""):
        return Response(status_code=304, headers=headers)
    body = b"" if request.method == "HEAD" else await server.in_thread(write)
    headers["Content-Type"] = f"{MEDIA_TYPES[name]}; charset=utf-8"
    headers["Content-Disposition"] = f'inline; filename="{id_}{FORMATS[name].suffix}"'
    return Response(body, headers=headers)


def _format(request: Request) -> str:
    asked = request.query_params.get("format")
    for name in request.query_params:
        if name != "format":
            raise RestError(
                400, "PGRST100", f"unknown parameter {name!r}", hint="geometry takes format."
            )
    if asked is not None:
        if asked in MEDIA_TYPES:
            return asked
        raise _unavailable(f"the format {asked}")
    accept = ", ".join(request.headers.getlist("accept")) or "*/*"
    for type_, _ in by_preference(accept):
        if type_ in _BY_TYPE:
            return _BY_TYPE[type_]
        if type_ in _ANY:
            return next(iter(MEDIA_TYPES))
    raise _unavailable(accept)


def _unavailable(asked: str) -> RestError:
    known = ", ".join(f"{type_} (?format={name})" for name, type_ in MEDIA_TYPES.items())
    return RestError(
        406,
        "PGRST107",
        f"None of these media types are available: {asked}",
        hint=f"Geometries are there as {known}.",
    )


def _id(written: str) -> UUID:
    try:
        return UUID(written)
    except ValueError:
        raise RestError(400, "22P02", f'invalid input syntax for type uuid: "{written}"') from None
