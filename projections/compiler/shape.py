"""Shape of a folding query: projection, keys, names of subqueries."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, SelectBase, Table, and_

from quantum_forge.schema.language.projection import Projection


@dataclass(frozen=True)
class Shape:
    """A folding query in the making.

    onto_table: fold onto the rows that the table holds. inlined: name no common expressions.
    """

    projection: Projection
    onto_table: bool
    inlined: bool

    @property
    def table(self) -> Table:
        """The read model."""
        return self.projection.table

    @property
    def keys(self) -> list[str]:
        """The key columns, the tenant first."""
        return ["tenant_id", *self.projection.key]

    @property
    def types(self) -> list[str]:
        """The event types that give columns a value."""
        projection = self.projection
        return [name for name in projection.events if name not in projection.ends]

    def same_key(self, left: FromClause, right: FromClause) -> ColumnElement[bool]:
        """The condition that two relations have one key."""
        return and_(*(left.c[name] == right.c[name] for name in self.keys))

    def named(self, query: SelectBase, name: str) -> FromClause:
        """A part of the query, computed once unless it is inlined."""
        return query.subquery(name) if self.inlined else query.cte(name)
