"""Time travel: a projection's rows as they were at any position of the log, as a selectable."""

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    Table,
    exists,
    literal,
    literal_column,
    select,
)
from sqlalchemy.sql import visitors

from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.dead_letters import sparing
from quantum_forge.projections.project.checkpoint import fingerprint, read_checkpoints
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs


def as_of(projection: Projection, position: int, name: str | None = None) -> Subquery:
    """The rows that the table holds when every event up to a position is folded in.

    Composes like the table: `select(past).where(past.c.gap > 1).join(…)`, with its columns in its
    order. It reads the log, never the table. Conditions on the key reach the log, so that the past
    of one row costs the events of that row where an index leads to them.

    Args:
        projection: whose rows.
        position: at or below the safe head, or rows can still change;
            `quantum_forge.projections.history.moment` finds that of a time.
        name: the alias in SQL, to tell two positions apart; the projection's name unless given.
    """
    return rows_at(projection, position).subquery(name or projection.name)


def rows_at(projection: Projection, position: int) -> Select[Any]:
    """What `as_of` selects, as a query of its own."""
    folded = folded_at(projection, position)
    if folded.selected_columns.keys() == projection.table.columns.keys():
        return folded
    given = folded.subquery(projection.name)
    return select(*whole_row(projection.table, given)).select_from(given)


def table_or_rows_at(connection: Connection, projection: Projection, position: int) -> FromClause:
    """The table, if it holds the rows of this position now, else a fold of the log.

    Both have the same rows (incremental = rebuilt) and the same columns. What the table holds can
    change from one statement to the next: read it in the same REPEATABLE READ transaction, which
    must have begun after the position became safe.
    """
    checkpoint = read_checkpoints(connection).get(projection.name)
    if checkpoint is not None and checkpoint.fingerprint == fingerprint(projection):
        low, high = sorted((checkpoint.position, position))
        differs = select(
            exists().where(
                event_logs.c.id > low,
                event_logs.c.id <= high,
                event_logs.c.event_type.in_(list(projection.events)),
            )
        )
        if low == high or not connection.execute(differs).scalar_one():
            return projection.table
    return as_of(projection, position)


def whole_row(table: Table, given: FromClause) -> list[ColumnElement[Any]]:
    """A table's columns over what folds give of them, with those that the database computes."""
    return [
        given.c[column.name]
        if column.computed is None
        else literal_column(f"({column.computed.sqltext})", column.type).label(column.name)
        for column in table.columns
    ]


# Putting the bounds in takes longer than the query of a small table: pages of one past, and a proof
# that is repeated, ask for the same.
@lru_cache(maxsize=64)
def folded_at(projection: Projection, position: int) -> Select[Any]:
    """The columns of `rows_at` that are stored, in the order in which statements insert them."""
    return _bounded(compiler.rows(sparing(projection), inlined=True), position)


def _bounded(query: Select[Any], position: int) -> Select[Any]:
    """The query with the bounds as values, since parameters would clash where it stands twice."""
    bounds = {
        compiler.AFTER: literal(0, compiler.AFTER.type),
        compiler.UPTO: literal(position, compiler.UPTO.type),
    }
    bound = visitors.replacement_traverse(query, {}, lambda element, **_: bounds.get(element))
    assert isinstance(bound, Select)
    return bound
