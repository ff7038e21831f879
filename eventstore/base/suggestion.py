"""Suggestion for an unknown name: the known names that resemble it."""

import difflib
import re
from collections.abc import Iterable

SUGGESTED = 3
"""Names that a message suggests at most."""

CLOSE = 0.7
"""Share of letters in common from which on a name is similar: toluene for `tolune`, not acetone."""

SHORTEST = 2
"""Letters of a name that has similar ones."""


def suggestion(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """Return `did you mean A or B?`, the most similar first; `otherwise` where none is similar.

    Similar names share most of their letters; where none does, they begin with the name, have its
    letters in another order, or differ in one letter. Upper and lower case, blanks, hyphens and
    underscores make no difference.
    """
    by_letters: dict[str, list[str]] = {}
    for each in known:
        by_letters.setdefault(_letters(each), []).append(each)
    letters = _letters(name)
    near = difflib.get_close_matches(letters, by_letters, n=SUGGESTED, cutoff=CLOSE)
    near = near or [each for each in by_letters if _resembles(letters, each)]
    names = [each for found in near for each in by_letters[found]][:SUGGESTED]
    return f"did you mean {' or '.join(names)}?" if names else otherwise


def _resembles(name: str, known: str) -> bool:
    """Whether short names are similar, of which one letter is a large share: `rum` and `run`."""
    if len(name) < SHORTEST:
        return False
    if known.startswith(name) or sorted(known) == sorted(name):
        return True
    differing = sum(a != b for a, b in zip(name, known, strict=False))
    return len(known) == len(name) and differing == 1


def _letters(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()
