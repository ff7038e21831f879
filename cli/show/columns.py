"""Rows of read models: rounded on a terminal, exact in a pipe."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import click
import msgspec
from sqlalchemy import Column, Table

from quantum_forge.cli.show import console
from quantum_forge.cli.show.view import View, current_view
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.schema.language.table import unit_of

SHOWN_DIGITS = 8
"""Digits of an id that people get to see, and may type; more where two rows begin alike."""

LONGEST_TEXT = 120
"""Characters that people get to see of what a program printed."""

WITH_MEANINGS = 120
"""Characters of a terminal from which on the view of a row says what each column means: in a narrow
one each meaning takes several lines."""

_NOTED = "qforge.noted"

LINES = 3
"""Lines of one cell that people get to see in a list."""


class Shown(NamedTuple):
    """A column of a list.

    decimals: that people get to see of a number. label: what they read above it, with its unit.
    long: may be folded. rank: 0 for a column that a terminal always shows; of the others, those
    with the largest rank are left out first where it is too narrow. null: what a terminal shows for
    a missing value. setting: what rows were computed with: where they differ in it, only rank 0
    comes before it.
    """

    name: str
    decimals: int | None = None
    label: str | None = None
    long: bool = False
    rank: int = 0
    null: str | None = None
    setting: bool = False

    @property
    def header(self) -> str:
        """What stands above it."""
        return self.label if self.label is not None and console.is_terminal() else self.name


def table(
    columns: Sequence[Shown], rows: Iterable[Mapping[str, Any]], *, title: str | None = None
) -> None:
    """Print rows below the names of columns: those that were asked for, or all in a pipe.

    A terminal shows the columns that fit, and those that are empty in every row only where they
    were asked for; a note names the columns that did not fit. `title` is given where the command
    prints several tables; a pipe gets it, too.
    """
    columns = chosen(columns)
    digits: dict[str, int] = {}
    if console.is_terminal():
        rows = list(rows)
        if current_view() == View():
            columns = [each for each in columns if each.rank == 0 or not _is_empty(each, rows)]
            columns = _differing_first(columns, rows)
        digits = {each.name: _distinct_digits(row[each.name] for row in rows) for each in columns}
    headers = [column.header for column in columns]
    left_out = console.table(
        headers,
        (
            [shown(row[column.name], column, digits.get(column.name)) for column in columns]
            for row in rows
        ),
        right=[
            header
            for header, column in zip(headers, columns, strict=True)
            if column.decimals is not None
        ],
        whole=[header for header, column in zip(headers, columns, strict=True) if not column.long],
        title=title,
        is_one_of_several=title is not None,
        ranks=[column.rank for column in columns],
        most_lines=LINES,
    )
    if left_out:
        note = f"Not shown: {', '.join(left_out)}. --wide shows every column."
        console.note(textwrap.fill(note, console.terminal_width(), break_on_hyphens=False))


def _differing_first(columns: Sequence[Shown], rows: Sequence[Mapping[str, Any]]) -> list[Shown]:
    """Rank the settings in which rows differ before all other columns that can be left out."""
    differing = {
        each.name for each in columns if each.setting and len({row[each.name] for row in rows}) > 1
    }
    if not differing:
        return list(columns)
    return [
        each
        if each.rank == 0
        else each._replace(rank=1 if each.name in differing else each.rank + 1)
        for each in columns
    ]


def chosen(columns: Sequence[Shown]) -> list[Shown]:
    """Return the columns that were asked for, or all of them."""
    view = current_view()
    if view.columns:
        return [_named(columns, name)._replace(rank=0) for name in view.columns]
    return [column._replace(rank=0) if view.wide else column for column in columns]


def _named(columns: Sequence[Shown], name: str) -> Shown:
    for column in columns:
        if name in (column.name, column.label):
            return column
    known = [column.name for column in columns]
    close = suggestion(name, known, otherwise="")
    meant = f"{close} " if close else ""
    raise click.BadParameter(
        f"no column {name!r}; {meant}there are {', '.join(known)}", param_hint="--columns"
    )


def _is_empty(column: Shown, rows: Iterable[Mapping[str, Any]]) -> bool:
    return column.null is None and all(row[column.name] is None for row in rows)


def record(row: Mapping[str, Any], of: Table, *, title: str | None = None) -> None:
    """Print what is known of one row: column, value, and what the column means, with its unit.

    A narrow terminal gets the unit alone, behind the value, unless --wide was asked for.
    """
    known = [
        column
        for column in of.columns
        if row[column.name] is not None and column.name != "tenant_id"
    ]
    explains = (
        not console.is_terminal()
        or current_view().wide
        or console.terminal_width() >= WITH_MEANINGS
    )
    console.table(
        ("column", "value", "meaning") if explains else ("column", "value"),
        (
            (column.name, _cell(row[column.name]), column.comment)
            if explains
            else (column.name, _measured(row[column.name], column))
            for column in known
        ),
        whole=["column"],
        title=title,
        is_one_of_several=title is not None,
    )
    if not explains:
        _note_once("Not shown: what each column means; --wide shows it.")


def _measured(value: object, column: Column[Any]) -> str:
    """What people get to see of a value, with its unit."""
    return f"{console.cell(_cell(value))} {unit_of(column) or ''}".rstrip()


def _note_once(text: str) -> None:
    """Print a note, once in a command, at its end."""
    context = click.get_current_context()
    if _NOTED not in context.meta:
        context.meta[_NOTED] = True
        context.call_on_close(lambda: console.note(text))


def local(time: datetime) -> str:
    """A time by the clock on the wall, to the second."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _distinct_digits(values: Iterable[object]) -> int:
    """The number of digits that distinguish the ids: ids made within a minute begin alike."""
    ids = {str(value) for value in values if isinstance(value, UUID)}
    lengths = (SHOWN_DIGITS, 13, 18, 23)  # where a group of digits ends
    return next((n for n in lengths if len({id_[:n] for id_ in ids}) == len(ids)), 36)


def shown(value: object, column: Shown, digits: int | None = None) -> object:
    """Return what a list shows of a value; digits: of an id, all unless given."""
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
    if isinstance(value, dict | list):
        value = msgspec.json.encode(value, enc_hook=str).decode()
    return console.cut(value, LONGEST_TEXT) if isinstance(value, str) else value
