"""What tblite calls a success and cannot be one is refused, with the reason."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from quantum_forge.runner.engines.physics import refusal
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.molecules.geometry import Geometry

HYDROGEN = Geometry((1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74)))


@pytest.mark.parametrize(
    ("charge", "multiplicity", "reason"),
    [
        (5, 1, "-3 electrons at charge +5"),
        (2, 1, "0 electrons at charge +2"),
        (0, 5, "multiplicity 5 does not fit 2 electrons"),
    ],
)
def test_an_impossible_calculation_that_tblite_accepts_is_refused(
    charge: int, multiplicity: int, reason: str
) -> None:
    result = run_singlepoint(HYDROGEN, charge=charge, multiplicity=multiplicity)

    said = refusal(result, HYDROGEN, charge=charge, multiplicity=multiplicity)

    assert said is not None
    assert said.startswith(reason)


@pytest.mark.parametrize(("charge", "multiplicity"), [(-3, 2), (-4, 1), (-5, 2), (-6, 1)])
def test_more_electrons_than_orbitals_hold_are_refused_whatever_tblite_makes_of_them(
    charge: int, multiplicity: int
) -> None:
    # What it reports for these differs from process to process; now and then it gives up by itself.
    try:
        result = run_singlepoint(HYDROGEN, charge=charge, multiplicity=multiplicity)
    except EngineError:
        return

    assert refusal(result, HYDROGEN, charge=charge, multiplicity=multiplicity) is not None


@pytest.mark.parametrize(("charge", "multiplicity"), [(0, 1), (0, 3), (1, 2), (-1, 2)])
def test_what_physics_allows_is_not_refused(charge: int, multiplicity: int) -> None:
    result = run_singlepoint(HYDROGEN, charge=charge, multiplicity=multiplicity)

    assert refusal(result, HYDROGEN, charge=charge, multiplicity=multiplicity) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"energy": math.nan}, "non-finite energy"),
        ({"gradient": ((math.inf, 0.0, 0.0), (0.0, 0.0, 0.0))}, "non-finite gradient"),
        ({"charges": (math.nan, 0.0)}, "non-finite charges"),
        ({"charges": (0.5, 0.0)}, r"the atomic charges add up to \+0.500"),
        ({"charges": (0.0,)}, "1 charges and 2 gradients for 2 atoms"),
        ({"homo": 1.0, "lumo": 0.5}, "the HOMO .* lies above the LUMO"),
        ({"gap": -0.1}, "a gap of -0.1 eV, but .* from HOMO to LUMO"),
        ({"gap": -0.1, "lumo": None}, "a closed shell with a negative gap"),
    ],
)
def test_every_broken_number_is_refused(change: dict[str, Any], reason: str) -> None:
    broken = replace(run_singlepoint(HYDROGEN), **change)

    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refusal(broken, HYDROGEN, charge=0, multiplicity=1))
