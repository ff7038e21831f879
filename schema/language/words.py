"""Search by words: the columns of a table that are searched, and the index that serves it.

The configuration is `simple`: words in lower case, none left out and none cut down to its stem.
That of a language would leave out NO, In, As and I as stop words, and cut the names of compounds to
stems. Who looks for convergence and converged alike writes the beginning of the word.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Index,
    Table,
    Text,
    any_,
    cast,
    func,
    literal,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import REGCLASS, REGCONFIG, TSVECTOR

CONFIGURATION = "simple"
"""The text search configuration of every index."""

LONGEST_SEARCHED = 50_000
"""Characters of a text that are searched: the words of a longer one may have no room in a tsvector
(1 MB), and the row would be refused."""

_SUFFIX = "_words_idx"


def searched(table: str, *columns: str) -> Index:
    """The index by which these columns of a table are searched by words; a table has one at most.

    Each column is an expression of one GIN index, which serves any of them.
    """
    return Index(
        f"{table}{_SUFFIX}",
        *(
            text(f"to_tsvector('{CONFIGURATION}', left({each}, {LONGEST_SEARCHED}))")
            for each in columns
        ),
        postgresql_using="gin",
        info={"searched": columns},
    )


def searched_columns(table: Table) -> tuple[str, ...]:
    """The columns of a table that an index serves when they are searched by words."""
    found = [index.info["searched"] for index in table.indexes if "searched" in index.info]
    return tuple(found[0]) if found else ()


def words_of(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The words of a text as the index has them."""
    # As literals: PostgreSQL compares the expression with that of the index.
    beginning = func.left(value, literal_column(str(LONGEST_SEARCHED)))
    return func.to_tsvector(configuration(), beginning, type_=TSVECTOR)


def configuration() -> ColumnElement[Any]:
    """The text search configuration, as functions of PostgreSQL take it."""
    return literal_column(f"'{CONFIGURATION}'", REGCONFIG)


def where_words_are(
    table: Table, source: FromClause, columns: Sequence[str], query: ColumnElement[Any]
) -> ColumnElement[bool]:
    """The condition that a row is one of those that the index of words finds, for any role.

    Args:
        table: with its searched columns.
        source: the table or an alias of it.
        columns: of which one has the words.
        query: a tsquery.
    """
    # Row-level security hides the index from a role that sees one tenant; the function reads it.
    name = cast(literal(table.name, Text()), REGCLASS)
    found = [select(func.rows_with_words(name, column, query).label("place")) for column in columns]
    places = func.array(union_all(*found).scalar_subquery())
    # As PostgreSQL writes it: the place of a row is no column that a table declares.
    place: ColumnElement[Any] = literal_column(f"{source.name}.ctid")  # type: ignore[attr-defined]
    return place == any_(places)
