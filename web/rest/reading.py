"""Answers to requests that read."""

import itertools
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from sqlalchemy import Connection, Select, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.driver_sql import driver_sql
from quantum_forge.eventstore.log.place import BeyondHead
from quantum_forge.moments import WrongMoment, position_of
from quantum_forge.projections.history.moment import BeforeLog
from quantum_forge.web.rest.csv_body import cell, csv_body, is_text
from quantum_forge.web.rest.errors import RestError, from_database
from quantum_forge.web.rest.exchange import ReadReply, ReadRequest
from quantum_forge.web.rest.request.grammar import parse
from quantum_forge.web.rest.request.media import Form, Media, parse_accept
from quantum_forge.web.rest.request.page import (
    Page,
    beyond_rows,
    content_location,
    content_range,
    page_of,
    range_status,
)
from quantum_forge.web.rest.request.preferences import (
    READING,
    Preferences,
    applied,
    invalid_preferences,
    parse_preferences,
)
from quantum_forge.web.rest.request.query import Query
from quantum_forge.web.rest.statements.branches import Branch, branches
from quantum_forge.web.rest.statements.counting import count_of, estimated, explain, is_estimated
from quantum_forge.web.rest.statements.statement import Compiler, Statements
from quantum_forge.web.rest.statements.tables import readable

VARY = "Accept, Prefer, Range"

_CHUNK_BYTES = 2**18
_FIRST_ROWS = 100
_MOST_ROWS = 5_000
"""Lines are fetched so that a chunk has about as many bytes, whatever a row has."""

_CURSORS = itertools.count(1)

_SET_ZONE = text("SELECT set_config('timezone', :zone, true)")


def read(connection: Connection, request: ReadRequest) -> ReadReply:
    """Answer a GET or HEAD request.

    Args:
        connection: in a transaction of the caller's, whose role and tenant decide what is seen. It
            must see what is committed (READ COMMITTED) where the request asks for the past.
        request: what is asked for.

    Raises:
        RestError: for a request that cannot be answered, or that the database refuses.
    """
    try:
        return _read(connection, request)
    except (QuantumForgeError, SQLAlchemyError, psycopg.Error) as error:
        raise from_database(error, anonymous=request.anonymous) from error


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A request with everything that follows from it."""

    connection: Connection
    request: ReadRequest
    media: Media
    preferences: Preferences
    page: Page
    statements: Statements


def _read(connection: Connection, request: ReadRequest) -> ReadReply:
    table = readable(request.table)
    query = parse(request.pairs)
    media = parse_accept(request.accept, plans=request.plans)
    preferences = _with_zone(connection, parse_preferences(request.prefer))
    root = branches(table, query)
    page = _page(request, media, root)
    compiler = Compiler(position=_position(connection, query), aggregates=request.aggregates)
    statements = compiler.compile(
        root, limit=page.limit, offset=page.offset, stripped=media.stripped
    )
    reading = _Reading(
        connection=connection,
        request=request,
        media=media,
        preferences=preferences,
        page=page,
        statements=statements,
    )
    match media.form:
        case Form.PLAN:
            plan = explain(connection, statements.documents, media.options)
            return _reply(reading, 200, msgspec.json.encode(plan))
        case Form.LINES:
            return _lines(reading)
        case Form.OBJECT:
            return _object(reading)
    return _rows(reading)


def _page(request: ReadRequest, media: Media, root: Branch) -> Page:
    range_ = None if request.is_head else request.range_
    # Lines are written as they come: nothing limits how many.
    max_rows = None if media.form is Form.LINES else request.max_rows
    return page_of(root.level, range_, max_rows)


def _position(connection: Connection, query: Query) -> int | None:
    """The position of the log whose rows are asked for; None: the present ones."""
    if query.as_of is None:
        return None
    try:
        return position_of(connection, query.as_of)
    except WrongMoment as error:
        raise RestError(
            400,
            "PGRST100",
            f'"failed to parse as_of ({query.as_of})" (line 1, column 1)',
            details=str(error),
        ) from error
    except (BeforeLog, BeyondHead) as error:
        raise RestError(400, "22023", str(error)) from error


def _with_zone(connection: Connection, preferences: Preferences) -> Preferences:
    """The preferences as they can be honoured, with times written in the zone asked for."""
    zone = preferences.timezone
    if zone is None:
        return preferences
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        if preferences.is_strict:
            raise invalid_preferences([f"timezone={zone}"]) from None
        return msgspec.structs.replace(preferences, timezone=None)
    connection.execute(_SET_ZONE, {"zone": zone})
    return preferences


# Replies


def _rows(reading: _Reading) -> ReadReply:
    """All rows of the page at once, as JSON or CSV."""
    page, connection = reading.page, reading.connection
    count = reading.preferences.count
    estimates = is_estimated(connection, count)
    counts = count is not None and not estimates
    if reading.request.is_head:
        rows, body, total = _counted(reading, counts)
    elif reading.media.form is Form.CSV:
        rows, body, total = _csv(reading, counts)
    else:
        rows, body, total = _json(reading, counts)
    if estimates:
        assert count is not None
        total = estimated(connection, reading.statements.matched, count, reading.request.max_rows)
        if page.offset <= total < page.offset + rows:
            total = page.offset + rows
    if page.may_be_capped(rows) and (total is None or estimates):
        every = connection.execute(count_of(reading.statements.matched)).scalar_one()
        if page.is_capped(every):
            total = every
    status = range_status(page.offset, rows, total)
    ranged = {"Content-Range": content_range(page.offset, rows, total)}
    return _reply(reading, status, body, ranged)


def _counted(reading: _Reading, counts: bool) -> tuple[int, bytes, int | None]:
    rows = reading.statements.documents.subquery("page")
    found = reading.connection.execute(
        _totalled(select(func.count()).select_from(rows), reading, counts)
    ).one()
    return found[0], b"", found[1] if counts else None


def _json(reading: _Reading, counts: bool) -> tuple[int, bytes, int | None]:
    rows = reading.statements.documents.subquery("page")
    query = select(func.count(), func.string_agg(rows.c.document, ",\n"))
    found = reading.connection.execute(_totalled(query, reading, counts)).one()
    body = f"[{found[1] or ''}]".encode()
    return found[0], body, found[2] if counts else None


def _totalled(query: Select[Any], reading: _Reading, counts: bool) -> Select[Any]:
    if not counts:
        return query
    return query.add_columns(count_of(reading.statements.matched).scalar_subquery())


def _csv(reading: _Reading, counts: bool) -> tuple[int, bytes, int | None]:
    columns = reading.statements.columns
    values = list(columns.selected_columns)
    cells = columns.with_only_columns(*(cell(value) for value in values))
    rows = reading.connection.execute(cells).all() if values else []
    total = None
    if counts:
        total = reading.connection.execute(count_of(reading.statements.matched)).scalar_one()
    texts = [is_text(value) for value in values]
    keys = [output.key for output in reading.statements.outputs]
    return len(rows), csv_body(keys, texts, rows), total


def _object(reading: _Reading) -> ReadReply:
    """The only row there is."""
    page = reading.page
    query = reading.statements.documents
    asked = page.limit
    two = query.limit(2) if asked is None or asked > 2 else query
    found = reading.connection.execute(two).scalars().all()
    total = None
    if reading.preferences.count is not None or len(found) > 1:
        total = reading.connection.execute(count_of(reading.statements.matched)).scalar_one()
    if len(found) != 1:
        rows = len(found)
        if total is not None and page.offset > total:
            raise beyond_rows(page.offset, total)
        if rows > 1 and total is not None:
            rows = min(total - page.offset, asked or total)
        raise RestError(
            406,
            "PGRST116",
            "Cannot coerce the result to a single JSON object",
            details=f"The result contains {rows} rows",
        )
    if reading.preferences.count is None:
        total = None
    status = range_status(page.offset, 1, total)
    ranged = {"Content-Range": content_range(page.offset, 1, total)}
    return _reply(reading, status, str(found[0]).encode(), ranged)


def _lines(reading: _Reading) -> ReadReply:
    """Every row as a line, written as they come."""
    headers = {}
    if reading.preferences.count is not None:
        query = count_of(reading.statements.matched)
        headers["Content-Range"] = f"*/{reading.connection.execute(query).scalar_one()}"
    if reading.request.is_head:
        return _reply(reading, 200, b"", headers)
    return _reply(reading, 200, _stream(reading), headers)


def _stream(reading: _Reading) -> Iterator[bytes]:
    """Begin to read lines, so that what the database refuses is known before the first one.

    The cursor ends with the transaction, whether all of it was read or not.
    """
    driver = reading.connection.connection.dbapi_connection
    assert isinstance(driver, psycopg.Connection)
    sql, parameters = driver_sql(reading.statements.documents)
    name = f"lines_{next(_CURSORS)}"
    driver.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}", parameters)
    return _chunks(driver, name, _fetched(driver, name, _FIRST_ROWS))


def _chunks(
    driver: "psycopg.Connection[tuple[Any, ...]]", name: str, rows: list[tuple[Any, ...]]
) -> Iterator[bytes]:
    while rows:
        chunk = "".join([f"{document}\n" for (document,) in rows]).encode()
        yield chunk
        fitting = len(rows) * _CHUNK_BYTES // len(chunk)
        rows = _fetched(driver, name, max(1, min(_MOST_ROWS, fitting)))


def _fetched(
    driver: "psycopg.Connection[tuple[Any, ...]]", name: str, rows: int
) -> list[tuple[Any, ...]]:
    return driver.execute(f"FETCH {rows} FROM {name}").fetchall()


def _reply(
    reading: _Reading,
    status: int,
    body: bytes | Iterator[bytes],
    more: dict[str, str] | None = None,
) -> ReadReply:
    request, preferences = reading.request, reading.preferences
    headers = {
        "Content-Type": reading.media.content_type,
        "Content-Location": content_location(request.path, request.pairs),
        "Vary": VARY,
        **(more or {}),
    }
    if (honoured := applied(preferences, READING)) is not None:
        headers["Preference-Applied"] = honoured
    return ReadReply(status=status, headers=headers, body=b"" if request.is_head else body)
