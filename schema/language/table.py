"""How tables are declared: one MetaData, constraints named alike, a comment on every column."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

LONGEST_NAME = 48
"""Characters of a table's name: PostgreSQL cuts names after 63 bytes, and constraints, indexes and
copies add their endings."""

_NAME = re.compile(rf"[a-z_][a-z0-9_]{{0,{LONGEST_NAME - 1}}}")

METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(constraint_name)s",
    }
)

TIMESTAMP = DateTime(timezone=True)
_WORDS = "words"
_UNITS = "Eh/Bohr|Eh|eV|Debye|Å²|Å|g/mol|kcal/mol|MB|bytes|ms|s|h|e"
_IN_UNIT = re.compile(rf"\bin ({_UNITS})(?=$|[\s,;:])|, (m³/10⁶ mol)")
"""A unit where a comment of a column has it: `Total energy in Eh`."""
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def column(
    name: str,
    type_: TypeEngine[Any] | type[TypeEngine[Any]],
    comment: str,
    *,
    required: bool = False,
    secret: bool = False,
    added: bool = False,
) -> Column[Any]:
    """A column with its meaning and unit as COMMENT; NOT NULL where `required`.

    secret: a hash or a ciphertext, which `qforge_reader` may not read.
    added: by a later migration than the one that made the table; such columns stand last in it, in
    the order in which they were added.
    """
    info = {"secret": secret, "added": added}
    return Column(name, type_, nullable=not required, comment=comment, info=info)


def is_secret(column: Column[Any]) -> bool:
    """Whether a column holds a hash or a ciphertext, which no reader is shown."""
    return bool(column.info.get("secret"))


def unit_of(column: Column[Any]) -> str | None:
    """Return the unit of a column of numbers, as its comment says it."""
    if not isinstance(column.type, Numeric | Integer | Float):
        return None
    found = _IN_UNIT.search(column.comment or "")
    return None if found is None else found[1] or found[2]


def derived(
    name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], formula: str, comment: str
) -> Column[Any]:
    """A column that PostgreSQL computes from others of its row; no fold fills it."""
    given = type_ if isinstance(type_, TypeEngine) else type_()
    # Cast here, so that a query with the same formula gives a value of the same type.
    typed = f"CAST({formula} AS {given.compile(dialect=_DIALECT)})"
    return Column(name, given, Computed(typed, persisted=True), comment=comment)


def check(name: str, condition: str) -> CheckConstraint:
    """A CHECK named as a sentence: `gap_is_never_negative`."""
    return CheckConstraint(condition, name=name)


def one_of(name: str, column: str, words: Iterable[str]) -> CheckConstraint:
    """A CHECK that a column holds one of the words: an enum, or states of a lifecycle."""
    listed = list(dict.fromkeys(words))
    quoted = ", ".join(f"'{word}'" for word in listed)
    constraint = check(name, f"{column} IN ({quoted})")
    constraint.info[_WORDS] = (column, listed)
    return constraint


def words_of(column: ColumnElement[Any]) -> list[str] | None:
    """The words that a column of a table, or of a query of one, may hold; None: not limited."""
    for base in column.base_columns:
        table = getattr(base, "table", None)
        for constraint in table.constraints if isinstance(table, Table) else ():
            name, words = constraint.info.get(_WORDS, (None, None))
            if name == base.name:
                return list(words)
    return None


def either(words: Iterable[str]) -> str:
    """The words in a sentence: draft, published or withdrawn."""
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} or {last}"


def read_model(
    name: str,
    comment: str,
    key: Sequence[Column[Any]],
    *parts: Column[Any] | CheckConstraint | Index,
    metadata: bool = False,
) -> Table:
    """A table that a projection fills: tenant first in its key, times and position last.

    Args:
        name: of the table, and of the projection that fills it.
        comment: one row per what.
        key: the columns that, after `tenant_id`, identify a row.
        parts: further columns, CHECKs and indexes.
        metadata: whether it has a free JSONB column `metadata`.

    Raises:
        TypeError: when the name is taken, or cannot be the name of a table.
    """
    if not _NAME.fullmatch(name):
        raise TypeError(
            f"{name!r} cannot be the name of a table: use at most {LONGEST_NAME} lower-case "
            "letters, digits and _"
        )
    if name in METADATA.tables:
        raise TypeError(f"table {name!r} is declared twice")
    for part in key:
        part.nullable = False
    extra = (
        [column("metadata", JSONB, "Other facts of the events, as recorded")] if metadata else []
    )
    columns = [part for part in parts if isinstance(part, Column)]
    return Table(
        name,
        METADATA,
        column(
            "tenant_id",
            Uuid,
            "Tenant that owns the row: a user's own space or an organisation",
            required=True,
        ),
        *key,
        *(part for part in columns if not part.info.get("added")),
        *extra,
        column("created_at", TIMESTAMP, "Time of the row's earliest event", required=True),
        column("updated_at", TIMESTAMP, "Time of the row's latest event", required=True),
        column(
            "last_position",
            BigInteger,
            "Position of the last event folded into the row",
            required=True,
        ),
        *(part for part in columns if part.info.get("added")),
        PrimaryKeyConstraint("tenant_id", *(part.name for part in key)),
        *(part for part in parts if not isinstance(part, Column)),
        comment=comment,
        info={"read_model": True},
    )


def sorted_columns(table: Table) -> frozenset[str]:
    """Return the columns that are in a B-tree, which has room for short values only.

    What an index holds of an expression, such as a digest, does not count.
    """
    trees = [
        index
        for index in table.indexes
        if index.dialect_options["postgresql"]["using"] in (False, "btree")
    ]
    keys = [
        constraint
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
    ]
    return frozenset(column.name for each in (*trees, *keys) for column in each.columns)


def is_read_model(table: Table) -> bool:
    """Whether a projection fills the table."""
    return bool(table.info.get("read_model"))
