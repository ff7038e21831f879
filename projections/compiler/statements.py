"""The statements of a projection: its rows, and how they get into the table."""

from functools import cache
from typing import Any

from sqlalchemy import Delete, Select, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.dml import Insert

from quantum_forge.projections.compiler.final_values import folded_rows
from quantum_forge.projections.compiler.log import group_key, in_range, key_of, logged_by
from quantum_forge.projections.compiler.replacing import replacing_rows
from quantum_forge.projections.compiler.retention import trimming
from quantum_forge.projections.compiler.shape import Shape
from quantum_forge.projections.compiler.single import single_rows
from quantum_forge.schema.language.projection import Projection


@cache
def rows(projection: Projection, *, onto_table: bool = False, inlined: bool = False) -> Select[Any]:
    """The rows of the table after the events in (`after`, `upto`], columns in table order.

    Args:
        projection: whose rows.
        onto_table: fold the events onto the rows that the table holds, giving only the rows that
            they touch; otherwise as if there were none before.
        inlined: name no common expressions, so that a condition on the key, put around the query,
            reaches the log, and the query can stand more than once in another.
    """
    if projection.replaces:
        return replacing_rows(Shape(projection, onto_table, inlined))
    if projection.is_of_single_events:
        return single_rows(projection, composed=inlined)
    return folded_rows(Shape(projection, onto_table, inlined))


@cache
def upsert(projection: Projection) -> Insert:
    """Fold the events in (`after`, `upto`] into the table; run `delete_ended` first."""
    table = projection.table
    folded = rows(projection, onto_table=True)
    statement = insert(table).from_select(
        [column.name for column in folded.selected_columns], folded
    )
    if projection.replaces:
        # Whatever these rows replace was deleted before.
        return statement
    key = list(table.primary_key.columns)
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={
            column.name: statement.excluded[column.name]
            for column in folded.selected_columns
            if column.name not in table.primary_key.columns
        },
    )


@cache
def insert_all(projection: Projection) -> Insert:
    """Fill the empty table with the fold of the events in (`after`, `upto`]."""
    folded = rows(projection)
    return insert(projection.table).from_select(
        [column.name for column in folded.selected_columns], folded
    )


@cache
def delete_trimmed(projection: Projection) -> Delete | None:
    """Delete the rows that retention in (`after`, `upto`] leaves behind, if it can."""
    return trimming(projection) if projection.retained else None


@cache
def delete_ended(projection: Projection) -> Delete | None:
    """Delete the rows that events in (`after`, `upto`] end; None when no event can."""
    enders = frozenset(projection.events) if projection.replaces else projection.ends
    if not enders:
        return None
    names = group_key(projection) if projection.replaces else list(projection.key)
    logged = logged_by(projection)
    ended = (
        select(
            logged.c.tenant_id,
            *(key_of(projection, name, logged).label(name) for name in names),
        )
        .where(*in_range(logged, sorted(enders)))
        .distinct()
        .subquery("ended")
    )
    table = projection.table
    return delete(table).where(
        table.c.tenant_id == ended.c.tenant_id, *(table.c[name] == ended.c[name] for name in names)
    )
