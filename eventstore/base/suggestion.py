"""Suggestion for an unknown name: the known names that resemble it."""

import difflib
import re
from collections.abc import Iterable

SUGGESTED = 3
"""Names that a message suggests at most."""

CLOSE = 0.7
"""Share of letters in common from which on a name is similar: toluene for `tolune`, not acetone."""


def suggestion(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """Return `did you mean A or B?`, the most similar first; `otherwise` where none is similar.

    Upper and lower case, blanks, hyphens and underscores make no difference.
    """
    by_letters: dict[str, list[str]] = {}
    for each in known:
        by_letters.setdefault(_letters(each), []).append(each)
    near = difflib.get_close_matches(_letters(name), by_letters, n=SUGGESTED, cutoff=CLOSE)
    names = [each for letters in near for each in by_letters[letters]][:SUGGESTED]
    return f"did you mean {' or '.join(names)}?" if names else otherwise


def _letters(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()
