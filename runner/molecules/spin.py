"""Spin multiplicity of a molecule: stated, or the lowest that its number of electrons allows."""

from collections.abc import Iterable

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.geometry import ELEMENTS
from quantum_forge.schema.domains.calculations import ValueSource

METALS = frozenset(
    {3, 4, 11, 12, 13, *range(19, 32), *range(37, 51), *range(55, 85)}  # to polonium
)
"""Atomic numbers; without germanium, antimony and the other metalloids."""

OPEN_SHELLS = frozenset({*range(21, 30), *range(39, 48), *range(57, 80)})
"""Metals of the d and f block whose d or f shell can be open: without zinc, cadmium, mercury."""

_STATE_IT = "state another by --multiplicity, or by a column or key multiplicity"


def decide(electrons: int, stated: int | None) -> tuple[int, ValueSource]:
    """Return the multiplicity 2S + 1, and whether it was given or assumed.

    Raises:
        InputError: when the stated one is impossible for this number of electrons.
    """
    lowest = 1 if electrons % 2 == 0 else 2
    if stated is None:
        return lowest, ValueSource.ASSUMED
    if stated < 1 or (electrons - (stated - 1)) % 2 or stated - 1 > electrons:
        raise InputError(
            f"multiplicity {stated} does not fit {electrons} electrons; "
            f"{lowest}, {lowest + 2}, … would",
            code="IMPOSSIBLE_MULTIPLICITY",
        )
    return stated, ValueSource.GIVEN


def warnings_of_assumed(
    multiplicity: int, numbers: Iterable[int], *, written_radicals: int
) -> list[str]:
    """Return why a multiplicity that nobody stated may be wrong.

    Args:
        multiplicity: the one assumed.
        numbers: the atomic numbers that occur.
        written_radicals: unpaired electrons that the atoms of a SMILES, without metals, have.
    """
    found = []
    metals = sorted(METALS.intersection(numbers))
    if metals:
        symbols = ", ".join(ELEMENTS[number] for number in metals)
        shells = ", of which open d or f shells are common" if OPEN_SHELLS & {*metals} else ""
        found.append(
            f"contains {symbols}{shells}: multiplicity {multiplicity}, the lowest, is assumed; "
            f"{_STATE_IT}"
        )
    if written_radicals > multiplicity - 1:
        found.append(
            f"the SMILES has {written_radicals} unpaired electrons, which would fit multiplicity "
            f"{written_radicals + 1}: multiplicity {multiplicity}, the lowest, is assumed; "
            f"{_STATE_IT}"
        )
    return found
