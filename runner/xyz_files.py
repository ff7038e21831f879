"""Molecules from .xyz and extended XYZ files, frame by frame."""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from runner.geometry import ATOMIC_NUMBERS, ELEMENTS, Geometry, Position
from runner.records import Input, parse_charge, parse_multiplicity, shown, tidy_name

ATOM_LIMIT = 100_000  # atoms in one frame; beyond it the count line is wrong

_PAIR = re.compile(r"""([A-Za-z_]\w*)\s*=\s*("[^"]*"|'[^']*'|[^\s"']+)""")


class XyzFrame(msgspec.Struct, frozen=True):
    """The comment and atom lines of one frame; `number` counts frames from 1."""

    number: int
    comment: str
    atoms: tuple[str, ...]
    error: str | None = None


def xyz_frames(lines: Iterable[str]) -> Iterator[XyzFrame]:
    """Yield the frames; where an atom count should be and is not, the next count is sought.

    Blank lines between frames are skipped. Memory is bounded by the largest frame.
    """
    rest = iter(lines)
    number = 0
    lost = False
    for line in rest:
        text = line.strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit()) or int(text) > ATOM_LIMIT:
            if not lost:
                number += 1
                yield XyzFrame(
                    number, "", (text,), f"expected a number of atoms, found {text[:60]!r}"
                )
            lost = True
            continue
        lost = False
        number += 1
        comment = next(rest, None)
        atoms = tuple(islice(rest, int(text)))
        error = None
        if comment is None or len(atoms) < int(text):
            error = f"the file ends after {len(atoms)} of {text} atoms"
        yield XyzFrame(number, (comment or "").strip(), atoms, error)


def read_xyz(frame: XyzFrame) -> Input:
    """Return the molecule of one frame.

    The comment may carry `charge=`, `multiplicity=` (or `spin=`, also 2S + 1), `smiles=`, `name=`,
    and the extended-XYZ keys `Properties=` (where element and position are) and `Lattice=`, which
    is refused unless `pbc="F F F"`: xTB is run on molecules. A comment without any key is the name.
    """
    pairs = {key.lower(): value.strip("\"'") for key, value in _PAIR.findall(frame.comment)}
    name = tidy_name(pairs.get("name") if pairs else frame.comment)
    smiles = pairs.get("smiles") or None
    geometry = charge = multiplicity = None
    error = frame.error
    if error is None:
        try:
            _refuse_periodic(pairs)
            geometry = _geometry(frame.atoms, pairs.get("properties"))
            if text := pairs.get("charge"):
                charge = parse_charge(text)
            if text := pairs.get("multiplicity") or pairs.get("spin"):
                multiplicity = parse_multiplicity(text)
        except ValueError as problem:
            error = str(problem)
    return Input(
        number=frame.number,
        source=shown("\n".join([frame.comment, *(line.rstrip() for line in frame.atoms)])),
        name=name,
        smiles=smiles,
        geometry=geometry,
        charge=charge,
        multiplicity=multiplicity,
        error=error,
    )


def _refuse_periodic(pairs: dict[str, str]) -> None:
    periodic = pairs.get("pbc", "T T T" if "lattice" in pairs else "F F F")
    if "T" in periodic.upper():
        raise ValueError("the frame is periodic (Lattice or pbc); only molecules can be calculated")


def _geometry(lines: tuple[str, ...], properties: str | None) -> Geometry:
    element, position = _columns(properties)
    if properties is None and (plain := _plain_geometry(lines)) is not None:
        return plain
    numbers: list[int] = []
    positions: list[Position] = []
    for index, line in enumerate(lines, start=1):
        fields = line.split()
        try:
            numbers.append(_atomic_number(fields[element]))
            x, y, z = (
                float(field.replace("D", "E").replace("d", "e"))
                for field in fields[position : position + 3]
            )
        except (IndexError, ValueError, KeyError):
            raise ValueError(
                f"atom {index} is not `element x y z`: {line.strip()[:80]!r}"
            ) from None
        if not all(math.isfinite(value) for value in (x, y, z)):
            raise ValueError(f"atom {index} has a position that is not finite")
        positions.append((x, y, z))
    if not numbers:
        raise ValueError("the frame has no atoms")
    return Geometry(tuple(numbers), tuple(positions))


def _plain_geometry(lines: tuple[str, ...]) -> Geometry | None:
    """The geometry of `element x y z` lines in a tenth of the time; None for anything else."""
    fields = " ".join(lines).split()
    if not lines or len(fields) != 4 * len(lines) or any(line.count("\n") > 1 for line in lines):
        return None
    try:
        numbers = tuple([ATOMIC_NUMBERS[symbol] for symbol in fields[::4]])
        values = [list(map(float, fields[start::4])) for start in (1, 2, 3)]
    except (KeyError, ValueError):
        return None
    if not math.isfinite(math.fsum(abs(sum(column)) for column in values)):
        return None
    return Geometry(numbers, tuple(zip(*values, strict=True)))


def _columns(properties: str | None) -> tuple[int, int]:
    """Return the columns of the element and of x, counted from 0."""
    if properties is None:
        return 0, 1
    places: dict[str, int] = {}
    column = 0
    parts = properties.split(":")
    for name, width in zip(parts[::3], parts[2::3], strict=False):
        places[name.lower()] = column
        column += int(width) if width.isdigit() else 1
    if "pos" not in places or not {"species", "z"} & places.keys():
        raise ValueError(f"Properties={properties} has no species and pos")
    return places.get("species", places.get("z", 0)), places["pos"]


def _atomic_number(text: str) -> int:
    if text.isdigit():
        number = int(text)
        if not 0 < number < len(ELEMENTS):
            raise ValueError(text)
        return number
    return ATOMIC_NUMBERS[text.capitalize()]
