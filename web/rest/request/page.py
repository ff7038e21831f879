"""Pages: which rows of a table a request asks for, and how its reply tells which they are."""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from msgspec import Struct

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.grammar import MOST, range_error
from quantum_forge.web.rest.request.query import Level

_RANGE = re.compile(r"(?:items=)?([0-9]{1,18})-([0-9]{0,18})", re.ASCII)


class Page(Struct, frozen=True, kw_only=True):
    """Rows of a table by their places, from 0.

    asked: rows at most, as the request has it; None: all. limit: the same, but not more than a page
    may have.
    """

    offset: int
    asked: int | None
    limit: int | None

    def may_be_capped(self, rows: int) -> bool:
        """Whether a page of so many rows may lack some that were asked for."""
        return self.limit is not None and self.limit != self.asked and rows >= self.limit

    def is_capped(self, total: int) -> bool:
        """Whether the page lacks rows that were asked for, of so many that there are."""
        if self.limit is None or self.limit == self.asked:
            return False
        return min(self.asked or MOST, total - self.offset) > self.limit


def page_of(level: Level, range_: str | None, max_rows: int | None) -> Page:
    """Return the page for which limit, offset and the Range header ask together.

    Raises:
        RestError: PGRST103, for a Range that ends before it begins, or has no row in common with
            limit and offset.
    """
    first, end = level.offset, None if level.limit is None else level.offset + level.limit
    found = None if range_ is None else _RANGE.fullmatch(range_.strip())
    if found is not None:
        low = int(found[1])
        high = None if not found[2] else int(found[2])
        if high is not None and high < low:
            raise range_error(
                "The lower boundary must be lower than or equal to the upper boundary in the Range"
                " header."
            )
        first = max(first, low)
        if high is not None:
            end = high + 1 if end is None else min(end, high + 1)
        if end is not None and end <= first and level.limit != 0:
            raise range_error("The Range header and limit and offset have no row in common.")
    asked = None if end is None else max(0, end - first)
    limits = [limit for limit in (asked, max_rows) if limit is not None]
    return Page(offset=min(first, MOST), asked=asked, limit=min(limits, default=None))


def content_range(offset: int, rows: int, total: int | None) -> str:
    """Return the value of Content-Range."""
    shown = f"{offset}-{offset + rows - 1}" if rows else "*"
    return f"{shown}/{'*' if total is None else total}"


def range_status(offset: int, rows: int, total: int | None) -> int:
    """Return the status of a page.

    Raises:
        RestError: PGRST103, for an offset beyond the last row.
    """
    if total is None:
        return 200
    if offset > total:
        raise beyond_rows(offset, total)
    return 206 if rows < total else 200


def beyond_rows(offset: int, total: int) -> RestError:
    """Return the error for an offset beyond the last row."""
    return range_error(
        f"An offset of {offset} was requested, but there are only {total} rows.",
        {"Content-Range": f"*/{total}"},
    )


def content_location(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return the value of Content-Location: the path, and the query string sorted by key."""
    return _address(path, sorted(pairs, key=lambda pair: pair[0]))


def next_page(path: str, pairs: Sequence[tuple[str, str]], place: str) -> str:
    """Return the address of the page behind a place."""
    others = [(key, value) for key, value in pairs if key not in ("after", "offset")]
    return _address(path, [*others, ("after", place)])


def _address(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    query = urlencode(pairs, quote_via=quote, safe="*,()!:.>-")
    where = quote(path, safe="/")
    return f"{where}?{query}" if query else where
