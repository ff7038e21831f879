"""Parts of the document that many paths share: parameters, replies, errors, who is let in."""

from typing import Any

Json = dict[str, Any]

JSON = "application/json"
STREAMS = (
    "application/x-ndjson",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
)
"""Media types of any number of rows, written as they come."""

SECURITY_SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of `qforge users key`, a token of /auth/v1/token, or a JSON Web"
        " Token of another issuer",
    },
    "apikey": {
        "type": "apiKey",
        "in": "header",
        "name": "apikey",
        "description": "The same, as clients of Supabase send it",
    },
}

ERROR: Json = {
    "type": "object",
    "description": "An error: all four keys are always there",
    "required": ["code", "message", "details", "hint"],
    "properties": {
        "code": {
            "type": "string",
            "description": "PGRST… as of PostgREST, QF… of this server, or a SQLSTATE",
            "examples": ["PGRST100", "42703"],
        },
        "message": {"type": "string", "description": "What is wrong"},
        "details": {"description": "Where, or in which way"},
        "hint": {"type": ["string", "null"], "description": "What to do instead"},
    },
}

_MEANINGS = {
    300: "Several relations fit what is embedded; `details` lists them",
    400: "The request cannot be understood, or a value does not fit its column",
    401: "No key or token, or one that is not valid",
    403: "The caller may not do this",
    404: "There is no such table, row or action",
    405: "No event records such a change of the table; `details` names the methods that it takes",
    406: "None of the media types in Accept is available, or one object was asked for where there"
    " is not one row",
    409: "It contradicts what is recorded: a key that exists, a rule, or another change meanwhile",
    413: "The body is larger than the server accepts",
    416: "The range begins behind the last row",
    429: "The rate or the quota of the API key is used up",
    500: "The statement took too long, or the server failed",
    503: "The database does not answer",
    504: "No connection to the database became free",
}
_HEADERS = {
    401: {"WWW-Authenticate": "What would be let in"},
    405: {"Allow": "The methods of the table"},
    416: {"Content-Range": "`*/N`: there are N rows"},
    429: {"Retry-After": "Seconds to wait"},
    503: {"Retry-After": "Seconds to wait"},
    504: {"Retry-After": "Seconds to wait"},
}

ALWAYS = (401, 403, 404, 429, 500, 503, 504)
"""Errors that any request may be answered with."""


def error_responses() -> Json:
    """Return the replies with an error, by the names under which `errors` refers to them."""
    return {
        f"Error{status}": {
            "description": meaning,
            "headers": headers(_HEADERS.get(status, {})),
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, meaning in _MEANINGS.items()
    }


def errors(*statuses: int) -> Json:
    """Return references to the errors of an operation, those of every operation included."""
    found = sorted({*ALWAYS, *statuses})
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in found}


def headers(described: dict[str, str]) -> Json:
    """Return the headers of a reply, each a text."""
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in described.items()
    }


def _query(name: str, description: str, example: Any = None, type_: str = "string") -> Json:
    found: Json = {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": type_},
    }
    return found if example is None else {**found, "example": example}


def _repeated(name: str, description: str) -> Json:
    return {**_query(name, description), "schema": {"type": "array", "items": {"type": "string"}}}


def _header(name: str, description: str, example: str | None = None) -> Json:
    found: Json = {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string"},
    }
    return found if example is None else {**found, "example": example}


PARAMETERS: Json = {
    "limit": _query("limit", "The most rows to return", 3, "integer"),
    "offset": _query("offset", "Rows to leave out first", 0, "integer"),
    "after": _query(
        "after",
        "Keyset pages: empty for the first page; `Link` in the reply is the next one",
    ),
    "as_of": _query(
        "as_of",
        "The rows as they were: a day, a time, an age such as `2h`, or a position of the log",
    ),
    "and": _repeated("and", "Conditions that must all hold: `(gap.gt.2,energy.lt.-10)`"),
    "or": _repeated("or", "Conditions of which one must hold; they nest: `(a.eq.1,and(…))`"),
    "not.and": _repeated("not.and", "Conditions that must not all hold"),
    "not.or": _repeated("not.or", "Conditions of which none may hold"),
    "Range": _header("Range", "Rows from and to, counted from 0: `0-9`", "0-9"),
    "IfNoneMatch": _header("If-None-Match", "`ETag` of rows at hand: 304 where they are the same"),
    "PreferRead": _header(
        "Prefer",
        "`count=exact|planned|estimated`, `handling=strict|lenient`, `timezone=…`",
        "count=exact",
    ),
    "PreferWrite": _header(
        "Prefer",
        "`return=representation|minimal|headers-only`, `resolution=merge-duplicates|"
        "ignore-duplicates`, `missing=default|null`, `count=exact`, `handling=strict|lenient`,"
        " `max-affected=N`, `tx=commit|rollback`",
    ),
    "IdempotencyKey": _header(
        "Idempotency-Key", "A text that a client repeats when it sends a request again"
    ),
    "columns": _query("columns", "The keys of the body that count; others are ignored"),
    "on_conflict": _query("on_conflict", "The columns of the key by which a row is there already"),
}
