"""Names of solvents and of implicit solvation models."""

MODELS = {
    **dict.fromkeys(("alpb", "gbsa", "gbe", "cosmo", "tmcosmo", "cpcm", "cpcmx", "smd")),
    "cpcm-x": "CPCMX",
}
"""In small letters, with the name as it is recorded where that is not the same in capitals."""

GAS = "none"
"""What a run without a solvation model states."""

_GAS_WORDS = frozenset(
    ("none", "no", "gas", "gas phase", "gasphase", "gas_phase", "gas-phase", "vacuum", "vac", "off")
)

_ALIASES = {
    **dict.fromkeys(("h2o",), "water"),
    **dict.fromkeys(("methylenechloride", "dichlormethane", "dichloromethane", "dcm"), "ch2cl2"),
    **dict.fromkeys(("chloroform",), "chcl3"),
    **dict.fromkeys(("n-hexane", "nhexane"), "hexane"),
    **dict.fromkeys(("dimethylsulfoxide",), "dmso"),
    **dict.fromkeys(("dimethylformamide",), "dmf"),
    **dict.fromkeys(("tetrahydrofuran",), "thf"),
    **dict.fromkeys(("diethylether",), "ether"),
    **dict.fromkeys(("mecn", "ch3cn"), "acetonitrile"),
    **dict.fromkeys(("meoh", "ch3oh"), "methanol"),
    **dict.fromkeys(("etoh",), "ethanol"),
    **dict.fromkeys(("ethylacetate", "ethyl acetate"), "ethylacetate"),
}


def solvation(solvent: str, model: str = "ALPB") -> str:
    """Return a solvation as it is recorded: ALPB(water); unless it is written so already."""
    return solvent if "(" in solvent else f"{model}({solvent})"


def model_name(text: str) -> str | None:
    """Return a solvation model as it is recorded, or None for what is not one."""
    name = text.strip().lower()
    return (MODELS[name] or name.upper()) if name in MODELS else None


def is_gas(text: str) -> bool:
    """Whether this stands for no solvation."""
    return text.strip().lower() in _GAS_WORDS


def solvent_of(model: str) -> str:
    """Return the solvent of `ALPB(water, bar1M)`, by one name for each."""
    name = model.partition("(")[2].partition(",")[0].rstrip(")") or model
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def are_same(one: str, other: str) -> bool:
    """Whether two solvations have the same solvent."""
    return solvent_of(one) == solvent_of(other)
