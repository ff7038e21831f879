"""The statements of one request."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, cast, literal

from quantum_forge.web.rest.statements.joined import Source
from quantum_forge.web.rest.statements.outputs import Output
from quantum_forge.web.rest.statements.tables import Readable


class Statements:
    """The statements of a request.

    Args:
        cut: the rows of the reply, with nothing selected of them yet.
        matched: as many rows as there are without limits.
        document: the JSON of a row.
        outputs: makes the values of a row, where a reply asks for them one by one.
        place: where a row is in the order; None, where it is not asked for.
    """

    def __init__(
        self,
        cut: Select[Any],
        matched: Select[Any],
        document: ColumnElement[Any],
        outputs: Callable[[], Sequence[Output]],
        place: ColumnElement[str] | None = None,
    ) -> None:
        self._cut = cut
        self._outputs = outputs
        self.matched = matched
        self.documents = cut.add_columns(cast(document, Text()).label("document"))
        """One column, the JSON of a row as text."""
        self.placed = None if place is None else self.documents.add_columns(place.label("place"))
        """The same, with the place of each row in the order."""

    @cached_property
    def outputs(self) -> Sequence[Output]:
        """The values of a row under their keys."""
        return self._outputs()

    @property
    def columns(self) -> Select[Any]:
        """A column for each of the outputs."""
        values = [each.expression.label(f"c{place}") for place, each in enumerate(self.outputs)]
        return self._cut.add_columns(*values)


def every(table: Readable, source: Source) -> list[Output]:
    """Return the columns of a table that requests may name."""
    return [Output(key=name, value=source.c[name]) for name in table.columns]


def cut_to(query: Select[Any], limit: int | None, offset: int) -> Select[Any]:
    """Restrict a query to a page."""
    if limit is not None:
        query = query.limit(literal(limit, BigInteger()))
    if offset:
        query = query.offset(literal(offset, BigInteger()))
    return query
