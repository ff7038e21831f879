"""Output on a terminal as tables, in a pipe as plain text, for programs as JSON.

Data goes to stdout. Notes, errors and progress go to stderr.
"""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO, Any, Protocol
from uuid import UUID

import click
import msgspec

from quantum_forge.cli.show.fitting import Measured, fit


class Report(Protocol):
    """Tells a progress display what happened."""

    def __call__(self, more: int, failures: int = 0) -> None:
        """So many more are done, and so many of them failed."""


PLAIN_PROGRESS_EVERY = 5.0
"""Seconds between two lines of progress without a terminal."""


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Return whether a person sees the stream, which is stdout unless given."""
    return (stream or sys.stdout).isatty()


def emit(text: str, *, label: str = "") -> None:
    """Print lines of data: to a program as they are, on a terminal with their controls escaped.

    `label` is put before them as it is, with its colours.
    """
    click.echo(label + (harmless(text) if is_terminal() else text))


def emit_json(value: Any) -> None:
    """Print a value, Structs included, as JSON: indented on a terminal, else on one line."""
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
    encoded = msgspec.json.encode(plain, order="deterministic")
    if is_terminal():
        click.echo(_escaped_json(msgspec.json.format(encoded).decode()))
    else:
        click.echo(encoded)


def emit_json_line(value: Any) -> None:
    """Print one of many values as one line of JSON, its fields in the order of declaration."""
    text = msgspec.json.encode(value, enc_hook=_plain).decode()
    click.echo(_escaped_json(text) if is_terminal() else text)


def emit_id(id_: UUID, *, as_json: bool) -> None:
    """Print the id of what a command has created."""
    if as_json:
        emit_json({"id": id_})
    else:
        emit(str(id_))


def _plain(value: object) -> object:
    """Return what to encode instead of a value: the value of encoded JSON, the text of a str."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise NotImplementedError(f"{type(value).__qualname__} is not JSON")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    title: str | None = None,
    is_one_of_several: bool = False,
    ranks: Sequence[int] | None = None,
    most_lines: int | None = None,
) -> list[str]:
    """Print rows below their columns: ruled on a terminal, tab-separated with a header in a pipe.

    A terminal gets no line that is longer than it is wide: texts are folded, columns left out, and
    where not even the columns of rank 0 fit side by side, each field has a line of its own.

    Args:
        columns: their headers.
        rows: their values, in the order of the columns.
        right: the columns that are set flush right, such as numbers, and never folded.
        whole: those that stay on one line, too.
        title: of the table, for a terminal.
        is_one_of_several: whether the command prints other tables, too: a pipe then gets the title
            as a line `# title` before the header.
        ranks: of each column, 0 unless given; see `quantum_forge.cli.show.fitting.Measured`.
        most_lines: of one cell; what is longer is cut, and ends with an ellipsis.

    Returns:
        The headers of the columns that were left out.
    """
    if not is_terminal():
        if title is not None and is_one_of_several:
            emit(f"# {printable(title)}")
        for values in (columns, *rows):
            row(values)
        return []

    from rich.cells import cell_len

    headers = [printable(column) for column in columns]
    cells = [[printable(cell(value)) for value in values] for values in rows]
    measured = [
        Measured(
            header=cell_len(header),
            widest=max((cell_len(values[at]) for values in cells), default=0),
            rank=0 if ranks is None else ranks[at],
            folds=header not in right and header not in whole,
        )
        for at, header in enumerate(headers)
    ]
    width = terminal_width()
    widths = fit(measured, width)
    if widths is None:
        _records(headers, cells, width, title)
        return []
    _ruled(headers, cells, widths, right=right, title=title, most_lines=most_lines)
    return [header for at, header in enumerate(headers) if at not in widths]


def terminal_width() -> int:
    """Return the number of characters in a line of the terminal."""
    return shutil.get_terminal_size().columns


def _ruled(
    headers: Sequence[str],
    cells: Sequence[Sequence[str]],
    widths: Mapping[int, int],
    *,
    right: Collection[str],
    title: str | None,
    most_lines: int | None,
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    ruled = Table(title=title and Text(printable(title)), title_justify="left", header_style="bold")
    for at, width in widths.items():
        header = headers[at]
        ruled.add_column(
            Text(header),
            justify="right" if header in right else "left",
            width=width,
            overflow="fold",
        )
    for values in cells:
        # Text, for in a string rich would take the brackets of a SMILES for its markup.
        ruled.add_row(
            *(
                Text(values[at] if most_lines is None else cut(values[at], most_lines * width))
                for at, width in widths.items()
            )
        )
    Console(width=terminal_width()).print(ruled)


def _records(
    headers: Sequence[str], cells: Sequence[Sequence[str]], width: int, title: str | None
) -> None:
    """Print one field in a line, folded below itself; what is empty is left out."""
    from rich.cells import cell_len, chop_cells

    label = min(max(map(cell_len, headers), default=0), max(1, width // 2))
    room = max(1, width - label - 2)
    for number, values in enumerate(cells, 1):
        click.echo(f"─ {title or 'row'} {number} ".ljust(min(width, 40), "─")[:width])
        for header, value in zip(headers, values, strict=True):
            for at, line in enumerate(chop_cells(value, room)):
                shown = cut(header, label) if at == 0 else ""
                click.echo(f"{shown}{' ' * (label - cell_len(shown))}  {line}".rstrip())


def aligned(text: str, width: int, *, right: bool = False) -> str:
    """Return a text of exactly so many characters of a terminal: padded, or cut."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def cut(text: str, length: int) -> str:
    """Return a text, with an ellipsis at its end where it is longer than so many characters."""
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"


def row(values: Iterable[object]) -> None:
    """Print one row, tab-separated, as `table` does in a pipe: for tables without an end."""
    click.echo("\t".join(printable(cell(value)) for value in values))


def cell(value: object) -> str:
    """Return a value as it stands in a table: nothing for None, times to the second, else JSON."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case dict() | list():
            return msgspec.json.encode(value, enc_hook=str).decode()
        case _:
            return str(value)


def note(text: str) -> None:
    """Tell the person something that is not data; its control characters are escaped."""
    click.echo(harmless(text), err=True)


def error(text: str) -> None:
    """Say in one line what went wrong."""
    label = click.style("Error:", fg="red", bold=True)
    click.echo(f"{label} {printable(' '.join(text.split()))}", err=True)


def progress(
    label: str, total: int, *, counts_failures: bool = True
) -> contextlib.AbstractContextManager[Report]:
    """Show how far a job is, with rate, time left and failures; a line now and then in a pipe."""
    show = _bar if is_terminal(sys.stderr) else _lines
    return show(label, total, counts_failures=counts_failures)


@contextlib.contextmanager
def _lines(label: str, total: int, *, counts_failures: bool) -> Iterator[Report]:
    began = shown = time.monotonic()
    done = failed = 0

    def line() -> None:
        rate = done / max(time.monotonic() - began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        failures = f"{failed} failed, " if counts_failures else ""
        note(f"{label}: {done}/{total}, {failures}{rate:.1f}/s{left}")

    def report(more: int, failures: int = 0) -> None:
        nonlocal done, failed, shown
        done, failed = done + more, failed + failures
        if time.monotonic() - shown >= PLAIN_PROGRESS_EVERY and done < total:
            shown = time.monotonic()
            line()

    try:
        yield report
    finally:
        line()


@contextlib.contextmanager
def _bar(label: str, total: int, *, counts_failures: bool) -> Iterator[Report]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn("{task.fields[failed]} failed")] if counts_failures else []),
        TextColumn("{task.fields[rate]:.1f}/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    began = time.monotonic()
    failed = 0
    with bar:
        task = bar.add_task(escape(printable(label)), total=total, failed=0, rate=0.0)

        def report(more: int, failures: int = 0) -> None:
            nonlocal failed
            failed += failures
            done = bar.tasks[0].completed + more
            rate = done / max(time.monotonic() - began, 1e-9)
            bar.update(task, advance=more, failed=failed, rate=rate)

        yield report


def printable(text: str) -> str:
    """Return text whose control characters can neither break a row nor command a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def harmless(text: str) -> str:
    """Return lines of text whose control characters, other than tabs, cannot command a terminal."""
    if text.isprintable():
        return text
    return "\n".join(
        "\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n")
    )


def _escaped_json(text: str) -> str:
    """Return the same JSON, equal in value, that cannot command a terminal or reorder its text."""
    return "".join(
        character if character == "\n" or character.isprintable() else json.dumps(character)[1:-1]
        for character in text
    )
