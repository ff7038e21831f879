"""Pairs of atoms in blocks: all at once could take GB, and one after the other takes long."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_AT_ONCE = 2**16
"""Pairs in one block; arrays of so many take some MB."""


def blocks_of_atoms(count: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the indices from 0 to `count` in blocks, each to be paired with all atoms at once."""
    atoms = np.arange(count)
    rows = max(1, _AT_ONCE // max(1, count))
    for start in range(0, count, rows):
        yield atoms[start : start + rows]
