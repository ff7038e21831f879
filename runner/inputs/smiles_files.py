"""Molecules from text with a SMILES in each row: .smi and .csv."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from quantum_forge.eventstore.base.csv_text import text_of_csv
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.runner.errors import RunnerError
from quantum_forge.runner.inputs.lost_isotopes import refuse_lost_isotopes
from quantum_forge.runner.inputs.stated import Stated, is_about_a_molecule, is_assumed, stated_by
from quantum_forge.runner.inputs.text_lines import LINE_LIMIT, refuse_long
from quantum_forge.runner.molecules.geometry import (
    ATOMIC_NUMBERS,
    BOHR_ANGSTROM,
    Geometry,
    refuse_position,
)
from quantum_forge.runner.molecules.records import (
    Input,
    refuse_nul,
    shown,
    tidy_name,
)

_SMILES_NAMES = ("smiles", "smi", "canonical_smiles", "isomeric_smiles", "canonicalsmiles")
_NAME_NAMES = ("name", "id", "title", "compound_name", "compound_id", "catalog_id", "catalogue_id")
_LENGTHS = {"angstrom": 1.0, "bohr": BOHR_ANGSTROM, "nm": 10.0}

_ROW_LINES = 1_000
"""Lines of one row at most; a quote that is open for longer was not meant as one."""

# Our own exports have a list for all atoms in one field.
csv.field_size_limit(3 * LINE_LIMIT)


class Columns(msgspec.Struct, frozen=True):
    """Where the columns of a table are, counted from 0; -1 for one that it does not have.

    `stated` are those whose names are about charge and spin. `delimiter` is None for white space.
    `elements` and `positions` are those of a dataset that was exported as csv; `angstrom` is its
    unit of length in Å.
    """

    delimiter: str | None
    names: tuple[str, ...]
    smiles: int
    name: int
    stated: tuple[tuple[int, str], ...]
    charge_source: int
    multiplicity_source: int
    molecular_weight: int = -1
    elements: int = -1
    positions: int = -1
    angstrom: float = 1.0


class SmilesLine(msgspec.Struct, frozen=True):
    """A line of a .smi file that holds a molecule; `number` and `line` count all lines from 1."""

    number: int
    text: str
    columns: Columns | None = None
    lines: int = 1

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.number


def smi_lines(lines: Iterable[str]) -> Iterator[SmilesLine]:
    """Yield the lines that hold a molecule: no blank lines, `#` comments, `smiles name` header.

    A header separated by tabs says which columns hold the name, the charge and the multiplicity.
    """
    may_be_header = True
    columns = None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        # A SMILES cannot begin with a bond, so a leading # is always a comment.
        if not text or text.startswith("#"):
            continue
        if may_be_header and text.split(None, 1)[0].lower() in _SMILES_NAMES:
            may_be_header = False
            if "\t" in text:
                columns = _columns([name.strip() for name in text.split("\t")], "\t")
            continue
        may_be_header = False
        yield SmilesLine(number, line, columns)


def read_smi(line: SmilesLine) -> Input:
    """Return the molecule of one line: SMILES, white space, name (which may contain spaces).

    A CXSMILES extension between bars, after a space or a tab, belongs to the SMILES. Tabs end the
    name; what follows are other columns, which a header may name.
    """
    source = shown(line.text)
    stated = Stated()
    is_charge_assumed = is_multiplicity_assumed = False
    try:
        refuse_nul(line.text)
        refuse_long(line.text)
        smiles, rest = _with_extension(line.text)
        name = rest.split("\t", 1)[0]
        if line.columns is not None:
            cells = [smiles, *rest.split("\t")]
            name = _cell(cells, line.columns.name)
            stated = _stated(cells, line.columns, None)
            is_charge_assumed, is_multiplicity_assumed = _assumed(cells, line.columns)
    except ValueError as error:
        return Input(number=line.number, line=line.number, source=source, error=str(error))
    return Input(
        number=line.number,
        line=line.number,
        source=source,
        name=tidy_name(name),
        smiles=smiles,
        charge=stated.charge,
        multiplicity=stated.multiplicity,
        charge_unclear=_about_row(stated.charge_unclear),
        multiplicity_unclear=_about_row(stated.multiplicity_unclear),
        charge_assumed=is_charge_assumed,
        multiplicity_assumed=is_multiplicity_assumed,
    )


def _with_extension(text: str) -> tuple[str, str]:
    """Return the SMILES with its CXSMILES extension, and what follows, without surrounding space.

    An empty column between two tabs is kept.
    """
    smiles, *others = text.split(None, 1)
    after = text.strip()[len(smiles) :]
    rest = others[0].strip() if others else ""
    if rest.startswith("|") and "|" in rest[1:]:
        extension, _, after = rest[1:].partition("|")
        smiles = f"{smiles} |{extension}|"
    after = after.lstrip(" ")
    return smiles, after.removeprefix("\t").rstrip()


class Row(msgspec.Struct, frozen=True):
    """A row of a .csv file; `number` and `line` are where it begins, `source` an unreadable one."""

    number: int
    fields: tuple[str, ...]
    columns: Columns
    error: str | None = None
    lines: int = 1
    source: str | None = None

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.number


class NoColumnError(RunnerError):
    """A table has not the column that is looked for; `columns` are those that it has."""

    def __init__(self, columns: Sequence[str], wanted: str | None = None) -> None:
        names = [name for name in columns if name]
        found = f"the columns are: {shown(', '.join(names)) or 'none'}"
        if wanted is None:
            super().__init__(
                f"no column named smiles; {found}; name the one that holds the SMILES by "
                "--smiles-column"
            )
        else:
            hint = suggestion(wanted, names, otherwise=found)
            super().__init__(f"no column named {wanted}; {hint}")
        self.columns = tuple(columns)


def csv_rows(
    lines: Iterable[str],
    *,
    delimiter: str | None = None,
    smiles_column: str | None = None,
    name_column: str | None = None,
) -> Iterator[Row]:
    """Read the header, and return the rows below it.

    Names of columns are compared without regard to case.

    Args:
        lines: of the file.
        delimiter: None for the commonest of comma, semicolon and tab in the header, or what a line
            such as `sep=;` above it says, which spreadsheets write.
        smiles_column: the name of the column that holds the SMILES; None for one of the usual.
        name_column: the same of the names of the molecules.

    Raises:
        NoColumnError: when there is no column `smiles`, or none of the name that is given.
        ValueError: when the header cannot be read.
    """
    feed = _Feed(lines)
    for header in feed:
        text = header.strip("\n")
        refuse_nul(text)
        refuse_long(text)
        if text[:4].lower() == "sep=" and len(text) == 5:
            delimiter = delimiter or text[4]
        elif text.strip():
            break
    else:
        raise ValueError("no molecules in this file")
    delimiter = delimiter or max(",;\t", key=header.count)
    feed.begin()
    try:
        names = next(csv.reader(chain([header], feed), delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"the header is not readable: {error}") from None
    if feed.was_cut:
        raise ValueError("the header opens a quote that is not closed")
    columns = _columns(
        [name.strip() for name in names],
        delimiter,
        smiles_column=smiles_column,
        name_column=name_column,
    )
    return _rows(feed, columns, delimiter)


def _columns(
    names: Sequence[str],
    delimiter: str,
    *,
    smiles_column: str | None = None,
    name_column: str | None = None,
) -> Columns:
    lowered = [_lowered(name) for name in names]
    for wanted in (smiles_column, name_column):
        if wanted is not None and _lowered(wanted) not in lowered:
            raise NoColumnError(names, wanted)
    of_smiles = _SMILES_NAMES if smiles_column is None else (_lowered(smiles_column),)
    of_name = _NAME_NAMES if name_column is None else (_lowered(name_column),)

    def place(wanted: Iterable[str]) -> int:
        return next((lowered.index(name) for name in wanted if name in lowered), -1)

    if place(of_smiles) < 0:
        raise NoColumnError(names)
    unit = next((unit for unit in _LENGTHS if f"positions_{unit}" in lowered), "angstrom")
    return Columns(
        delimiter=delimiter,
        names=tuple(names),
        smiles=place(of_smiles),
        name=place(of_name),
        stated=tuple(
            (index, name) for index, name in enumerate(names) if is_about_a_molecule(name)
        ),
        charge_source=place(["charge_source"]),
        multiplicity_source=place(["multiplicity_source"]),
        molecular_weight=place(["molecular_weight", "molecular_weight_g_per_mol"]),
        elements=place(["elements"]),
        positions=place([f"positions_{unit}"]),
        angstrom=_LENGTHS[unit],
    )


def _lowered(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


class _Feed:
    """The lines of a table for csv.reader, which asks for another one while a quote is open.

    count: lines given so far. parts: those since `begin`. was_cut: since then, the reader asked
    for more lines than there are, or than a row may have.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.count = 0
        self.begin()

    def begin(self) -> None:
        """Begin a row."""
        self.parts: list[str] = []
        self.size = 0
        self.was_cut = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.parts) >= _ROW_LINES or self.size > LINE_LIMIT:
            self.was_cut = True
            raise StopIteration
        try:
            line = next(self._lines)
        except StopIteration:
            self.was_cut = True
            raise
        self.count += 1
        self.size += len(line)
        self.parts.append(line)
        return line + "\n"


def _rows(feed: _Feed, columns: Columns, delimiter: str) -> Iterator[Row]:
    """Yield the rows, blank ones skipped; an unreadable row has an error.

    A quoted field may contain line ends. A quote that is not closed within _ROW_LINES lines makes
    one unreadable row of the lines that it covers, and the next row begins after them.
    """
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        feed.begin()
        error = None
        fields: list[str] = []
        try:
            fields = next(reader)
            if feed.was_cut:
                error = "opens a quote that is not closed"
            elif len(feed.parts) > 1:
                # A stray quote can reach to the next one: what follows that tells.
                next(
                    csv.reader(
                        [f"{part}\n" for part in feed.parts], delimiter=delimiter, strict=True
                    )
                )
            if feed.size > LINE_LIMIT // 4:
                for part in feed.parts:
                    refuse_long(part)
        except StopIteration:
            return
        except (csv.Error, ValueError) as problem:
            error = f"not a readable row: {problem}"
        number, lines = feed.count - len(feed.parts) + 1, len(feed.parts)
        if error is not None:
            where = f"line {number}" if lines == 1 else f"lines {number} to {feed.count}"
            yield Row(number, (), columns, f"{where}: {error}", lines, shown("\n".join(feed.parts)))
        elif any(field.strip() for field in fields):
            yield Row(number, tuple(fields), columns, lines=lines)


def read_csv(row: Row) -> Input:
    """Return the molecule of one row."""
    columns = row.columns
    text = (columns.delimiter or " ").join(row.fields)
    name = smiles = geometry = None
    stated = Stated()
    is_charge_assumed = is_multiplicity_assumed = False
    error = row.error
    if error is None:
        try:
            refuse_nul(text)
            name = tidy_name(text_of_csv(_cell(row.fields, columns.name)))
            smiles = text_of_csv(_cell(row.fields, columns.smiles)) or None
            is_charge_assumed, is_multiplicity_assumed = _assumed(row.fields, columns)
            geometry = _geometry(row.fields, columns)
            stated = _stated(row.fields, columns, geometry)
            if smiles is None and geometry is not None:
                refuse_lost_isotopes(geometry, _cell(row.fields, columns.molecular_weight))
            if smiles is None and geometry is None:
                raise ValueError("the smiles column is empty")
            if any(field.strip() for field in row.fields[len(columns.names) :]):
                raise ValueError(
                    f"the row has {len(row.fields)} fields and the header {len(columns.names)}; "
                    "quote a field that contains the delimiter"
                )
        except ValueError as problem:
            error = str(problem)
    return Input(
        number=row.number,
        line=row.number,
        lines=row.lines,
        source=row.source if row.source is not None else shown(text),
        name=name,
        smiles=smiles,
        geometry=geometry if error is None else None,
        charge=stated.charge,
        multiplicity=stated.multiplicity,
        charge_unclear=_about_row(stated.charge_unclear),
        multiplicity_unclear=_about_row(stated.multiplicity_unclear),
        charge_assumed=is_charge_assumed,
        multiplicity_assumed=is_multiplicity_assumed,
        error=error,
    )


def _geometry(cells: Sequence[str], columns: Columns) -> Geometry | None:
    """Return the geometry of a row of our own csv export; raise ValueError for a bad one."""
    if columns.elements < 0 or columns.positions < 0:
        return None
    elements, positions = _cell(cells, columns.elements), _cell(cells, columns.positions)
    if not elements and not positions:
        return None
    try:
        symbols = msgspec.json.decode(elements, type=list[str])
        points = msgspec.json.decode(positions, type=list[tuple[float, float, float]])
    except msgspec.DecodeError as problem:
        raise ValueError(
            f"elements and {columns.names[columns.positions]} are not JSON lists of symbols and of "
            f"[x, y, z] ({problem}); correct them, or leave both empty"
        ) from None
    if not symbols or len(symbols) != len(points):
        raise ValueError(f"the row has {len(symbols)} elements and {len(points)} positions")
    try:
        numbers = tuple([ATOMIC_NUMBERS[symbol] for symbol in symbols])
    except KeyError as unknown:
        raise ValueError(f"{unknown} is not an element") from None
    scaled = [
        (x * columns.angstrom, y * columns.angstrom, z * columns.angstrom) for x, y, z in points
    ]
    for index, point in enumerate(scaled, start=1):
        refuse_position(index, point)
    return Geometry(numbers, tuple(scaled))


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place].strip() if 0 <= place < len(cells) else ""


def _assumed(cells: Sequence[str], columns: Columns) -> tuple[bool, bool]:
    """Return whether a row calls its charge, and its multiplicity, an assumption."""
    return (
        is_assumed(_cell(cells, columns.charge_source)),
        is_assumed(_cell(cells, columns.multiplicity_source)),
    )


def _stated(cells: Sequence[str], columns: Columns, geometry: Geometry | None) -> Stated:
    """Return what a row states of charge and multiplicity; raise ValueError for bad values."""
    return stated_by(
        ((name, _cell(cells, place)) for place, name in columns.stated),
        None if geometry is None else sum(geometry.numbers),
    )


def _about_row(unclear: str | None) -> str | None:
    return None if unclear is None else f"in the row, {unclear}"
