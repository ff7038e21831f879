"""`/rest/v1/rpc/search`, `substructure` and `similar`: actions that only read, by GET or POST."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.projections.queries.search import search
from quantum_forge.schema.domains.users import Role
from quantum_forge.searching import canonical, structures
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.rest.errors import JSON, RestError
from quantum_forge.web.server import Server


class _Search(msgspec.Struct, forbid_unknown_fields=True):
    """Find whatever has some words in a name, description or message, or is identified by them."""

    words: str
    limit: int = 10


class _Substructure(msgspec.Struct, forbid_unknown_fields=True):
    """Find the molecules that have a substructure, written as SMARTS."""

    smarts: str
    limit: int = 100


class _Similar(msgspec.Struct, forbid_unknown_fields=True):
    """Find the molecules that are similar to a SMILES, by Morgan fingerprints."""

    smiles: str
    threshold: float = 0.5
    limit: int = 100


class _Answer(msgspec.Struct, frozen=True):
    body: object
    count: int
    is_complete: bool


_KINDS: Mapping[str, type[msgspec.Struct]] = {
    "search": _Search,
    "substructure": _Substructure,
    "similar": _Similar,
}

SEARCHES: Mapping[str, str] = {name: kind.__doc__ or "" for name, kind in _KINDS.items()}
"""The searches by name, each with what it does."""


def arguments_of(name: str) -> Mapping[str, tuple[type, object]]:
    """Return the arguments of a search: their types, and the values that they have if left out."""
    return {
        field.name: (field.type, field.default) for field in msgspec.structs.fields(_KINDS[name])
    }


async def answer_search(request: Request, server: Server, caller: Caller, name: str) -> Response:
    """Answer a search with an array of what was found, as JSON; 206 where there is more.

    Raises:
        RestError: for arguments that cannot be used, and for another method than GET and POST.
        QuantumForgeError: for what cannot be searched for.
    """
    if request.method not in ("GET", "POST"):
        raise RestError(
            405,
            "PGRST101",
            f"Cannot use the {request.method} method on RPC",
            hint="Use GET or POST.",
            headers={"Allow": "GET, POST"},
        )
    caller.require(Role.VIEWER, READ, f"rpc/{name}")
    asked = await _asked(request, _KINDS[name])
    work = partial(_ANSWERS[name], server, caller, asked)

    def answer() -> _Answer:
        with server.reading(caller, request) as connection:
            return work(connection)

    found = await server.in_thread(answer)
    place = f"0-{found.count - 1}" if found.count else "*"
    return Response(
        msgspec.json.encode(found.body),
        200 if found.is_complete else 206,
        {
            "Content-Type": JSON,
            "Content-Range": f"{place}/{found.count if found.is_complete else '*'}",
        },
    )


async def _asked(request: Request, kind: type[msgspec.Struct]) -> Any:
    try:
        if request.method == "GET":
            return msgspec.convert(dict(request.query_params), kind, strict=False)
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        code = "22023" if isinstance(error, msgspec.ValidationError) else "PGRST102"
        names = ", ".join(kind.__struct_fields__)
        raise RestError(
            400, code, f"wrong arguments: {error}", hint=f"The arguments are {names}."
        ) from None


def _search(server: Server, caller: Caller, asked: _Search, connection: Connection) -> _Answer:
    found = search(
        connection,
        server.tenant_of(caller),
        asked.words,
        limit=min(asked.limit, server.web.max_rows),
        canonical=canonical,
        audited=caller.may(Role.ADMIN, READ),
    )
    count = sum(len(group.findings) for group in found.groups)
    return _Answer(found, count, not any(group.has_more for group in found.groups))


def _substructure(
    server: Server, caller: Caller, asked: _Substructure, connection: Connection
) -> _Answer:
    found = structures().substructure(
        connection,
        server.tenant_of(caller),
        asked.smarts,
        limit=min(asked.limit, server.web.max_rows),
        seconds=server.web.max_seconds,
    )
    return _Answer(found.hits, len(found.hits), found.is_complete)


def _similar(server: Server, caller: Caller, asked: _Similar, connection: Connection) -> _Answer:
    found = structures().similar(
        connection,
        server.tenant_of(caller),
        asked.smiles,
        threshold=asked.threshold,
        limit=min(asked.limit, server.web.max_rows),
        seconds=server.web.max_seconds,
    )
    return _Answer(found.hits, len(found.hits), found.is_complete)


_ANSWERS: Mapping[str, Callable[[Server, Caller, Any, Connection], _Answer]] = {
    "search": _search,
    "substructure": _substructure,
    "similar": _similar,
}
