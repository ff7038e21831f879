"""Rows of read models: rounded on a terminal, exact in a pipe."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table

from quantum_forge.cli.show import console

SHOWN_DIGITS = 8
"""Digits of an id that people get to see, and may type; more where two rows begin alike."""

LONGEST_TEXT = 120
"""Characters that people get to see of what a program printed."""


WIDE = 120
"""Characters of a terminal from which on it shows columns that are `extra`."""

WIDEST = 160
"""Characters of a terminal from which on it shows every column."""


class Shown(NamedTuple):
    """A column of a list.

    decimals: that people get to see of a number. label: what they read above it, with its unit.
    long: may be folded. extra: left out on a terminal below WIDE; widest: below WIDEST. null: what
    a terminal shows for a missing value.
    """

    name: str
    decimals: int | None = None
    label: str | None = None
    long: bool = False
    extra: bool = False
    widest: bool = False
    null: str | None = None

    @property
    def from_width(self) -> int:
        """Characters of a terminal from which on it is shown."""
        return WIDEST if self.widest else WIDE if self.extra else 0


def table(
    columns: Sequence[Shown], rows: Iterable[Mapping[str, Any]], *, title: str | None = None
) -> None:
    """Print some columns of rows below their names."""
    if console.is_terminal():
        width = shutil.get_terminal_size().columns
        columns = [column for column in columns if column.from_width <= width]
    headers = [
        column.label if column.label is not None and console.is_terminal() else column.name
        for column in columns
    ]
    if console.is_terminal():
        rows = list(rows)
        digits = {each.name: _distinct_digits(row[each.name] for row in rows) for each in columns}
    else:
        digits = {}
    console.table(
        headers,
        (
            [_shown(row[column.name], column, digits.get(column.name)) for column in columns]
            for row in rows
        ),
        right=[
            header
            for header, column in zip(headers, columns, strict=True)
            if column.decimals is not None
        ],
        whole=[header for header, column in zip(headers, columns, strict=True) if not column.long],
        title=title,
    )


def record(row: Mapping[str, Any], of: Table, *, title: str | None = None) -> None:
    """Print what is known of one row: column, value, and what the column means, with its unit."""
    console.table(
        ("column", "value", "meaning"),
        (
            (column.name, _cell(row[column.name]), column.comment)
            for column in of.columns
            if row[column.name] is not None and column.name != "tenant_id"
        ),
        whole=["column"],
        title=title,
    )


def local(time: datetime) -> str:
    """A time by the clock on the wall, to the second."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _distinct_digits(values: Iterable[object]) -> int:
    """The number of digits that distinguish the ids: ids made within a minute begin alike."""
    ids = {str(value) for value in values if isinstance(value, UUID)}
    lengths = (SHOWN_DIGITS, 13, 18, 23)  # where a group of digits ends
    return next((n for n in lengths if len({id_[:n] for id_ in ids}) == len(ids)), 36)


def _shown(value: object, column: Shown, digits: int | None) -> object:
    if not console.is_terminal():
        return value
    if value is None:
        return column.null
    if isinstance(value, UUID):
        return str(value)[:digits]
    if isinstance(value, float) and column.decimals is not None:
        return f"{value:.{column.decimals}f}"
    return _cell(value)


def _cell(value: object) -> object:
    if not console.is_terminal():
        return value
    if isinstance(value, datetime):
        return local(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value
