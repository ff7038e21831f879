"""Grants, policies and functions that the schema declares, to compare a database with.

Read from the SQL that makes them, so that there is no second list to keep.
"""

import re
from collections.abc import Iterator
from functools import cache

import msgspec

from quantum_forge.eventstore.database.installation.roles import PURPOSES
from quantum_forge.schema.create import ddl_of
from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.migrations import VERSION_TABLE
from quantum_forge.schema.sql import OBJECTS, PRELUDE, sql_of

_BODY = re.compile(r"\$\$.*?\$\$", re.DOTALL)
_GRANT = re.compile(
    r"^GRANT ([A-Z, ]+?)(?: \((.+?)\))? ON (?:(FUNCTION|SEQUENCE|TABLE)\s+)?(.+?)\s+TO (.+?);",
    re.M | re.S,
)
_POLICY = re.compile(r"^CREATE POLICY (\w+) ON (\w+)(.*?);", re.M | re.S)
_TO = re.compile(r"\bTO ([\w, ]+?)(?= USING| WITH|$)")
_DEFINITION = re.compile(
    r"^(CREATE (FUNCTION|AGGREGATE|VIEW) (\w+)(?:\$\$.*?\$\$|--[^\n]*|[^;])*?);", re.M | re.S
)
_NAMES = re.compile(r"(\w+)(?:\([^)]*\))?")


class Grant(msgspec.Struct, frozen=True, order=True):
    """A right to a table, sequence or function; to one column: `SELECT (id)`."""

    kind: str
    name: str
    role: str
    privilege: str


class Policy(msgspec.Struct, frozen=True, order=True):
    """A row-security policy, with the statement that makes it."""

    name: str
    table: str
    roles: tuple[str, ...]
    command: str
    statement: str


@cache
def _text() -> str:
    """Every statement outside of function bodies."""
    parts = [*map(sql_of, PRELUDE), ddl_of(METADATA.sorted_tables), *map(sql_of, OBJECTS)]
    return _BODY.sub("''", "\n".join(parts))


@cache
def grants() -> frozenset[Grant]:
    """Every right that the schema grants."""
    return frozenset(_grants())


def _grants() -> Iterator[Grant]:
    # A migration grants that to the table of the revision.
    for role in PURPOSES:
        yield Grant("table", VERSION_TABLE, role, "SELECT")
    for verbs, columns, kind, objects, roles in _GRANT.findall(_text()):
        privileges = [verb.strip() for verb in verbs.split(",")]
        if columns:
            privileges = [f"{verb} ({name})" for verb in privileges for name in _names(columns)]
        for name in _names(objects):
            for role in _names(roles):
                for privilege in privileges:
                    yield Grant(kind.lower() or "table", name, role, privilege)


@cache
def policies() -> frozenset[Policy]:
    """Every policy of the schema."""
    # A migration makes that of the table which Alembic makes.
    readers = f" FOR SELECT TO {', '.join(PURPOSES)} USING (true)"
    return frozenset(
        Policy(
            name,
            table,
            tuple(sorted(_names(to[1]))) if (to := _TO.search(rest)) else ("public",),
            "SELECT" if " FOR SELECT" in rest else "ALL",
            f"CREATE POLICY {name} ON {table}{' '.join(rest.split()).join((' ', ''))}",
        )
        for name, table, rest in [
            *_POLICY.findall(_text()),
            ("every_reader", VERSION_TABLE, readers),
        ]
    )


class Definition(msgspec.Struct, frozen=True):
    """A function, aggregate or view, with the statement that makes it.

    body: the text between the dollar signs; None without any.
    """

    noun: str
    name: str
    statement: str
    body: str | None


@cache
def definitions() -> tuple[Definition, ...]:
    """Every function, aggregate and view, in the order in which they can be made."""
    return tuple(
        Definition(
            noun, name, statement, body[0][2:-2] if (body := _BODY.search(statement)) else None
        )
        for each in (*PRELUDE, *OBJECTS)
        for statement, noun, name in _DEFINITION.findall(sql_of(each))
    )


def _names(text: str) -> list[str]:
    return _NAMES.findall(text)
