"""Command lines of xtb: options, and which of them xtbout.json and the line itself explain."""

import re

from quantum_forge.runner.engines.methods import LEVELS
from quantum_forge.runner.engines.xtb.printout import ROOM_TEMPERATURE, USUAL_ACCURACY

_ALONE = frozenset(
    (
        *("--json", "--grad", "--hess", "--scc", "--sp", "--pop", "--wbo", "--lmo", "--dipole"),
        *("--molden", "--cma", "--gfn0", "--gfn1", "--gfn2", "--copy", "--nocopy", "--restart"),
        *("--norestart", "--ceasefiles", "--strict", "--verbose", "-v", "--silent", "-s"),
    )
)
_WITH_A_VALUE = frozenset(
    (
        *("--gfn", "--chrg", "-c", "--uhf", "-u", "--alpb", "--gbsa", "-g"),
        *("--parallel", "-P", "--namespace", "--cycles", "--iterations"),
    )
)
_WITH_A_LEVEL = frozenset(("--opt", "-o", "--ohess"))
_WITH_A_NUMBER = {
    **dict.fromkeys(("--acc", "-a"), USUAL_ACCURACY),
    "--etemp": ROOM_TEMPERATURE,
}
"""Options that change the energy, and the largest number with which they do not."""

_LEVELS = frozenset((*LEVELS, "verytight"))
_CONTROL = re.compile(r"^\s*\$(?!coord\b|end\b)([a-z]\w*)", re.MULTILINE | re.IGNORECASE)


def options_of(call: str) -> dict[str, str]:
    """Return the options of a command line, each with the word that follows it."""
    words = call.split()
    following = [*words[1:], ""]
    return {word: next_ for word, next_ in zip(words, following, strict=False) if word[0:1] == "-"}


def accuracy_of(options: dict[str, str]) -> float | None:
    """Return the number of `--acc`; None where there is none."""
    return _number(options.get("--acc") or options.get("-a"))


def temperature_of(options: dict[str, str]) -> float | None:
    """Return the electronic temperature of `--etemp` in K; None where there is none."""
    return _number(options.get("--etemp"))


def unexplained(call: str) -> str | None:
    """Return the first part of a command line that xtbout.json and the line do not explain.

    What they explain is the geometry, charge, spin, method, solvent in its usual reference state,
    and what does not change the energy at a geometry. None where that is everything.
    """
    words = call.split()[1:]
    if not words:
        return "the command line, which it does not have"
    named_geometry = False
    at = 0
    while at < len(words):
        word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
        at += 1
        if word in _ALONE:
            continue
        if word in _WITH_A_VALUE and following:
            at += 1
        elif word in _WITH_A_LEVEL:
            at += following.lower() in _LEVELS
        elif word in _WITH_A_NUMBER:
            found = _number(following)
            usual = _WITH_A_NUMBER[word]
            if found is None or found > usual or (word == "--etemp" and found != usual):
                return f"{word} {following}".strip()
            at += 1
        elif word.startswith("-") or named_geometry:
            return word
        else:
            named_geometry = True
    return None


def instruction_of(geometry: bytes) -> str | None:
    """Return the first instruction for xtb, such as `$gbsa`, in a file of a geometry."""
    found = _CONTROL.search(geometry.decode("latin-1"))
    return None if found is None else f"${found[1]}"


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").lower().replace("d", "e"))
    except ValueError:
        return None
