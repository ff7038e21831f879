"""A request that reads, and its reply, as whatever serves HTTP passes them on."""

from collections.abc import Iterator, Sequence

from msgspec import Struct


class ReadRequest(Struct, frozen=True, kw_only=True):
    """A GET or HEAD request for the rows of a table.

    Args:
        table: the name in the path, decoded.
        pairs: names and values of the query string, decoded, in their order.
        path: of the request, as Content-Location repeats it.
        is_head: whether only status and headers are asked for.
        accept: the Accept header; several are joined by commas.
        prefer: the Prefer headers.
        range_: the Range header.
        if_none_match: the If-None-Match header.
        anonymous: whether it came without credentials.
        max_rows: rows of a page at most; None for no limit. A page that is cut says so: 206, and
            the number of all rows.
        plans: whether the plan of a query may be asked for.
        aggregates: whether a request may use functions over groups of rows.
        hidden: tables that it may neither read nor embed.
    """

    table: str
    pairs: Sequence[tuple[str, str]] = ()
    path: str = ""
    is_head: bool = False
    accept: str | None = None
    prefer: Sequence[str] = ()
    range_: str | None = None
    if_none_match: str | None = None
    anonymous: bool = False
    max_rows: int | None = None
    plans: bool = False
    aggregates: bool = True
    hidden: frozenset[str] = frozenset()


class ReadReply(Struct, frozen=True, kw_only=True):
    """A reply, which may be written as it comes.

    body: all of it, or its parts in order, for which the connection must stay in its transaction
    until the last is taken. Empty for HEAD.
    """

    status: int
    headers: dict[str, str]
    body: bytes | Iterator[bytes]


class WriteRequest(Struct, frozen=True, kw_only=True):
    """A request that changes rows of a table: POST, PATCH, PUT or DELETE.

    Args:
        method: of HTTP.
        table: the name in the path, decoded.
        pairs: names and values of the query string, decoded, in their order.
        body: as it was sent.
        accept: the Accept header; several are joined by commas.
        prefer: the Prefer headers.
        content_type: of the body; CSV is read where rows are inserted, and JSON elsewhere.
        max_seconds: that one statement may take.
        idempotency_key: a text that the client repeats when it sends a request again.
    """

    method: str
    table: str
    pairs: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    accept: str | None = None
    prefer: Sequence[str] = ()
    content_type: str | None = None
    max_seconds: float = 30.0
    idempotency_key: str | None = None


class WriteReply(Struct, frozen=True, kw_only=True):
    """A reply to a request that writes."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
