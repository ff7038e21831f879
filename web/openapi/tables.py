"""Paths of the tables: what each can be asked, and by which events it is written."""

from typing import Any

from sqlalchemy import Column

from quantum_forge.schema.language.writing import WRITINGS, Writing
from quantum_forge.web.openapi.components import JSON, PARAMETERS, STREAMS, Json, errors, headers
from quantum_forge.web.rest.statements.relations import relations_from
from quantum_forge.web.rest.statements.tables import Readable
from quantum_forge.web.tables import OF_THE_LOG

OBJECT = "application/vnd.pgrst.object+json"
STRIPPED = "application/vnd.pgrst.array+json;nulls=stripped"

_PAGE = {
    "Content-Range": "First and last row, and how many there are if that was asked for: `0-9/*`",
    "Content-Location": "The path with its query, sorted by name",
    "Preference-Applied": "The preferences that were honoured",
    "ETag": "Of the rows: the same as long as no event has changed a table of the request",
    "Link": "With `after`: the next page",
}
_READ = (
    "limit",
    "offset",
    "after",
    "as_of",
    "and",
    "or",
    "not.and",
    "not.or",
    "Range",
    "IfNoneMatch",
    "PreferRead",
)
_SUMMARIES = {
    "post": "Record new rows of {table}",
    "put": "Record a row of {table}, new or changed",
    "patch": "Record changes of rows of {table}",
    "delete": "Record that rows of {table} end",
}


def table_path(table: Readable) -> Json:
    """Return the operations of a table."""
    read = _read(table)
    operations: Json = {"get": read}
    writing = WRITINGS.get(table.name)
    if writing is not None:
        for method in writing.methods:
            operations[method.lower()] = _write(table, writing, method.lower())
    return operations


def _read(table: Readable) -> Json:
    rows = _reply("Rows", rows_of(table), _PAGE)
    only = " Only admins may read it." if table.name in OF_THE_LOG else ""
    return {
        "tags": [table.name],
        "operationId": f"read_{table.name}",
        "summary": f"Read {table.name}",
        "description": f"{table.table.comment or 'A view'}.{only} HEAD returns the headers alone.",
        "parameters": [_select(table), _order(table), *_filters(table), *map(_reference, _READ)],
        "responses": {
            "200": rows,
            "206": {**rows, "description": "A part of the rows; Content-Range says of how many"},
            "304": {"description": "The client has these rows, by If-None-Match"},
            **errors(300, 400, 406, 416),
        },
    }


def rows_of(table: Readable) -> Json:
    """Return the rows of a table in every media type that it is read in."""
    row = {"$ref": f"#/components/schemas/{table.name}"}
    several = {"type": "array", "items": row}
    return {
        JSON: {"schema": several},
        OBJECT: {"schema": row},
        STRIPPED: {"schema": several},
        "text/csv": {"schema": {"type": "string"}},
        **{media: {} for media in STREAMS},
    }


def _write(table: Readable, writing: Writing, method: str) -> Json:
    row = {"$ref": f"#/components/schemas/{table.name}"}
    changed = {OBJECT: {"schema": row}, JSON: {"schema": {"type": "array", "items": row}}}
    events, columns = _recorded(writing, method)
    told = f"Recorded as {' or '.join(f'`{event}`' for event in events)}."
    if columns:
        told += f" Columns: {', '.join(f'`{name}`' for name in columns)}."
    names = ["PreferWrite", "IdempotencyKey"]
    if method == "post":
        names += ["columns", "on_conflict"]
    operation: Json = {
        "tags": [table.name],
        "operationId": f"{method}_{table.name}",
        "summary": _SUMMARIES[method].format(table=table.name),
        "description": told,
        "parameters": [_select(table), *map(_reference, names)],
        "responses": {
            "200": _reply("The rows, with return=representation", changed, {}),
            "201": _reply("Recorded; the rows, with return=representation", changed, {}),
            "204": {"description": "Recorded"},
            **errors(400, 405, 406, 409, 413),
        },
        "x-events": events,
    }
    if method in ("post", "patch", "put"):
        bodies = {"anyOf": [row, {"type": "array", "items": row}]} if method == "post" else row
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": bodies}}}
    else:
        del operation["responses"]["201"]
    if method != "post":
        operation["parameters"] += _filters(table)
    return operation


def _recorded(writing: Writing, method: str) -> tuple[list[str], tuple[str, ...]]:
    """The event types by which a method changes a table, and the columns that it may set."""
    updates = [event.event_type for event in writing.updates]
    inserts = [] if writing.insert is None else [writing.insert.event_type]
    match method:
        case "post":
            return inserts, writing.insertable
        case "patch":
            return updates, writing.updatable
        case "put":
            return [*inserts, *updates], writing.insertable
    return [] if writing.delete is None else [writing.delete.event_type], ()


def _reply(description: str, content: Json, described: dict[str, str]) -> Json:
    return {"description": description, "headers": headers(described), "content": content}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def _select(table: Readable) -> Json:
    related = sorted({relation.target for relation in relations_from(table.name)})
    told = (
        "Columns, with `alias:column::type`, JSON paths, aggregates, and related tables in"
        f" parentheses: {', '.join(related) or 'it has none'}"
    )
    return _text("select", told, str(table.columns[0]))


def _order(table: Readable) -> Json:
    told = "Columns, each with `.asc` or `.desc` and `.nullsfirst` or `.nullslast`"
    return _text("order", told, f"{table.columns[-1]}.desc")


def _text(name: str, description: str, example: str) -> Json:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


def filter_parameters(table: Readable) -> Json:
    """Return a parameter for each column, which may be there more than once, by their names."""
    return {
        f"{table.name}.{name}": _filter(table.table.c[name]) for name in _filtered_columns(table)
    }


def _filters(table: Readable) -> list[Json]:
    return [_reference(f"{table.name}.{name}") for name in _filtered_columns(table)]


def _filtered_columns(table: Readable) -> list[str]:
    taken = {"select", "order", *PARAMETERS}
    return [name for name in table.columns if name not in taken]


def _filter(column: Column[Any]) -> Json:
    return {
        "name": str(column.name),
        "in": "query",
        "description": f"OPERATOR.VALUE, such as `eq.…`: {column.comment or column.name}",
        "schema": {"type": "array", "items": {"type": "string"}},
        "example": ["not.is.null"],
    }
