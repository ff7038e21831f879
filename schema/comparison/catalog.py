"""Catalog of a database: every object of its schema, with the SQL that makes and drops it."""

from collections.abc import Mapping
from importlib.resources import files

import msgspec
from sqlalchemy import Connection, text

KINDS = (
    "schema",
    "sequence",
    "table",
    "column",
    "options",
    "ownership",
    "function",
    "aggregate",
    "constraint",
    "index",
    "view",
    "trigger",
    "row security",
    "policy",
    "revoked",
    "grant",
    "comment",
)
"""The kinds of objects, in the order in which they are made."""


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a migration makes: a table, an index, a grant, a comment.

    owner: key of the object that takes it along when it is dropped.
    signature: of a function; one with another signature cannot take its place.
    """

    kind: str
    name: str
    owner: str | None
    made: str
    dropped: str
    signature: str

    @property
    def key(self) -> str:
        """Its kind and name, which no other object of the database has."""
        return f"{self.kind} {self.name}"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table; `formula` where the database computes it from others of the row."""

    table: str
    name: str
    type: str
    required: bool
    default: str | None
    formula: str | None

    @property
    def key(self) -> str:
        """As that of an object."""
        return f"column {self.table}.{self.name}"

    @property
    def declared(self) -> str:
        """The column as in CREATE TABLE."""
        parts = [self.name, self.type]
        if self.formula is not None:
            parts.append(f"GENERATED ALWAYS AS ({self.formula}) STORED")
        if self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        if self.required:
            parts.append("NOT NULL")
        return " ".join(parts)


class Catalog(msgspec.Struct, frozen=True):
    """The schema of a database: objects by key in the order of creation, columns by table.

    needs: keys of the objects that a table, view or function cannot be without.
    """

    objects: Mapping[str, Object]
    columns: Mapping[str, tuple[Column, ...]]
    needs: Mapping[str, frozenset[str]]


def read_catalog(connection: Connection) -> Catalog:
    """Return the catalog of a database, without partitions and the table of the revision."""
    connection.execute(text("SET LOCAL search_path = public"))
    found = [msgspec.convert(dict(row), Object) for row in _rows(connection, "catalog")]
    columns: dict[str, tuple[Column, ...]] = {}
    for row in _rows(connection, "columns"):
        column = msgspec.convert(dict(row), Column)
        columns[column.table] = (*columns.get(column.table, ()), column)
    needs: dict[str, frozenset[str]] = {}
    for row in _rows(connection, "needs"):
        key, needed = str(row["key"]), str(row["needed"])
        needs[key] = needs.get(key, frozenset()) | {needed}
    return Catalog({each.key: each for each in found}, columns, needs)


def differing(one: Catalog, other: Catalog) -> list[str]:
    """Return what differs, by key, and each table whose columns are in another order."""
    objects = one.objects.keys() | other.objects.keys()
    tables = one.columns.keys() | other.columns.keys()
    return sorted(
        {key for key in objects if one.objects.get(key) != other.objects.get(key)}
        | {f"table {name}" for name in tables if one.columns.get(name) != other.columns.get(name)}
    )


def _rows(connection: Connection, name: str) -> list[Mapping[str, object]]:
    sql = (files(__package__) / f"{name}.sql").read_text("utf-8")
    result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
    return [dict(row) for row in result.mappings()]
