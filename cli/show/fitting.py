"""Layout of a table on a terminal: which columns fit side by side, and how wide each is."""

from collections.abc import Sequence
from typing import NamedTuple

FOLDED = 12
"""Characters that a column of texts keeps at least when they are folded, unless it needs fewer."""

BETWEEN, EDGE = 3, 1
"""Characters of the rules and blanks: for each column, and for the table."""


class Measured(NamedTuple):
    """A column: the width of its header and of its widest cell.

    rank: 0 for a column that the table is of no use without; of the others, those with the largest
    rank are left out first. folds: whether its cells may take several lines.
    """

    header: int
    widest: int
    rank: int = 0
    folds: bool = False

    @property
    def most(self) -> int:
        """The width with which nothing is folded."""
        return max(self.header, self.widest)

    @property
    def least(self) -> int:
        """The width below which the column cannot be read."""
        return max(self.header, min(self.widest, FOLDED)) if self.folds else self.most


def fit(columns: Sequence[Measured], width: int) -> dict[int, int] | None:
    """Return the columns that fit, by index in their order, with their widths.

    None when not even those of rank 0 fit. Columns of equal rank are left out from the right. What
    is left of the width goes to the columns that fold, the narrowest first.
    """
    kept = list(range(len(columns)))
    while _needed([columns[at].least for at in kept]) > width:
        last = max(kept, key=lambda at: (columns[at].rank, at), default=None)
        if last is None or columns[last].rank == 0:
            return None
        kept.remove(last)
    widths = {at: columns[at].least for at in kept}
    spare = width - _needed(list(widths.values()))
    growing = sorted(kept, key=lambda at: columns[at].most - columns[at].least)
    for done, at in enumerate(growing):
        more = min(columns[at].most - widths[at], spare // (len(growing) - done))
        widths[at] += more
        spare -= more
    return widths


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + BETWEEN * len(widths) + EDGE
