"""Answers to requests that read."""

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Connection, Select, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.place import BeyondHead
from quantum_forge.moments import WrongMoment, position_of
from quantum_forge.projections.history.moment import BeforeLog
from quantum_forge.web.rest.csv_body import cell, csv_body, is_text
from quantum_forge.web.rest.entity_tag import entity_tag, is_known
from quantum_forge.web.rest.errors import RestError, denied, from_database
from quantum_forge.web.rest.exchange import ReadReply, ReadRequest
from quantum_forge.web.rest.request.grammar import parse
from quantum_forge.web.rest.request.media import Form, Media, parse_accept
from quantum_forge.web.rest.request.page import (
    Page,
    beyond_rows,
    content_location,
    content_range,
    next_page,
    page_of,
    range_status,
)
from quantum_forge.web.rest.request.preferences import (
    READING,
    Preferences,
    applied,
    parse_preferences,
    with_known_zone,
)
from quantum_forge.web.rest.request.query import Query
from quantum_forge.web.rest.shared import Pages, shared_reply
from quantum_forge.web.rest.statements.branches import Branch, branches
from quantum_forge.web.rest.statements.compiler import Compiler
from quantum_forge.web.rest.statements.counting import count_of, estimated, explain, is_estimated
from quantum_forge.web.rest.statements.keyset import token_of
from quantum_forge.web.rest.statements.statements import Statements
from quantum_forge.web.rest.statements.table_state import state_of, table_names
from quantum_forge.web.rest.statements.tables import readable
from quantum_forge.web.rest.stream import stream

VARY = "Accept, Prefer, Range"
CACHE = "private, no-cache"
"""Others see other rows under the same address; who has some asks by their tag."""


SET_ZONE = text("SELECT set_config('timezone', :zone, true)")


def read(connection: Connection, request: ReadRequest, pages: Pages | None = None) -> ReadReply:
    """Answer a GET or HEAD request.

    Args:
        connection: in a transaction of the caller's, whose role and tenant decide what is seen. It
            must see what is committed (READ COMMITTED) where the request asks for the past.
        request: what is asked for.
        pages: that were read before; None: every page is read.

    Raises:
        RestError: for a request that cannot be answered, or that the database refuses.
    """
    try:
        return _read(connection, request, pages)
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
    state: Select[str] | None
    """The query for what the entity tag is made of; None: the reply has no tag."""


def _read(connection: Connection, request: ReadRequest, pages: Pages | None) -> ReadReply:
    table = readable(request.table)
    query = parse(request.pairs)
    media = parse_accept(request.accept, plans=request.plans)
    preferences = _with_zone(connection, parse_preferences(request.prefer))
    root = branches(table, query)
    for name in sorted(root.tables & request.hidden):
        raise denied(name, anonymous=request.anonymous)
    page = _page(request, media, root)
    position = _position(connection, query)
    compiler = Compiler(position=position, aggregates=request.aggregates)
    statements = compiler.compile(
        root,
        limit=page.limit,
        offset=page.offset,
        stripped=media.stripped,
        after=query.after,
    )
    reading = _Reading(
        connection=connection,
        request=request,
        media=media,
        preferences=preferences,
        page=page,
        statements=statements,
        state=None if (names := table_names(root)) is None else state_of(names, position),
    )
    if media.is_streamed or request.is_head or media.form is Form.PLAN or _is_rough(reading):
        pages = None
    known = request.if_none_match
    if (known is not None or pages is not None) and media.form is not Form.PLAN:
        tag = _tag(reading)
        if tag is not None and known is not None and is_known(tag, known):
            return _reply(reading, 304, b"", tag=tag)
        if tag is not None and pages is not None:
            return shared_reply(pages, request, tag, lambda: _answered(reading))
    return _answered(reading)


def _is_rough(reading: _Reading) -> bool:
    """Whether the reply has a number that follows from statistics, which have no state."""
    return reading.preferences.count not in (None, "exact")


def _answered(reading: _Reading) -> ReadReply:
    media, connection, statements = reading.media, reading.connection, reading.statements
    if media.is_streamed:
        return _streamed(reading)
    match media.form:
        case Form.PLAN:
            plan = explain(connection, statements.documents, media.options)
            return _reply(reading, 200, msgspec.json.encode(plan))
        case Form.OBJECT:
            return _object(reading)
    return _rows(reading)


def _page(request: ReadRequest, media: Media, root: Branch) -> Page:
    range_ = None if request.is_head else request.range_
    # What is written as it comes takes no more memory for more rows.
    max_rows = None if media.is_streamed else request.max_rows
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
    preferences = with_known_zone(preferences)
    if preferences.timezone is not None:
        connection.execute(SET_ZONE, {"zone": preferences.timezone})
    return preferences


# Replies


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page as the database gives it.

    total: the number of all rows; None, unless it was asked for. state: see `state_of`.
    last: the place of the last row, if places are asked for.
    """

    rows: int
    body: bytes
    total: int | None
    state: str | None
    last: str | None = None


def _rows(reading: _Reading) -> ReadReply:
    """All rows of the page at once, as JSON or CSV."""
    page, connection = reading.page, reading.connection
    count = reading.preferences.count
    estimates = is_estimated(connection, count)
    counts = count is not None and not estimates
    find = _csv if reading.media.form is Form.CSV and not reading.request.is_head else _json
    found = find(reading, counts)
    rows, total = found.rows, found.total
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
    if found.last is not None and rows == page.limit:
        request = reading.request
        following = next_page(request.path, request.pairs, token_of(found.last))
        ranged["Link"] = f'<{following}>; rel="next"'
    return _reply(reading, status, found.body, ranged, tag=_tag_of(reading, found.state))


def _json(reading: _Reading, counts: bool) -> _Found:
    """The page as JSON, its count and its state as of one snapshot."""
    statements = reading.statements
    rows = (statements.documents if statements.placed is None else statements.placed).subquery(
        "page"
    )
    query: Select[Any] = select(func.count().label("rows"))
    if not reading.request.is_head:
        query = query.add_columns(func.string_agg(rows.c.document, ",\n").label("body"))
    if statements.placed is not None:
        query = query.add_columns(func.array_agg(rows.c.place).label("places"))
    query = query.select_from(rows)
    if counts:
        total = count_of(reading.statements.matched).scalar_subquery()
        query = query.add_columns(total.label("total"))
    if reading.state is not None:
        query = query.add_columns(reading.state.scalar_subquery().label("state"))
    found = reading.connection.execute(query).mappings().one()
    places = found.get("places") or [None]
    return _Found(
        rows=found["rows"],
        body=f"[{found.get('body') or ''}]".encode(),
        total=found.get("total"),
        state=found.get("state"),
        last=places[-1],
    )


def _csv(reading: _Reading, counts: bool) -> _Found:
    state = _state(reading)
    columns = reading.statements.columns
    values = list(columns.selected_columns)
    cells = columns.with_only_columns(*(cell(value) for value in values))
    rows = reading.connection.execute(cells).all() if values else []
    total = None
    if counts:
        total = reading.connection.execute(count_of(reading.statements.matched)).scalar_one()
    texts = [is_text(value) for value in values]
    keys = [output.key for output in reading.statements.outputs]
    return _Found(rows=len(rows), body=csv_body(keys, texts, rows), total=total, state=state)


def _object(reading: _Reading) -> ReadReply:
    """The only row there is."""
    page = reading.page
    tag = _tag(reading)
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
    return _reply(reading, status, str(found[0]).encode(), ranged, tag=tag)


def _streamed(reading: _Reading) -> ReadReply:
    """Every row, written as they come."""
    tag = _tag(reading)
    headers = {}
    if reading.preferences.count is not None:
        query = count_of(reading.statements.matched)
        headers["Content-Range"] = f"*/{reading.connection.execute(query).scalar_one()}"
    if reading.request.is_head:
        return _reply(reading, 200, b"", headers, tag=tag)
    body = stream(reading.connection, reading.statements, reading.media.form)
    return _reply(reading, 200, body, headers, tag=tag)


def _reply(
    reading: _Reading,
    status: int,
    body: bytes | Iterator[bytes],
    more: dict[str, str] | None = None,
    *,
    tag: str | None = None,
) -> ReadReply:
    request = reading.request
    headers = {
        "Content-Type": reading.media.content_type,
        "Content-Location": content_location(request.path, request.pairs),
        "Vary": VARY,
        "Cache-Control": CACHE,
        **(more or {}),
    }
    if (honoured := applied(reading.preferences, READING)) is not None:
        headers["Preference-Applied"] = honoured
    if tag is not None:
        headers["ETag"] = tag
    return ReadReply(status=status, headers=headers, body=b"" if request.is_head else body)


# Entity tags: read before the rows, unless with them, so that a tag is never newer than its rows


def _tag(reading: _Reading) -> str | None:
    return _tag_of(reading, _state(reading))


def _state(reading: _Reading) -> str | None:
    return None if reading.state is None else reading.connection.execute(reading.state).scalar_one()


def _tag_of(reading: _Reading, state: str | None) -> str | None:
    if state is None:
        return None
    request = reading.request
    applies = applied(reading.preferences, READING) or ""
    form = (reading.media.content_type, applies, request.range_ or "", str(request.max_rows))
    return entity_tag(state, form)
