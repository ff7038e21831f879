"""Methods and levels of optimisation that can be asked for, without loading the engine."""

import re

from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.runner.engines.solvents import solvent_named
from quantum_forge.runner.errors import InputError

TBLITE, XTB = "tblite", "xtb"
ENGINES = (TBLITE, XTB)
"""The library that comes as a wheel, and the executable of the xtb package."""

LEVELS = ("crude", "sloppy", "loose", "lax", "normal", "tight", "vtight", "extreme")
"""Levels of a geometry optimisation, by xtb's names, from coarse to fine."""

METHODS = ("GFN2-xTB", "GFN1-xTB", "IPEA1-xTB")

OTHER_METHODS = ("GFN0-xTB", "GFN-FF")
"""Methods that results are imported of, and that no engine here runs."""

_SHORT = {"2": "gfn2", "1": "gfn1", "0": "gfn0", "xtb2": "gfn2", "xtb1": "gfn1", "ff": "gfnff"}
"""Numbers as after `xtb --gfn`, and other usual short names."""


def _compact(name: str) -> str:
    """A name without what its spellings differ in: capitals, hyphens, blanks, the ending -xTB."""
    letters = re.sub(r"[-_\s]", "", name.lower())
    letters = letters.removesuffix("xtb") or letters
    return _SHORT.get(letters, letters)


_BY_NAME = {_compact(name): name for name in (*METHODS, *OTHER_METHODS)}


def known_method(name: str) -> str | None:
    """Return the one name of a method: GFN2-xTB for `gfn2`, `GFN2`, `gfn2_xtb` and `2`."""
    return _BY_NAME.get(_compact(name))


def method_named(name: str) -> str:
    """Return the one name of a method that an engine runs, however it is written.

    Raises:
        InputError: for any other, with the methods that there are.
    """
    found = known_method(name)
    if found not in METHODS:
        raise _unknown_method(name)
    return found


def require_known(
    method: str, solvent: str | None, *, engine: str = TBLITE, optimization_level: str | None = None
) -> None:
    """Refuse an unknown method, solvent or level, and what the engine cannot do.

    Raises:
        InputError: which says what there is.
    """
    if method not in METHODS:
        raise _unknown_method(method)
    if engine == XTB and method == "IPEA1-xTB":
        raise InputError(
            "xtb runs GFN2-xTB and GFN1-xTB; IPEA1-xTB is for --engine tblite",
            code="UNKNOWN_METHOD",
        )
    if optimization_level is not None and optimization_level not in LEVELS:
        raise InputError(
            f"unknown level {optimization_level!r} of --opt; "
            + suggestion(
                optimization_level, LEVELS, otherwise=f"the levels are {', '.join(LEVELS)}"
            ),
            code="UNKNOWN_LEVEL",
        )
    if solvent is not None and method == "IPEA1-xTB":
        raise InputError(
            "IPEA1-xTB has no solvation model; use GFN2-xTB or GFN1-xTB, or leave the solvent out",
            code="UNKNOWN_SOLVENT",
        )
    if solvent is not None:
        solvent_named(solvent)


def _unknown_method(name: str) -> InputError:
    hint = suggestion(name, METHODS, otherwise=f"the methods are {', '.join(METHODS)}")
    return InputError(f"unknown method {name!r}; {hint}", code="UNKNOWN_METHOD")
