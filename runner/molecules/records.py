"""One molecule as a file gave it, before any chemistry: the record that every reader yields."""

import hashlib
import re

import msgspec

from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.schema.language.fields import LONGEST_INDEXED


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule to identify, or the reason why its record could not be read.

    `number` counts from 1: lines in .smi and .csv, records in .sdf, frames in .xyz. `line` is the
    first line of the record in the file, `lines` how many it has. `source` is the text of the
    record, shortened to 2,000 characters, so that a bad one can be shown. `charge` (e) and
    `multiplicity` (2S + 1) are None where the file does not state them; `charge_unclear` and
    `multiplicity_unclear` say what the record mentions of them that cannot be read, so that such a
    record is refused unless the value is given otherwise. `charge_assumed` and
    `multiplicity_assumed`: the record says of the value that it is an assumption, as our own
    exports do. `geometry_source` is how a part of the geometry was made, None where the file gives
    all of it; `warnings` are about the record. When `error` is set, there is nothing to calculate.
    """

    number: int
    source: str
    line: int = 1
    lines: int = 1
    name: str | None = None
    smiles: str | None = None
    geometry: Geometry | None = None
    geometry_source: str | None = None
    warnings: tuple[str, ...] = ()
    charge: int | None = None
    multiplicity: int | None = None
    charge_unclear: str | None = None
    multiplicity_unclear: str | None = None
    charge_assumed: bool = False
    multiplicity_assumed: bool = False
    error: str | None = None


SOURCE_LIMIT = 2_000


def shown(text: str) -> str:
    """Return a record's text as it is kept: without NUL (no database stores it), not too long.

    What is cut off is represented by its hash: the text tells an unreadable record from others.
    """
    text = text.rstrip("\r\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(text) <= SOURCE_LIMIT:
        return text
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    end = f"… ({len(text):,} characters, SHA-256 {digest[:16]})"
    return text[: SOURCE_LIMIT - len(end)] + end


def refuse_nul(text: str) -> None:
    """Raise ValueError for text with NUL, which no molecule's text contains."""
    if "\0" in text:
        raise ValueError("contains NUL characters: the file is damaged, or is not a text file")


def tidy_name(text: str | None) -> str | None:
    """Return a name without surrounding space or NUL, or None for an empty one.

    It is cut to the characters that are kept.
    """
    return (text or "").replace("\0", "").strip()[:LONGEST_INDEXED].rstrip() or None


def parse_charge(text: str) -> int:
    """Return a charge in e from text like `-1`, `+2`, `1.0`, `2-`; raise ValueError for others."""
    signed = _SIGN_LAST.fullmatch(text.strip())
    return _whole(f"{signed[2]}{signed[1]}" if signed else text, "charge")


def parse_multiplicity(text: str) -> int:
    """Return a multiplicity (2S + 1, at least 1); raise ValueError for anything else."""
    multiplicity = _whole(text, "multiplicity")
    if multiplicity < 1:
        raise ValueError(f"multiplicity {multiplicity} is not 1, 2, 3, …")
    return multiplicity


_SIGN_LAST = re.compile(r"(\d+)([-+\N{MINUS SIGN}])")


def _whole(text: str, what: str) -> int:
    shown_text = text if len(text) <= 40 else text[:39] + "…"
    try:
        value = float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        raise ValueError(f"{what} {shown_text!r} is not a number") from None
    if not value.is_integer() or abs(value) > 1_000:
        raise ValueError(f"{what} {shown_text!r} is not a small whole number")
    return int(value)
