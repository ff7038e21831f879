"""Units are read from what people write, and convert by CODATA."""

import pytest

from quantum_forge.datasets.units import (
    STORED,
    Quantity,
    UnknownUnit,
    parse_units,
)
from quantum_forge.runner.engines.result import HARTREE_EV
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM


@pytest.mark.parametrize(
    ("written", "energy", "length", "force"),
    [
        ("ev,angstrom", "ev", "angstrom", "ev/angstrom"),
        ("Angstrom, EV", "ev", "angstrom", "ev/angstrom"),
        ("ev", "ev", "angstrom", "ev/angstrom"),
        ("Eh,bohr", "hartree", "bohr", "hartree/bohr"),
        ("bohr", "hartree", "bohr", "hartree/bohr"),
        ("kcal/mol,nm", "kcal/mol", "nm", "kcal/mol/nm"),
    ],
)
def test_units_are_an_energy_a_length_or_both(
    written: str, energy: str, length: str, force: str
) -> None:
    """Forces are energy per length."""
    units = parse_units(written)

    assert units.of(Quantity.ENERGY) == energy
    assert units.of(Quantity.LENGTH) == length
    assert units.of(Quantity.FORCE) == force
    assert units.of(Quantity.DIPOLE) == "debye"


@pytest.mark.parametrize("written", ["", "furlong", "ev,ev", "ev,hartree", "ev,,bohr"])
def test_other_units_are_refused_with_those_there_are(written: str) -> None:
    """The message lists them."""
    with pytest.raises(UnknownUnit, match=r"kcal/mol.*angstrom"):
        parse_units(written)


def test_stored_units_convert_nothing() -> None:
    """Without --units every number is the stored one."""
    assert {STORED.factor(quantity) for quantity in Quantity} == {1.0}
    assert {parse_units("ev").factor(q) for q in (Quantity.ORBITAL_ENERGY, Quantity.LENGTH)} == {1}


def test_numbers_convert_as_codata_says() -> None:
    """One hartree is 27.2 eV and 627.5 kcal/mol, one bohr 0.529 Å."""
    ev = parse_units("ev,angstrom")
    assert ev.factor(Quantity.ENERGY) == HARTREE_EV
    assert ev.factor(Quantity.FORCE) == pytest.approx(51.422067, rel=1e-7)
    assert parse_units("bohr").factor(Quantity.LENGTH) == pytest.approx(1 / BOHR_ANGSTROM)
    assert parse_units("bohr").factor(Quantity.FORCE) == pytest.approx(1)
    assert parse_units("kcal/mol").factor(Quantity.ENERGY) == pytest.approx(627.5094740631)
    assert parse_units("kj/mol").factor(Quantity.ENERGY) == pytest.approx(2625.4996394799)
    hartree = parse_units("hartree")
    assert hartree.factor(Quantity.ORBITAL_ENERGY) == pytest.approx(1 / HARTREE_EV)
