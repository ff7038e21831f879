"""Each solvent and each method has one name, whichever of its names is given."""

import shutil
from contextlib import suppress

import numpy as np
import pytest
from tblite.interface import Calculator

from quantum_forge.runner.engines.methods import METHODS, known_method, method_named
from quantum_forge.runner.engines.solvents import (
    SOLVENTS,
    is_gas,
    name_in_xtb,
    solvent_named,
)
from quantum_forge.runner.engines.xtb import program
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.conformers import embed

WATER = embed("O")
TBLITE_NAMES = """
    acetone, acetonitrile, aniline, benzaldehyde, benzene, carbondisulfide, ch2cl2, chcl3,
    chloroform, cs2, dichlormethane, dichloromethane, diethylether, dimethylformamide,
    dimethylsulfoxide, dioxane, dmf, dmso, ethanol, ether, ethylacetate, ethyl acetate, furan,
    furane, h2o, hexadecane, hexane, mecn, methanol, methylenechloride, n-hexan, n-hexane, nhexan,
    nhexane, nitromethane, octanol, phenol, tetrahydrofuran, thf, toluene, water, woctanol, H2O,
    Water, CHCl3
"""


def tblite_energy(solvent: str) -> float | None:
    """What tblite gives by a name, which it may not have; without any code of ours."""
    calculator = Calculator(
        "GFN2-xTB", np.array(WATER.numbers), np.array(WATER.positions) / 0.529177, color=False
    )
    calculator.set("verbosity", 0)
    with suppress(RuntimeError):
        calculator.add("alpb-solvation", solvent)
        return float(calculator.singlepoint().get("energy"))
    return None


def test_every_name_that_tblite_has_is_understood_as_it_understands_it() -> None:
    """A name and its canonical one give the same energy, and no two canonical ones do."""
    energies = {name: tblite_energy(name) for name in SOLVENTS}
    assert None not in energies.values()
    assert len(set(energies.values())) == len(SOLVENTS)

    understood = 0
    for name in map(str.strip, TBLITE_NAMES.split(",")):
        energy = tblite_energy(name)
        if energy is not None:
            understood += 1
            assert energy == energies[solvent_named(name)], name
    assert understood > len(SOLVENTS)


@pytest.mark.parametrize("name", ["h2o", "H2O", "Water", "WATER", " water "])
def test_water_has_one_name(name: str) -> None:
    """Five spellings were five calculations."""
    assert solvent_named(name) == "water"
    assert not is_gas(name)


@pytest.mark.skipif(shutil.which(program.EXECUTABLE) is None, reason="xtb is not installed")
def test_xtb_gets_the_name_that_it_has() -> None:
    """It calls hexane n-hexane; what it does not have at all is an error of its own."""
    assert name_in_xtb("hexane") == name_in_xtb("N-Hexane") == "n-hexane"
    wet, _ = program.run(WATER, solvent="hexane")
    dry, _ = program.run(WATER)
    assert wet.energy is not None
    assert dry.energy is not None
    assert wet.energy < dry.energy
    with pytest.raises(InputError):
        program.run(WATER, solvent="--input")


@pytest.mark.parametrize(
    ("written", "method"),
    [
        ("gfn2", "GFN2-xTB"),
        ("GFN2", "GFN2-xTB"),
        ("gfn2-xtb", "GFN2-xTB"),
        ("GFN-2", "GFN2-xTB"),
        ("gfn1_xTB", "GFN1-xTB"),
        ("1", "GFN1-xTB"),
        ("ipea1", "IPEA1-xTB"),
    ],
)
def test_a_method_has_one_name(written: str, method: str) -> None:
    """However it is written."""
    assert method_named(written) == method


@pytest.mark.parametrize("name", METHODS)
def test_the_name_of_a_method_is_its_own(name: str) -> None:
    """So that what is recorded can be given again."""
    assert method_named(name) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [("GFN3-xTB", "did you mean GFN"), ("B3LYP", "the methods are GFN2-xTB"), ("xtb", "methods")],
)
def test_an_unknown_method_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    """And is not taken for another one."""
    assert known_method(name) is None
    with pytest.raises(InputError, match=hint):
        method_named(name)


def test_an_unknown_solvent_is_refused_with_a_suggestion() -> None:
    """A slip is corrected; where no name is similar, the list is given."""
    with pytest.raises(InputError, match=r"did you mean toluene\?$"):
        solvent_named("tolune")
    with pytest.raises(InputError, match=r"known solvents are acetone, .* water"):
        solvent_named("vodka")
