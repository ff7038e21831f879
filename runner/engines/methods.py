"""The methods and solvents that can be asked for, without loading the engine."""

from quantum_forge.runner.errors import InputError

TBLITE, XTB = "tblite", "xtb"
ENGINES = (TBLITE, XTB)
"""The library that comes as a wheel, and the executable of the xtb package."""

LEVELS = ("crude", "sloppy", "loose", "lax", "normal", "tight", "vtight", "extreme")
"""Levels of a geometry optimisation, by xtb's names, from coarse to fine."""

METHODS = ("GFN2-xTB", "GFN1-xTB", "IPEA1-xTB")

# Solvents with ALPB parameters, by the names that tblite knows (more have aliases).
SOLVENTS = (
    *("acetone", "acetonitrile", "aniline", "benzaldehyde", "benzene", "ch2cl2", "chcl3", "cs2"),
    *("dioxane", "dmf", "dmso", "ethanol", "ether", "ethylacetate", "furane", "hexadecane"),
    *("hexane", "methanol", "nitromethane", "octanol", "phenol", "thf", "toluene", "water"),
)


def require_known(
    method: str, solvent: str | None, *, engine: str = TBLITE, optimization_level: str | None = None
) -> None:
    """Refuse a method, a solvent or an optimisation where there is none.

    Raises:
        InputError: which says what there is.
    """
    if method not in METHODS:
        raise InputError(
            f"unknown method {method!r}; the methods are {', '.join(METHODS)}",
            code="UNKNOWN_METHOD",
        )
    if engine == XTB and method == "IPEA1-xTB":
        raise InputError(
            "xtb runs GFN2-xTB and GFN1-xTB; IPEA1-xTB is for --engine tblite",
            code="UNKNOWN_METHOD",
        )
    if optimization_level is not None and optimization_level not in LEVELS:
        raise InputError(
            f"unknown level {optimization_level!r} of --opt; the levels are {', '.join(LEVELS)}",
            code="UNKNOWN_LEVEL",
        )
    if solvent is not None and method == "IPEA1-xTB":
        raise InputError(
            "IPEA1-xTB has no solvation model; use GFN2-xTB or GFN1-xTB, or leave the solvent out",
            code="UNKNOWN_SOLVENT",
        )
