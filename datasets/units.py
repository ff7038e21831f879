"""Units of what is exported: as they are stored, or converted."""

from enum import Enum
from typing import Any

import msgspec

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.runner.engines.result import HARTREE_EV
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM

# CODATA 2018, as those of the runner: https://physics.nist.gov/cuu/Constants
HARTREE_KJ_PER_MOL = 2625.4996394799
KJ_PER_KCAL = 4.184

ENERGIES = {
    "hartree": 1.0,
    "ev": HARTREE_EV,
    "kj/mol": HARTREE_KJ_PER_MOL,
    "kcal/mol": HARTREE_KJ_PER_MOL / KJ_PER_KCAL,
}
"""Value of one hartree in each unit."""

LENGTHS = {"angstrom": 1.0, "bohr": 1 / BOHR_ANGSTROM, "nm": 0.1}
"""Value of one ångström in each unit."""

_ALIASES = {"eh": "hartree", "ha": "hartree", "å": "angstrom", "a0": "bohr"}


class Quantity(Enum):
    """What a number measures, with the unit in which it is stored."""

    ENERGY = "hartree"
    ORBITAL_ENERGY = "ev"
    LENGTH = "angstrom"
    FORCE = "hartree/bohr"
    CHARGE = "e"
    DIPOLE = "debye"
    MOLAR_MASS = "g/mol"
    AREA = "angstrom^2"
    MOLAR_REFRACTIVITY = "cm^3/mol"


class UnknownUnit(QuantumForgeError):
    """A unit is asked for that is none of energy or length, or two of the same."""

    exit_status = 2

    def __init__(self, written: str, problem: str) -> None:
        self.written = written
        super().__init__(
            f"{written!r}: {problem}; give an energy ({', '.join(ENERGIES)}), a length "
            f"({', '.join(LENGTHS)}), or both with a comma between them"
        )


class Units(msgspec.Struct, frozen=True):
    """The units of energies and lengths; None leaves each number in the unit in which it is stored.

    Where one of them is given, forces are energy per length: --units ev gives eV/Å.
    """

    energy: str | None = None
    length: str | None = None

    def of(self, quantity: Quantity) -> str:
        """The unit of a quantity, as `ev`, `hartree/bohr` or `kcal/mol/angstrom`."""
        match quantity:
            case Quantity.ENERGY | Quantity.ORBITAL_ENERGY:
                return self.energy or str(quantity.value)
            case Quantity.LENGTH:
                return self.length or str(quantity.value)
            case Quantity.FORCE if self.energy or self.length:
                return f"{self.energy or 'hartree'}/{self.length or 'angstrom'}"
        return str(quantity.value)

    def factor(self, quantity: Quantity) -> float:
        """Factor by which a stored number is multiplied."""
        match quantity:
            case Quantity.ENERGY:
                return ENERGIES[self.of(quantity)]
            case Quantity.ORBITAL_ENERGY if self.energy not in (None, "ev"):
                return ENERGIES[self.of(quantity)] / HARTREE_EV
            case Quantity.LENGTH:
                return LENGTHS[self.of(quantity)]
            case Quantity.FORCE if self.energy or self.length:
                length = LENGTHS[self.length or "angstrom"] / LENGTHS["bohr"]
                return ENERGIES[self.energy or "hartree"] / length
        return 1.0


STORED = Units()


def parse_units(written: str) -> Units:
    """The units that a text such as `ev,angstrom` or `kcal/mol` means.

    Raises:
        UnknownUnit: when it means none.
    """
    chosen: dict[str, Any] = {}
    for part in written.split(","):
        name = part.strip().lower()
        name = _ALIASES.get(name, name)
        kind = "energy" if name in ENERGIES else "length" if name in LENGTHS else None
        if kind is None:
            raise UnknownUnit(written, f"{part.strip()!r} is not a known unit")
        if kind in chosen:
            raise UnknownUnit(written, f"it names two units of {kind}")
        chosen[kind] = name
    return Units(**chosen)
