"""A molecular geometry: atomic numbers and positions in Å."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Self

import msgspec

BOHR_ANGSTROM = 0.529177210903  # CODATA 2018

Position = tuple[float, float, float]

_SYMBOLS = """X
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba
La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
# Index = atomic number; 0 is a dummy atom.
ELEMENTS: tuple[str, ...] = tuple(_SYMBOLS.split())
ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(ELEMENTS) if number}


FARTHEST = 100_000.0
"""Å from the origin along an axis; beyond it a position is wrong."""


def refuse_position(index: int, position: Position) -> None:
    """Raise ValueError for a position of atom `index` (from 1) that is not finite or too far."""
    if not all(math.isfinite(value) for value in position):
        raise ValueError(f"atom {index} has a position that is not finite")
    if max(map(abs, position)) > FARTHEST:
        raise ValueError(f"atom {index} is more than {FARTHEST:,.0f} Å from the origin")


class Geometry(msgspec.Struct, frozen=True, dict=True):
    """Atoms in the order in which they were given; one position in Å for each atomic number.

    `isotopes` has a mass number for each atom, 0 for the natural mixture; it is empty where no
    isotope was given. An energy does not depend on it, the identity of a molecule does.
    """

    numbers: tuple[int, ...]
    positions: tuple[Position, ...]
    isotopes: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def of(cls, symbols: Iterable[str], positions: Iterable[Position]) -> Self:
        """Make a geometry of element symbols in any case; KeyError for what is no element."""
        numbers = tuple([ATOMIC_NUMBERS[symbol.capitalize()] for symbol in symbols])
        return cls(numbers, tuple(positions))

    def elements(self) -> tuple[str, ...]:
        """Return one element symbol per atom."""
        return tuple([ELEMENTS[number] for number in self.numbers])

    def composition(self) -> Counter[int]:
        """Return how many atoms there are of each atomic number."""
        return Counter(self.numbers)

    def xyz_text(self, comment: str = "") -> str:
        """Return the geometry as an XYZ file, positions in Å with ten decimals."""
        fields: list[object] = [None] * (4 * len(self))
        fields[::4] = self.elements()
        for column, values in enumerate(zip(*self.positions, strict=True), start=1):
            fields[column::4] = values
        # One format for all atoms: geometries are hashed by the million.
        body = ("%-2s %17.10f %17.10f %17.10f\n" * len(self)) % tuple(fields)
        # One geometry, one text: what rounds to zero has no sign.
        return f"{len(self)}\n{comment}\n" + body.replace("-0.0000000000", " 0.0000000000")

    @cached_property
    def xyz_sha256(self) -> str:
        """The SHA-256 (hexadecimal) of `xyz_text()` with an empty comment."""
        return hashlib.sha256(self.xyz_text().encode()).hexdigest()
