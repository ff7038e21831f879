"""Reading whole tables, to compare them."""

from typing import Any

from sqlalchemy import Connection, Select, select

from quantum_forge.schema.language.projection import Projection

Rows = dict[tuple[Any, ...], dict[str, Any]]


def table_rows(connection: Connection, projection: Projection) -> Rows:
    """The rows of a projection's table by key, without what PostgreSQL computes from the rest."""
    return folded_only(projection, whole_rows(connection, projection))


def whole_rows(connection: Connection, projection: Projection) -> Rows:
    """The rows of a projection's table by key."""
    return selected_rows(connection, projection, select(projection.table))


def folded_only(projection: Projection, rows: Rows) -> Rows:
    """The rows without what PostgreSQL computes from the rest."""
    computed = {column.name for column in projection.table.columns if column.computed is not None}
    return {
        key: {name: value for name, value in row.items() if name not in computed}
        for key, row in rows.items()
    }


def selected_rows(
    connection: Connection,
    projection: Projection,
    query: Select[Any],
    parameters: dict[str, int] | None = None,
) -> Rows:
    """The rows that a query gives, by the projection's key; twice the same key is an error."""
    rows = [dict(row) for row in connection.execute(query, parameters or {}).mappings()]
    keyed = {tuple(row[name] for name in ("tenant_id", *projection.key)): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed
