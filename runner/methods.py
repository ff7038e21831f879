"""The methods and solvents that can be asked for, without loading the engine."""

from runner.errors import InputError

METHODS = ("GFN2-xTB", "GFN1-xTB", "IPEA1-xTB")

# Solvents with ALPB parameters, by the names that tblite knows (more have aliases).
SOLVENTS = (
    *("acetone", "acetonitrile", "aniline", "benzaldehyde", "benzene", "ch2cl2", "chcl3", "cs2"),
    *("dioxane", "dmf", "dmso", "ethanol", "ether", "ethylacetate", "furane", "hexadecane"),
    *("hexane", "methanol", "nitromethane", "octanol", "phenol", "thf", "toluene", "water"),
)


def require_known(method: str, solvent: str | None) -> None:
    """Refuse a method that there is not, and a solvent where the method has none.

    Raises:
        InputError: which says what there is.
    """
    if method not in METHODS:
        raise InputError(
            f"unknown method {method!r}; known are {', '.join(METHODS)}", code="UNKNOWN_METHOD"
        )
    if solvent is not None and method == "IPEA1-xTB":
        raise InputError(
            "IPEA1-xTB has no solvation model; use GFN2-xTB or GFN1-xTB, or leave the solvent out",
            code="UNKNOWN_SOLVENT",
        )
