"""Molecules from .xyz and extended XYZ files, frame by frame."""

import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from quantum_forge.runner.inputs.lost_isotopes import refuse_lost_isotopes
from quantum_forge.runner.inputs.stated import Stated, is_assumed
from quantum_forge.runner.inputs.text_lines import RECORD_LIMIT, refuse_long
from quantum_forge.runner.inputs.xyz_comments import Comment, is_qm9, read_comment
from quantum_forge.runner.molecules.geometry import (
    ATOMIC_NUMBERS,
    BOHR_ANGSTROM,
    ELEMENTS,
    FARTHEST,
    Geometry,
    Position,
    refuse_position,
)
from quantum_forge.runner.molecules.records import Input, refuse_nul, shown, tidy_name

ATOM_LIMIT = 100_000  # atoms in one frame; beyond it the count line is wrong
_COUNT = re.compile(r"([0-9]{1,9})(?:\s+([A-Za-zÅ.]+))?")
_UNITS = {
    **dict.fromkeys(("bohr", "bohrs", "au", "a.u.", "a.u", "atomic", "a0"), BOHR_ANGSTROM),
    **dict.fromkeys(("angstrom", "angstroms", "ang", "å"), 1.0),
    "nm": 10.0,
}
_UNIT_KEYS = ("length_unit", "unit", "units", "length_units", "coordinate_unit", "position_unit")
_BARE_BOHR = re.compile(r"(?<![\w/^])bohrs?(?![\w^])", re.I)
_FRACTIONAL = re.compile(
    r"\b(?:fractional|frac_coords|scaled_positions|direct coordinates)\b", re.I
)
_TRUE = frozenset({"t", "true", "1", "yes"})
_FALSE = frozenset({"f", "false", "0", "no", "none"})
_HYDROGENS = {"D": 2, "T": 3}
_LABEL = re.compile(r"([0-9]{0,3})([A-Z][a-z]?)([0-9]*)")
_PER_ATOM_CHARGES = ("initial_charges", "charge", "charges", "partial_charges")
_PER_ATOM_MOMENTS = ("initial_magmoms", "magmoms")
_UNIT_VECTORS = [["1.00000" if i == j else "0.00000" for j in range(3)] for i in range(3)]
_QM9_EXPONENT = "*^"


class XyzFrame(msgspec.Struct, frozen=True):
    """The comment and atom lines of one frame; `number` counts frames from 1.

    It begins at `line` and has `lines` lines. Positions are multiplied by `scale`, in Å, when the
    count line states a unit. `trailer` holds what QM9 has after the atoms.
    """

    number: int
    comment: str
    atoms: tuple[str, ...]
    error: str | None = None
    line: int = 1
    lines: int = 1
    scale: float | None = None
    trailer: tuple[str, ...] = ()


class _Cursor:
    """Lines that can be put back; `count` are those taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self.count = 0

    def take(self, wanted: int) -> list[str]:
        """Return up to so many lines, fewer at the end or beyond RECORD_LIMIT characters."""
        taken: list[str] = []
        size = 0
        while len(taken) < wanted and size <= RECORD_LIMIT:
            if self._back:
                some = [self._back.popleft()]
            else:
                some = list(islice(self._lines, min(wanted - len(taken), 64)))
            if not some:
                break
            taken += some
            size += sum(map(len, some))
        self.count += len(taken)
        return taken

    def put_back(self, lines: Sequence[str]) -> None:
        """Make these lines the next ones."""
        self._back.extendleft(reversed(lines))
        self.count -= len(lines)


def xyz_frames(lines: Iterable[str]) -> Iterator[XyzFrame]:
    """Yield the frames; where an atom count should be and is not, the next count is sought.

    What is skipped on the way is one unreadable frame. Blank lines between frames are skipped. A
    count may be followed by the unit of length. Memory is bounded by the largest frame.
    """
    cursor = _Cursor(lines)
    number = 0
    lost: tuple[int, str] | None = None
    while taken := cursor.take(1):
        text = taken[0].strip()
        found = _COUNT.fullmatch(text) if len(text) < 40 else None
        scale = _UNITS.get(found[2].lower()) if found and found[2] else None
        if found is None or int(found[1]) > ATOM_LIMIT or (found[2] and scale is None):
            if text and lost is None:
                lost = cursor.count, text
            continue
        if lost is not None:
            number += 1
            yield _lost(number, *lost, cursor.count - 1)
            lost = None
        number += 1
        yield _frame(number, cursor, int(found[1]), scale)
    if lost is not None:
        yield _lost(number + 1, *lost, cursor.count)


def _lost(number: int, first: int, text: str, last: int) -> XyzFrame:
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    error = f"expected a number of atoms, found {text[:60]!r} ({where})"
    return XyzFrame(number, "", (text,), error, first, last - first + 1)


def _frame(number: int, cursor: _Cursor, count: int, scale: float | None) -> XyzFrame:
    first = cursor.count
    comment = "".join(cursor.take(1))
    atoms = cursor.take(count)
    error = None
    for index, line in enumerate(atoms):
        # Atom lines are longer: this is the count of the next frame.
        if len(line) < 12 and line.strip().isdigit():
            cursor.put_back(atoms[index:])
            atoms = atoms[:index]
            error = f"the next frame begins after {index} of {count} atoms"
            break
    if error is None and len(atoms) < count:
        error = f"the file ends after {len(atoms)} of {count} atoms"
        if sum(map(len, atoms)) > RECORD_LIMIT:
            error = f"the frame has more than {RECORD_LIMIT:,} characters"
    if "%PBC" in comment and _vectors(cursor):
        error = error or "the frame is periodic (%PBC); only molecules can be calculated"
    if error is not None and len(comment.split()) >= 4 and _is_atom(comment):
        error += "; is the comment line missing?"
    trailer = _qm9_trailer(cursor) if is_qm9(comment) else []
    return XyzFrame(
        number,
        comment.strip(),
        tuple(atoms),
        error,
        first,
        cursor.count - first + 1,
        scale,
        tuple(trailer),
    )


def _qm9_trailer(cursor: _Cursor) -> list[str]:
    """Take what QM9 has after the atoms: frequencies, two SMILES, two InChI."""
    taken: list[str] = []
    while len(taken) < 3 and (some := cursor.take(1)):
        words = some[0].split()
        is_next = len(words) == 1 and words[0].isdigit()
        if not words or is_next or is_qm9(some[0]):
            cursor.put_back(some)
            break
        taken += some
    return taken


def _vectors(cursor: _Cursor) -> bool:
    """Take the vectors of a cell that Open Babel writes after the atoms; whether there is a cell.

    For a molecule it writes unit vectors.
    """
    taken = cursor.take(5)
    last = 0
    vectors: list[list[str]] = []
    for index, line in enumerate(taken, start=1):
        if line.startswith(("Vector", "Offset")):
            last = index
            if line.startswith("Vector"):
                vectors.append(line.split()[1:])
        elif line.strip():
            break
    cursor.put_back(taken[last:])
    return bool(vectors) and vectors != _UNIT_VECTORS


def _is_atom(line: str) -> bool:
    try:
        _geometry((line,), None, 1.0)
    except ValueError:
        return False
    return True


def read_xyz(frame: XyzFrame) -> Input:
    """Return the molecule of one frame.

    The comment may state the charge, the multiplicity, `smiles=`, `name=` and the unit of length
    (docs/how-to/inputs.md), and may have the extended-XYZ keys `Properties=` (where element and
    position are) and `Lattice=`, which is refused unless it is zero or `pbc="F F F"`: xTB is run on
    molecules. A comment without any key is the name. D and T are isotopes of hydrogen.
    """
    stated = Stated()
    geometry = None
    error = frame.error
    comment = Comment(pairs={}, title="")
    try:
        refuse_nul(frame.comment)
        refuse_long(frame.comment)
        properties = _properties(frame.comment)
        if error is None:
            geometry = _geometry(frame.atoms, properties, frame.scale or 1.0)
    except ValueError as problem:
        error = error or str(problem)
    composition = None
    if geometry is not None:
        composition = dict(Counter(geometry.elements()))
    comment = read_comment(frame.comment, composition, stated)
    error = error or comment.error
    if error is None and geometry is not None:
        try:
            _refuse_periodic(comment)
            scale = _scale(comment, frame.scale)
            if scale != 1.0:
                geometry = _geometry(frame.atoms, properties, scale)
            stated.settle(sum(geometry.numbers))
            _compare_per_atom(frame.atoms, properties, stated)
            if not comment.pairs.get("smiles") and "xyz_sha256" in comment.pairs:
                refuse_lost_isotopes(geometry, comment.pairs.get("molecular_weight"))
        except ValueError as problem:
            error = str(problem)
    return Input(
        number=frame.number,
        line=frame.line,
        lines=frame.lines,
        source=shown("\n".join([frame.comment, *(line.rstrip() for line in frame.atoms)])),
        name=tidy_name((comment.name or "").removesuffix("%PBC")),
        smiles=comment.pairs.get("smiles", "").strip() or _qm9_smiles(frame.trailer),
        geometry=geometry,
        charge=stated.charge,
        multiplicity=stated.multiplicity,
        charge_unclear=_about_comment(stated.charge_unclear),
        multiplicity_unclear=_about_comment(stated.multiplicity_unclear),
        charge_assumed=is_assumed(comment.pairs.get("charge_source")),
        multiplicity_assumed=is_assumed(comment.pairs.get("multiplicity_source")),
        error=error,
    )


def _about_comment(unclear: str | None) -> str | None:
    return None if unclear is None else f"the comment line {unclear}"


def _qm9_smiles(trailer: Sequence[str]) -> str | None:
    """Return the second SMILES, which is that of the relaxed geometry."""
    words = trailer[1].split() if len(trailer) == 3 else []
    return words[1] if len(words) == 2 else None


def _refuse_periodic(comment: Comment) -> None:
    pairs = comment.pairs
    cell = next((pairs[key] for key in ("lattice", "cell", "unit_cell") if pairs.get(key)), None)
    periodic = pairs.get("pbc")
    if periodic is None:
        if cell is not None and not re.fullmatch(r"[-+0.eE\s,\[\]()]*", cell):
            raise ValueError(
                'the frame has a cell (Lattice) and is periodic unless it says pbc="F F F"; only '
                "molecules can be calculated"
            )
    else:
        for word in re.findall(r"[^\s,\[\](){}]+", periodic.lower()):
            if word in _TRUE:
                raise ValueError("the frame is periodic (pbc); only molecules can be calculated")
            if word not in _FALSE:
                raise ValueError(f"pbc={periodic[:40]} is not `T` or `F` for each axis")
    if {"a", "b", "c", "alpha", "beta", "gamma"} <= pairs.keys():
        raise ValueError("the frame has the lengths and angles of a cell; only molecules can be")
    if _FRACTIONAL.search(_about_positions(comment)):
        raise ValueError("the comment mentions fractional coordinates; write positions in Å")


def _about_positions(comment: Comment) -> str:
    values = (value for key, value in comment.pairs.items() if "coord" in key)
    return " ".join([comment.title, *values])


def _scale(comment: Comment, stated: float | None) -> float:
    """Return how many Å the unit of length has, by the comment or the count line."""
    for key in _UNIT_KEYS:
        if key in comment.pairs:
            unit = comment.pairs[key].strip().lower()
            scale = _UNITS.get(unit)
            if scale is None and key != "unit" and key != "units":
                raise ValueError(f"{key}={unit[:20]} is not angstrom, bohr or nm")
            if scale is not None:
                if stated not in (None, scale):
                    raise ValueError(f"{key}={unit} contradicts the unit after the atom count")
                return scale
    if stated is not None:
        return stated
    if _BARE_BOHR.search(_about_positions(comment)):
        raise ValueError(
            "the comment mentions Bohr; write length_unit=bohr, or length_unit=angstrom"
        )
    return 1.0


class _Columns(msgspec.Struct, frozen=True):
    """Where `Properties=` says what is in a line of an atom, counted from 0."""

    element: int
    position: int
    others: dict[str, int]


def _properties(comment: str) -> _Columns | None:
    """Return the columns that `Properties=` names; None where the comment has none."""
    found = re.search(r"""(?<![^\s"'])properties["']?\s*=\s*["']?([^\s"']+)""", comment, re.I)
    if found is None:
        return None
    places: dict[str, int] = {}
    column = 0
    parts = found[1].split(":")
    for name, width in zip(parts[::3], parts[2::3], strict=False):
        places.setdefault(name.lower(), column)
        column += int(width) if width.isdecimal() and len(width) < 6 else 1
    if "pos" not in places or not {"species", "z"} & places.keys():
        raise ValueError(f"Properties={found[1][:200]} has no species and pos")
    return _Columns(places.get("species", places.get("z", 0)), places["pos"], places)


def _geometry(lines: tuple[str, ...], columns: _Columns | None, scale: float) -> Geometry:
    if columns is None and scale == 1.0 and (plain := _plain_geometry(lines)) is not None:
        return plain
    element, position = (0, 1) if columns is None else (columns.element, columns.position)
    numbers: list[int] = []
    isotopes: list[int] = []
    positions: list[Position] = []
    fields: list[str] = []
    for index, line in enumerate(lines, start=1):
        fields = line.split()
        try:
            number, isotope = _atom(fields[element])
            x, y, z = (scale * _number(field) for field in fields[position : position + 3])
        except (IndexError, ValueError, KeyError):
            raise ValueError(_no_atom(index, line)) from None
        refuse_position(index, (x, y, z))
        numbers.append(number)
        isotopes.append(isotope)
        positions.append((x, y, z))
    if not numbers:
        raise ValueError("the frame has no atoms")
    if columns is None and len(lines) > 1 and len(fields) > 4:
        _refuse_counted_atoms(lines)
    return Geometry(tuple(numbers), tuple(positions), tuple(isotopes) if any(isotopes) else ())


def _no_atom(index: int, line: str) -> str:
    text = f"atom {index} is not `element x y z`: {line.strip()[:80]!r}"
    fields = line.split()
    if len(fields) >= 4 and all(re.fullmatch(r"-?\d*,\d+", field) for field in fields[1:4]):
        return f"{text}; write decimal points instead of commas"
    if len(fields) >= 5 and fields[0].isdigit() and fields[1].isalpha():
        return f"{text}; leave out the column that counts the atoms"
    return text


def _refuse_counted_atoms(lines: tuple[str, ...]) -> None:
    """Refuse `1 8 x y z`, `2 1 x y z`, …: a number that counts the atom is no element."""
    for index, line in enumerate(lines, start=1):
        first, second, *_ = line.split()
        if first != str(index) or not second.isdigit() or not 0 < len(second.lstrip("0")) < 4:
            return
    raise ValueError("the first column counts the atoms; the first must be the element")


def _plain_geometry(lines: tuple[str, ...]) -> Geometry | None:
    """The geometry of `element x y z` lines in a tenth of the time; None for anything else."""
    text = " ".join(lines)
    fields = text.split()
    if not lines or len(fields) != 4 * len(lines) or "_" in text:
        return None
    try:
        numbers = tuple([ATOMIC_NUMBERS[symbol] for symbol in fields[::4]])
        values = [list(map(float, fields[start::4])) for start in (1, 2, 3)]
    except (KeyError, ValueError):
        return None
    if not all(
        math.isfinite(sum(column)) and max(column) <= FARTHEST and min(column) >= -FARTHEST
        for column in values
    ):
        return None
    if any(len(line.split()) != 4 for line in lines):
        return None
    return Geometry(numbers, tuple(zip(*values, strict=True)))


def _number(text: str) -> float:
    """Return a number with any usual exponent: 1e-6, 1.D-6, QM9's 1*^-6."""
    if "_" in text:
        raise ValueError(text)
    try:
        return float(text)
    except ValueError:
        return float(text.replace(_QM9_EXPONENT, "e").replace("D", "E").replace("d", "e"))


def _atom(text: str) -> tuple[int, int]:
    """Return the atomic number and the mass number (0: not given) of a symbol, label or number."""
    if text.isdigit():
        number = int(text) if len(text) < 4 else 0
        if not 0 < number < len(ELEMENTS):
            raise ValueError(text)
        return number, 0
    symbol = text.capitalize()
    if symbol in _HYDROGENS:
        return 1, _HYDROGENS[symbol]
    if symbol in ATOMIC_NUMBERS:
        return ATOMIC_NUMBERS[symbol], 0
    if (found := _LABEL.fullmatch(text)) is None:
        raise KeyError(text)
    mass, symbol, label = found.groups()
    if symbol in _HYDROGENS and not mass:
        return 1, _HYDROGENS[symbol]
    number = ATOMIC_NUMBERS[symbol]
    if mass and (label or not number <= int(mass) <= 3 * number):
        raise KeyError(text)
    return number, int(mass or 0)


def _compare_per_atom(lines: tuple[str, ...], columns: _Columns | None, stated: Stated) -> None:
    """Compare the sums of charges and of moments per atom with what the comment states.

    Raises:
        ValueError: when the charges add up to another charge than the one that is stated.
    """
    if columns is None:
        return
    for name in _PER_ATOM_CHARGES:
        total = _sum(lines, columns, name)
        if total is None:
            continue
        if stated.charge is None and abs(total) > 0.5:
            stated.charge_unclear = (
                f"states no charge, and {name} of the atoms add up to {total:+.2f}; write charge="
            )
        elif stated.charge is not None and total and abs(total - stated.charge) > 0.5:
            raise ValueError(
                f"charge={stated.charge}, but {name} of the atoms add up to {total:+.2f}"
            )
    for name in _PER_ATOM_MOMENTS:
        total = _sum(lines, columns, name)
        if total is not None and stated.multiplicity is None and abs(total) > 0.5:
            stated.multiplicity_unclear = (
                f"states no multiplicity, and {name} of the atoms add up to {total:+.2f}; "
                "write multiplicity="
            )


def _sum(lines: tuple[str, ...], columns: _Columns, name: str) -> float | None:
    """Return the sum of a column; None where it is not there or has something else."""
    if name not in columns.others:
        return None
    try:
        total = math.fsum(_number(line.split()[columns.others[name]]) for line in lines)
    except (ValueError, IndexError, OverflowError):
        return None
    return total if math.isfinite(total) else None
