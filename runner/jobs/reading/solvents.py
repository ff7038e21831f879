"""Names of implicit solvation models, and of the solvents in them."""

import re

from quantum_forge.runner.engines.solvents import known_solvent

MODELS = {
    **dict.fromkeys(("alpb", "gbsa", "gbe", "cosmo", "tmcosmo", "cpcm", "cpcmx", "smd")),
    "cpcm-x": "CPCMX",
}
"""In small letters, with the name as it is recorded where that is not the same in capitals."""

GAS = "none"
"""What a run without a solvation model states."""


def solvation(solvent: str, model: str = "ALPB") -> str:
    """Return a solvation as it is recorded: ALPB(water); unless it is written so already."""
    return solvent if "(" in solvent else f"{model}({solvent})"


def with_known_solvent(model: str) -> str:
    """Return `ALPB(H2O, bar1M)` as `ALPB(water, bar1M)`; what is not written so, as it is."""
    found = re.fullmatch(r"([\w-]+\()([^(),]+)((?:,[^()]*)?\))", model)
    if found is None:
        return model
    return f"{found[1]}{known_solvent(found[2]) or found[2]}{found[3]}"


def model_name(text: str) -> str | None:
    """Return a solvation model as it is recorded, or None for what is not one."""
    name = text.strip().lower()
    return (MODELS[name] or name.upper()) if name in MODELS else None


def solvent_of(model: str) -> str:
    """Return the solvent of `ALPB(water, bar1M)`, by one name for each."""
    name = model.partition("(")[2].partition(",")[0].rstrip(")") or model
    return known_solvent(name) or name.strip().lower()


def are_same(one: str, other: str) -> bool:
    """Whether two solvations have the same solvent."""
    return solvent_of(one) == solvent_of(other)
