"""Layout of a table on a terminal: which columns fit side by side, and how wide each is."""

from collections.abc import Callable, Sequence
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

    None when not even those of rank 0 fit. What is left of the width goes to the columns that fold,
    the narrowest first.
    """
    ranks, least = [each.rank for each in columns], [each.least for each in columns]
    kept = remaining(ranks, least, width, needed=_needed)
    widths = {at: least[at] for at in kept}
    spare = width - _needed(list(widths.values()))
    if spare < 0:
        return None
    growing = sorted(kept, key=lambda at: columns[at].most - columns[at].least)
    for done, at in enumerate(growing):
        more = min(columns[at].most - widths[at], spare // (len(growing) - done))
        widths[at] += more
        spare -= more
    return widths


def remaining(
    ranks: Sequence[int],
    widths: Sequence[int],
    width: int,
    *,
    needed: Callable[[Sequence[int]], int],
) -> list[int]:
    """Return the indices of the columns that are not left out, in their order.

    The largest rank is left out first, and columns of equal rank from the right, until the rest
    fits. Columns of rank 0 stay, whether they fit or not.

    Args:
        ranks: of the columns.
        widths: of the columns.
        width: of a line.
        needed: the width of a line with columns of such widths.
    """
    kept = list(range(len(ranks)))
    while needed([widths[at] for at in kept]) > width:
        last = max(kept, key=lambda at: (ranks[at], at), default=None)
        if last is None or ranks[last] == 0:
            break
        kept.remove(last)
    return kept


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + BETWEEN * len(widths) + EDGE
