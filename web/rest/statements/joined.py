"""A table with the embedded relations that are joined to each of its rows."""

from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, FromClause, Select, Table, true
from sqlalchemy.sql.selectable import NamedFromClause

from quantum_forge.web.rest.request.query import Order

Source: TypeAlias = NamedFromClause[Any]
"""A table under a name of a statement, or what stands for it."""


@lru_cache(maxsize=1_000)
def aliased(table: Table, name: str) -> Source:
    """Return a table under a name; once, since its columns take longer than the rest of a page."""
    return table.alias(name)


class Joined:
    """A source, and the embedded relations that are joined to each of its rows.

    sorting: for terms of an order by what a relation has, the column that has it.
    """

    def __init__(self, source: Source) -> None:
        self.source: FromClause = source
        self.sorting: dict[Order, ColumnElement[Any]] = {}
        self._count = 0

    def add(self, query: Select[Any], parent: Source) -> FromClause:
        """Join the rows of a query that refers to the source's."""
        self._count += 1
        lateral = query.correlate(parent).lateral(f"{parent.name}_{self._count}")
        self.source = self.source.outerjoin(lateral, true())
        return lateral
