"""The comment line of an XYZ frame: key=value pairs, a title, charge and multiplicity."""

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping

import msgspec

from quantum_forge.runner.inputs.stated import Stated, stated_in
from quantum_forge.runner.molecules.records import tidy_name

TITLE_LIMIT = 10_000
"""Characters of a comment outside of its key=value pairs."""

_QUOTED = r""" "(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+' """
_PAIR = re.compile(
    rf"""(?:^|(?<=[\s,;(]))
    (?P<key>
      {_QUOTED}
      |(?:(?:total|net|overall|molecular|spin|unpaired|number\ of\ unpaired)\ )?+
       [^\s=,:;"'{{}}\[\]()]++
    )
    \s*+=
    (?:(?:\s*+(?![^\s=,;]+\s*+=[^=]))?+
      (?P<value> {_QUOTED} | \{{[^{{}}]*+\}} | \[[^=]*?\](?=[\s,;]|$) | \S++ )
    )?+""",
    re.VERBOSE,
)
_KEYS = frozenset({"name", "smiles", "properties", "lattice", "cell", "pbc"})
_ESCAPED = re.compile(r"""\\(["'\\])""")
_QM9 = re.compile(r"(gdb[ _]?\d+)\s(?:[-+\d.eE*^]++\s*+){15,}+")
_ONLY_PUNCTUATION = re.compile(r"[\s\W_]*")


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """What a comment line says.

    pairs: values as text by lower-case key. title: the text outside of pairs and of statements
    about charge and spin. error: why it cannot be used.
    """

    pairs: dict[str, str]
    title: str
    error: str | None = None

    @property
    def name(self) -> str | None:
        """The value of `name`; without it, the title of a comment that is not extended XYZ."""
        if "name" in self.pairs:
            return tidy_name(self.pairs["name"])
        return None if "properties" in self.pairs else tidy_name(self.title)


def is_qm9(comment: str) -> bool:
    """Whether it is one of the data set QM9: `gdb 1`, then fifteen numbers."""
    return comment.startswith("gdb") and _QM9.fullmatch(comment.strip()) is not None


def read_comment(text: str, composition: Mapping[str, int] | None, stated: Stated) -> Comment:
    """Read a comment line.

    Args:
        text: the line.
        composition: how many atoms there are of each element; None where they are not known.
        stated: takes what the comment states; what is in it already was stated elsewhere.
    """
    text = text.strip()
    if is_qm9(text):
        return Comment(pairs={}, title=text.partition("\t")[0].strip())
    pairs: dict[str, str] = {}
    error = None
    title = text
    try:
        mapping = _mapping(text)
        if mapping is not None:
            title = ""
            for key, value in mapping:
                pairs.setdefault(key.lower(), value)
                stated.add(key, value)
        else:
            title = _without_pairs(text, pairs, stated)
            if len(title) > TITLE_LIMIT:
                raise ValueError(f"the comment has a title of more than {TITLE_LIMIT:,} characters")
            title = stated_in(title, composition, stated)
    except ValueError as problem:
        error = f"the comment line: {problem}"
    if len(pairs) == 1 and stated.is_empty() and not pairs.keys() & _KEYS:
        return Comment(pairs=pairs, title=text, error=error)  # a title such as the SMILES C=C
    title = " ".join(title.replace("\0", " ").split()) if pairs or title != text else title
    if title != text and _ONLY_PUNCTUATION.fullmatch(title):
        title = ""
    return Comment(pairs=pairs, title=title, error=error)


def _without_pairs(text: str, pairs: dict[str, str], stated: Stated) -> str:
    """Collect the pairs of a comment, and return the rest of it."""
    rest: list[str] = []
    end = 0
    for found in _PAIR.finditer(text):
        key = _plain(found["key"])
        value = _plain(found["value"] or "")
        pairs.setdefault(key.lower(), value)
        stated.add(key, value)
        rest.append(text[end : found.start()])
        end = found.end()
    return "\0".join([*rest, text[end:]]) if rest else text


def _plain(text: str) -> str:
    """Return a key or value without quotes and escapes; what follows _JSON is decoded."""
    if len(text) >= 2 and text[0] in "\"'" and text[-1] == text[0]:
        text = text[1:-1]
        if "\\" in text:
            text = _ESCAPED.sub(r"\1", text)
    if text.startswith("_JSON "):
        try:
            decoded = json.loads(text.removeprefix("_JSON "))
        except (ValueError, RecursionError):
            return text
        return decoded if isinstance(decoded, str) else json.dumps(decoded)
    return text


def _mapping(text: str) -> list[tuple[str, str]] | None:
    """Return the keys and values of a comment that is a JSON object or a Python dict."""
    if not (text.startswith("{") and text.endswith("}")) or len(text) > TITLE_LIMIT:
        return None
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about escapes that Python does not know
                decoded = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return None
    return list(_flat(decoded)) if isinstance(decoded, dict) else None


def _flat(mapping: dict[object, object]) -> Iterator[tuple[str, str]]:
    waiting = list(mapping.items())
    while waiting:
        key, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting += value.items()
        else:
            yield str(key), value if isinstance(value, str) else str(value)
