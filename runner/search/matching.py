"""Whether a molecule has a substructure, in bounded time.

The work of a match grows exponentially with the size of the SMARTS where many atoms look alike: a
chain of 30 carbon atoms in a fullerene takes hours, and nothing interrupts RDKit. So RDKit counts
on where that may happen: it asks, before it places each atom, whether it may go on.
"""

import time
from typing import Final

from rdkit import Chem

SECONDS: Final = 0.5
"""For one molecule at most."""

_EASY: Final = 200_000
"""Partial matches that RDKit makes in some tenths of a second; there are fewer as a rule."""

_FOUR_OR_MORE: Final = Chem.MolFromSmarts("[D{4-}]")
_FIVE_OR_MORE: Final = Chem.MolFromSmarts("[D{5-}]")
"""Atoms with so many neighbours."""


class Undecided(Exception):
    """Whether a molecule has the substructure was not found out in time."""


class Matcher:
    """Looks for one substructure in molecules, one after the other.

    Args:
        query: the substructure.
        smarts: the text that it was read from.
    """

    def __init__(self, query: Chem.Mol, smarts: str) -> None:
        self._query = query
        self._size: int = query.GetNumAtoms()
        # Parts that are not connected are placed anywhere; recursive ones have atoms of their own.
        self._is_plain = "$" not in smarts and len(Chem.GetMolFrags(query)) == 1
        self._until = 0.0
        self._guarded = Chem.SubstructMatchParameters()
        if hasattr(self._guarded, "setExtraAtomCheckFunc"):  # RDKit before that cannot be stopped
            self._guarded.setExtraAtomCheckFunc(self._may_go_on)

    def matches(self, mol: Chem.Mol, deadline: float) -> bool:
        """Return whether a molecule has the substructure.

        Args:
            mol: to look in.
            deadline: by `time.monotonic`.

        Raises:
            Undecided: when that takes longer than `SECONDS`, or than until the deadline.
        """
        if self._is_easy(mol):
            return bool(mol.HasSubstructMatch(self._query))
        self._until = min(deadline, time.monotonic() + SECONDS)
        return bool(mol.HasSubstructMatch(self._query, self._guarded))

    def _is_easy(self, mol: Chem.Mol) -> bool:
        """Whether there are few ways to place the atoms, each beside one that is placed already."""
        if self._size == 1 or not self._is_plain:
            return self._is_plain
        # By a match, as asking atom by atom takes longer than most searches.
        if mol.HasSubstructMatch(_FIVE_OR_MORE):
            return False
        return self._ways(mol, 4) <= _EASY or (
            self._ways(mol, 3) <= _EASY and not mol.HasSubstructMatch(_FOUR_OR_MORE)
        )

    def _ways(self, mol: Chem.Mol, degree: int) -> int:
        atoms: int = mol.GetNumAtoms()
        return int(atoms * degree * (degree - 1) ** (self._size - 2))

    def _may_go_on(self, _: Chem.Atom, __: Chem.Atom) -> bool:
        if time.monotonic() > self._until:
            raise Undecided
        return True
