"""The document: every path of the server, made once per process."""

from functools import cache
from typing import Any

import msgspec

from quantum_forge.datasets.manifest import software_versions
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.web.geometry import MEDIA_TYPES
from quantum_forge.web.openapi.components import (
    ERROR,
    JSON,
    PARAMETERS,
    SECURITY_SCHEMES,
    Json,
    error_responses,
    errors,
)
from quantum_forge.web.openapi.rows import row_schema
from quantum_forge.web.openapi.tables import filter_parameters, table_path
from quantum_forge.web.rest.statements.tables import readable, readable_names
from quantum_forge.web.rpc import ACTIONS, REPEATABLE
from quantum_forge.web.searching import SEARCHES, arguments_of
from quantum_forge.web.wire import APPEND_PATH, READ_PATH, Appends, Question

OPENAPI_MEDIA = "application/openapi+json"

_ABOUT = """\
The tables of a store of calculations, in the dialect of PostgREST.

A filter is `?column=OPERATOR.VALUE`, with the operators eq, neq, gt, gte, lt, lte, like, ilike, \
match, imatch, in, is, isdistinct, fts, plfts, phfts, wfts, cs, cd, ov, each also after `not.`. \
A change of a table is recorded as an event (`x-events`), and every row can be explained by the \
events behind it. `x-unit` is the unit of a number, `x-type` the type of PostgreSQL."""


_NAMES = {str: "string", int: "integer", float: "number"}
_EXAMPLES = {"words": "caffeine", "smarts": "c1ccccc1C(=O)O", "smiles": "CCO"}


@cache
def openapi_json() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(openapi())


def openapi() -> Json:
    """Return the document, from the declarations alone: it is the same for every caller."""
    tables = [readable(name) for name in readable_names()]
    filters: Json = {}
    for table in tables:
        filters |= filter_parameters(table)
    keys = _simple("auth", "keys", "The public keys by which its tokens can be checked", {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quantum Forge",
            "version": software_versions().get("quantum-forge", "0"),
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "paths": {
            "/rest/v1/": {"get": _itself()},
            **{f"/rest/v1/{table.name}": table_path(table) for table in tables},
            "/rest/v1/{table}/{key}/explain": {"get": _explanation()},
            "/rest/v1/calculations/{id}/geometry": {"get": _geometry()},
            **{f"/rest/v1/rpc/{name}": {"post": _action(name)} for name in ACTIONS},
            **{
                f"/rest/v1/rpc/{name}": {
                    method: _search(name, method) for method in ("get", "post")
                }
                for name in SEARCHES
            },
            "/events": {"get": _events()},
            APPEND_PATH: {"post": _of_store("append", Appends.__doc__, 400, 409, 413)},
            READ_PATH: {"post": _of_store("read", Question.__doc__, 400)},
            "/auth/v1/token": {"post": _token()},
            "/auth/v1/user": {
                "get": _simple("auth", "user", "The account of the caller", {}),
                "put": _change(),
            },
            "/auth/v1/.well-known/jwks.json": {"get": {**keys, "security": []}},
            "/auth/v1/logout": {"post": _logout()},
            **_operation(),
        },
        "components": {
            "schemas": {"Error": ERROR, **{table.name: row_schema(table) for table in tables}},
            "parameters": {**PARAMETERS, **filters},
            "responses": error_responses(),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _itself() -> Json:
    content = {media: {"schema": {"type": "object"}} for media in (OPENAPI_MEDIA, JSON)}
    return _simple("about", "openapi", "This document", content)


def _explanation() -> Json:
    names = list(PROJECTIONS)
    found = _simple(
        "explain",
        "explain",
        "The events behind a row, and which of them gave each column its value",
        {JSON: {"schema": {"type": "object"}}},
        400,
    )
    table = {"type": "string", "enum": names}
    key = "Values of the primary key after tenant_id, with commas between; an id may be cut short"
    found["parameters"] = [
        {"name": "table", "in": "path", "required": True, "schema": table},
        {
            "name": "key",
            "in": "path",
            "required": True,
            "description": key,
            "schema": {"type": "string"},
        },
        {"$ref": "#/components/parameters/as_of"},
    ]
    return found


def _geometry() -> Json:
    text = {"schema": {"type": "string"}}
    found = _simple(
        "calculations",
        "read_geometry",
        "The atoms of a calculation with its results, units included",
        dict.fromkeys(MEDIA_TYPES.values(), text),
        400,
        406,
    )
    id_ = {"type": "string", "format": "uuid"}
    formats = {"type": "string", "enum": list(MEDIA_TYPES)}
    found["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": id_},
        {
            "name": "format",
            "in": "query",
            "description": "Instead of Accept",
            "schema": formats,
            "example": "extxyz",
        },
    ]
    return found


def _of_store(name: str, body: str | None, *statuses: int) -> Json:
    summary = {
        "append": "Record appends of a remote recorder, each whole or not at all",
        "read": "Answer a question of a remote runner about the streams of its tenant",
    }[name]
    found = _simple("store", f"store_{name}", summary, {JSON: {}}, *statuses)
    schema: Json = {"type": "object", "description": " ".join((body or "").split())}
    found["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return found


def _action(name: str) -> Json:
    body: Json = {"type": "object"}
    if name == "append_events":
        body = {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
    summary = ACTIONS[name].partition("\n")[0].rstrip(".")
    found = _simple("rpc", f"rpc_{name}", summary, {JSON: {}}, 400, 405, 409, 413)
    found["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    if name in REPEATABLE:
        found["parameters"] = [{"$ref": "#/components/parameters/IdempotencyKey"}]
    return found


def _search(name: str, method: str) -> Json:
    found = _simple("rpc", f"{method}_rpc_{name}", SEARCHES[name].rstrip("."), {JSON: {}}, 400, 405)
    found["responses"]["206"] = {**found["responses"]["200"], "description": "There is more"}
    given: Json = {}
    required = []
    for argument, (type_, default) in arguments_of(name).items():
        given[argument] = {"type": _NAMES[type_]}
        if default is msgspec.NODEFAULT:
            required.append(argument)
        else:
            given[argument]["default"] = default
    if method == "get":
        found["parameters"] = [
            {
                "name": argument,
                "in": "query",
                "required": argument in required,
                "schema": schema,
                **({"example": _EXAMPLES[argument]} if argument in required else {}),
            }
            for argument, schema in given.items()
        ]
    else:
        body = {"type": "object", "properties": given, "required": required}
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return found


def _events() -> Json:
    found = _simple(
        "events",
        "follow_events",
        "Events of the tenant as they happen, as server-sent events",
        {"text/event-stream": {"schema": {"type": "string"}}},
        400,
        409,
    )
    filters = {
        "after": ("The position to begin after; 0: with the first event", "integer", None),
        "type": ("Event types, with commas between", "string", None),
        "entity_type": ("Type of the entity", "string", None),
        "entity_id": ("Id of the entity", "string", "uuid"),
        "user_id": ("Who caused it", "string", "uuid"),
    }
    found["parameters"] = [
        {
            "name": name,
            "in": "query",
            "description": meaning,
            "schema": {"type": type_} if format_ is None else {"type": type_, "format": format_},
        }
        for name, (meaning, type_, format_) in filters.items()
    ]
    last = "The position of the last event at hand, as browsers send it"
    found["parameters"].append(
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": last,
            "schema": {"type": "string"},
        }
    )
    return found


def _token() -> Json:
    found = _simple("auth", "token", "Log in, or stay logged in", {JSON: {}}, 400)
    text = {"type": "string"}
    kinds = {"type": "string", "enum": ["password", "refresh_token"]}
    found["parameters"] = [{"name": "grant_type", "in": "query", "required": True, "schema": kinds}]
    names = ("email", "password", "refresh_token")
    body = {"type": "object", "properties": dict.fromkeys(names, text)}
    found["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    found["security"] = []
    return found


def _change() -> Json:
    summary = "Change the account of the caller; a password with the present one, by itself"
    found = _simple("auth", "change_user", summary, {JSON: {}}, 400)
    text = {"type": "string"}
    fields: Json = dict.fromkeys(("email", "password", "current_password"), text)
    shown = dict.fromkeys(("username", "full_name", "institution"), text)
    fields["data"] = {"type": "object", "properties": shown}
    body = {"type": "object", "properties": fields}
    found["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return found


def _logout() -> Json:
    found = _simple("auth", "logout", "Close sessions of the caller", {})
    scopes = {"type": "string", "enum": ["global", "local", "others"], "default": "global"}
    found["parameters"] = [{"name": "scope", "in": "query", "schema": scopes}]
    done = {"204": {"description": "The sessions are closed"}}
    return {**found, "responses": {**done, **errors()}}


def _operation() -> Json:
    """The paths for whoever operates the server."""
    live = _simple("operation", "live", "Whether the process runs", {JSON: {}})
    ready = _simple("operation", "ready", "Whether the database answers", {JSON: {}})
    text = {"text/plain": {"schema": {"type": "string"}}}
    metrics = _simple("operation", "metrics", "Gauges for Prometheus", text)
    return {
        "/live": {"get": {**live, "security": []}},
        "/ready": {"get": {**ready, "security": []}},
        "/metrics": {"get": metrics},
    }


def _simple(tag: str, id_: str, summary: str, content: dict[str, Any], *statuses: int) -> Json:
    """An operation that is answered with 200, or an error."""
    return {
        "tags": [tag],
        "operationId": id_,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": content or {JSON: {}}},
            **errors(*statuses),
        },
    }
