"""Solvents of the ALPB model: one name for each, and the other names that are understood."""

import re

from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.runner.errors import InputError

_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "acetone": ("propanone",),
    "acetonitrile": ("mecn", "ch3cn", "acn"),
    "aniline": (),
    "benzaldehyde": (),
    "benzene": (),
    "ch2cl2": ("dichloromethane", "dichlormethane", "methylenechloride", "dcm"),
    "chcl3": ("chloroform",),
    "cs2": ("carbondisulfide",),
    "dioxane": ("1,4-dioxane",),
    "dmf": ("dimethylformamide", "n,n-dimethylformamide"),
    "dmso": ("dimethylsulfoxide",),
    "ethanol": ("etoh",),
    "ether": ("diethylether", "et2o"),
    "ethylacetate": ("etoac",),
    "furane": ("furan",),
    "hexadecane": ("n-hexadecane",),
    "hexane": ("n-hexane", "n-hexan", "hexan"),
    "methanol": ("meoh", "ch3oh"),
    "nitromethane": ("meno2",),
    "octanol": ("1-octanol", "n-octanol"),
    "phenol": (),
    "thf": ("tetrahydrofuran",),
    "toluene": (),
    "water": ("h2o",),
    "woctanol": ("wet octanol",),
}
"""By the name that is recorded and given to tblite: what else tblite, xtb and chemists call it."""

SOLVENTS = tuple(_OTHER_NAMES)
"""Solvents that have parameters for GFN1-xTB and GFN2-xTB."""

_OF_XTB = {"hexane": "n-hexane"}
"""Names that the xtb program has instead of ours."""

_GAS_WORDS = frozenset(("none", "no", "gas", "gasphase", "vacuum", "vac", "off"))


def _compact(name: str) -> str:
    """A name as tblite compares it: in small letters, without hyphens, commas and blanks."""
    return re.sub(r"[-,_\s]", "", name).lower()


_BY_NAME = {
    _compact(each): name for name, others in _OTHER_NAMES.items() for each in (name, *others)
}


def solvent_named(name: str) -> str:
    """Return the one name of a solvent: `water` for h2o, H2O and Water.

    Raises:
        InputError: for a solvent without parameters.
    """
    found = known_solvent(name)
    if found is None:
        known = f"known solvents are {', '.join(SOLVENTS)}"
        hint = suggestion(name, _BY_NAME, otherwise=known)
        raise InputError(f"unknown solvent {name!r}; {hint}", code="UNKNOWN_SOLVENT")
    return found


def known_solvent(name: str) -> str | None:
    """Return the one name of a solvent; None for one without parameters."""
    return _BY_NAME.get(_compact(name))


def is_gas(text: str) -> bool:
    """Whether this stands for no solvation."""
    return _compact(text) in _GAS_WORDS


def name_in_xtb(solvent: str) -> str:
    """Return what the xtb program calls a solvent."""
    name = solvent_named(solvent)
    return _OF_XTB.get(name, name)
