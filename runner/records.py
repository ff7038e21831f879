"""One molecule as a file gave it, before any chemistry: the record that every reader yields."""

from collections.abc import Iterable, Iterator

import msgspec

from runner.geometry import Geometry


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule to identify, or the reason why its record could not be read.

    `number` counts from 1: lines in .smi and .csv, records in .sdf, frames in .xyz. `source` is the
    text of the record, shortened to 2,000 characters, so that a bad one can be shown. `charge` (e)
    and `multiplicity` (2S + 1) are None where the file does not say. When `error` is set, there is
    nothing to calculate.
    """

    number: int
    source: str
    name: str | None = None
    smiles: str | None = None
    geometry: Geometry | None = None
    charge: int | None = None
    multiplicity: int | None = None
    error: str | None = None


SOURCE_LIMIT = 2_000


def shown(text: str) -> str:
    """Return a record's text as it is kept: without NUL (no database stores it), not too long."""
    text = text.rstrip("\r\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= SOURCE_LIMIT else text[: SOURCE_LIMIT - 1] + "…"


def refuse_nul(text: str) -> None:
    """Raise ValueError for text with NUL: a UTF-16 file would be read as other molecules."""
    if "\0" in text:
        raise ValueError("contains NUL characters; is the file UTF-16? Save it as UTF-8")


def tidy_name(text: str | None) -> str | None:
    """Return a name without surrounding space or NUL, or None for an empty one."""
    return (text or "").replace("\0", "").strip() or None


def decoded(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield text lines: UTF-8, or Latin-1 for a line that is not; a byte-order mark is dropped."""
    for index, line in enumerate(lines):
        if index == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield line.decode("latin-1")


def parse_charge(text: str) -> int:
    """Return a charge in e from text like `-1`, `+2`, `1.0`; raise ValueError for the rest."""
    return _whole(text, "charge")


def parse_multiplicity(text: str) -> int:
    """Return a multiplicity (2S + 1, at least 1); raise ValueError for anything else."""
    multiplicity = _whole(text, "multiplicity")
    if multiplicity < 1:
        raise ValueError(f"multiplicity {multiplicity} is not 1, 2, 3, …")
    return multiplicity


def _whole(text: str, what: str) -> int:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{what} {text!r} is not a number") from None
    if not value.is_integer() or abs(value) > 1_000:
        raise ValueError(f"{what} {text!r} is not a small whole number")
    return int(value)
