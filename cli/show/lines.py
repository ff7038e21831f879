"""Rows of a table without an end, one line each, as they come."""

from collections.abc import Mapping, Sequence
from typing import Any

from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.fitting import remaining

REST = 20
"""Characters that the last column gets at least."""

GAP = 2
"""Blanks between two columns."""


class Lines:
    """Prints rows below their columns at once: aligned for people, tab-separated in a pipe.

    A line is as long as the terminal is wide, at most: columns that do not fit are left out, those
    of the largest rank first, and what is longer than its column ends with an ellipsis.

    Args:
        shown: the columns; the last one takes what is left of the line.
        widths: characters that each of the others needs, since no row is known yet.
    """

    def __init__(self, shown: Sequence[Shown], widths: Mapping[str, int]) -> None:
        self._columns = columns.chosen(shown)
        self._widths = {each.name: widths.get(each.name, REST) for each in shown}
        if console.is_terminal():
            self._leave_out(console.terminal_width())

    def header(self) -> None:
        """Print the names of the columns."""
        if console.is_terminal():
            self._print([column.header for column in self._columns])
        else:
            console.row([column.name for column in self._columns])

    def row(self, row: Mapping[str, Any]) -> None:
        """Print one row."""
        values = [columns.shown(row[each.name], each) for each in self._columns]
        if console.is_terminal():
            self._print([console.printable(console.cell(value)) for value in values])
        else:
            console.row(values)

    def _leave_out(self, width: int) -> None:
        ranks = [each.rank for each in self._columns]
        widths = [self._widths[each.name] for each in self._columns]
        kept = remaining(ranks, widths, width, needed=_needed)
        self._columns = [self._columns[at] for at in kept]
        spare = width - _needed([widths[at] for at in kept])
        if kept and spare > 0:
            self._widths[self._columns[-1].name] += spare

    def _print(self, cells: Sequence[str]) -> None:
        line = (" " * GAP).join(
            console.aligned(text, self._widths[each.name], right=each.decimals is not None)
            for text, each in zip(cells, self._columns, strict=True)
        )
        console.emit(console.cut(line.rstrip(), console.terminal_width()))


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
