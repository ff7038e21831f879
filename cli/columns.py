"""Rows of read models on the screen: short and rounded for people, whole and exact in a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table

from cli import console

SHOWN_DIGITS = 8
"""Digits of an id that people get to see, and may type."""


class Shown(NamedTuple):
    """A column of a list. `decimals`: that people get to see of a number."""

    name: str
    decimals: int | None = None


def table(
    columns: Sequence[Shown], rows: Iterable[Mapping[str, Any]], *, title: str | None = None
) -> None:
    """Print some columns of rows below their names."""
    console.table(
        [column.name for column in columns],
        ([_shown(row[column.name], column) for column in columns] for row in rows),
        right=[column.name for column in columns if column.decimals is not None],
        title=title,
    )


def record(row: Mapping[str, Any], of: Table, *, title: str | None = None) -> None:
    """Print what is known of one row: column, value, and what the column means, with its unit."""
    console.table(
        ("column", "value", "meaning"),
        (
            (column.name, row[column.name], column.comment)
            for column in of.columns
            if row[column.name] is not None and column.name != "tenant_id"
        ),
        title=title,
    )


def _shown(value: object, column: Shown) -> object:
    if not console.is_terminal():
        return value
    if isinstance(value, UUID):
        return str(value)[:SHOWN_DIGITS]
    if isinstance(value, float) and column.decimals is not None:
        return f"{value:.{column.decimals}f}"
    return value
