"""Comparison of a rebuilt table with the live one."""

from sqlalchemy import Column, Connection, MetaData, Table, func, select, text

from quantum_forge.projections.history.difference import Difference, difference
from quantum_forge.projections.rebuild.copy import onto
from quantum_forge.projections.rebuild.shadow import shadow_name
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables.log import CopyKind

EXAMPLES = 5
"""Rows that differ and are listed."""


def compare_tables(
    snapshot: Connection, projection: Projection, live: dict[str, str], new: dict[str, str]
) -> tuple[Difference, list[str], list[str]]:
    """Compare the new table with the live one, in the columns that `read_columns` found in both.

    Returns:
        The difference of their rows, and the columns that only the new and only the live one has.
    """
    common = [name for name in new if live.get(name) == new[name]]
    gained = [name for name in new if name not in common]
    lost = [name for name in live if name not in common]
    shadow = onto(projection, CopyKind.SHADOW).table
    before = Table(
        projection.name,
        MetaData(),
        *(Column(name, projection.table.c[name].type) for name in common),
    )
    after = select(*(shadow.c[name] for name in common)).subquery("after")
    key = [column.name for column in projection.table.primary_key]
    is_filled = snapshot.scalar(text(f"SELECT EXISTS (SELECT FROM {projection.name})"))
    if is_filled and not set(key) - set(common):
        return difference(snapshot, before, after, key, limit=EXAMPLES), gained, lost
    # Nothing to compare row by row: the old rows go, the new ones come.
    added, removed = (
        snapshot.scalar(select(func.count()).select_from(text(name)))
        for name in (shadow_name(projection), projection.name)
    )
    return (
        Difference(added=added or 0, removed=removed or 0, changed=0, examples=[]),
        gained,
        lost,
    )


def read_columns(
    snapshot: Connection, projection: Projection
) -> tuple[dict[str, str], dict[str, str]]:
    """The columns of the live and of the new table, with their types."""
    query = text(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    live, new = (
        {row.attname: row.type for row in snapshot.execute(query, {"name": name})}
        for name in (projection.name, shadow_name(projection))
    )
    return live, new
