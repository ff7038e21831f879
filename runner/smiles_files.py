"""Molecules from text with a SMILES in each row: .smi and .csv."""

import csv
from collections.abc import Iterable, Iterator

import msgspec

from runner.errors import RunnerError
from runner.records import Input, parse_charge, parse_multiplicity, refuse_nul, shown, tidy_name

_HEADER_WORDS = frozenset({"smiles", "smi", "canonical_smiles", "isomeric_smiles"})


class SmilesLine(msgspec.Struct, frozen=True):
    """A line of a .smi file that holds a molecule; `number` counts all lines from 1."""

    number: int
    text: str


def smi_lines(lines: Iterable[str]) -> Iterator[SmilesLine]:
    """Yield the lines that hold a molecule: no blank lines, `#` comments, `smiles name` header."""
    may_be_header = True
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        # A SMILES cannot begin with a bond, so a leading # is always a comment.
        if not text or text.startswith("#"):
            continue
        if may_be_header and text.split()[0].lower() in _HEADER_WORDS:
            may_be_header = False
            continue
        may_be_header = False
        yield SmilesLine(number, line)


def read_smi(line: SmilesLine) -> Input:
    """Return the molecule of one line: SMILES, white space, name (which may contain spaces)."""
    try:
        refuse_nul(line.text)
    except ValueError as error:
        return Input(number=line.number, source=shown(line.text), error=str(error))
    fields = line.text.split(None, 1)
    smiles, rest = fields[0], fields[1].strip() if len(fields) > 1 else ""
    if rest.startswith("|") and "|" in rest[1:]:
        # A CXSMILES extension belongs to the structure, not to the name.
        extension, _, rest = rest[1:].partition("|")
        smiles = f"{smiles} |{extension}|"
    if "\t" in rest:
        rest = rest.split("\t", 1)[0]
    return Input(
        number=line.number,
        source=shown(line.text),
        name=tidy_name(rest),
        smiles=smiles,
    )


class Row(msgspec.Struct, frozen=True):
    """A row of a .csv file; `number` is the line where it begins, the header being line 1."""

    number: int
    fields: tuple[str, ...]
    error: str | None = None


class Columns(msgspec.Struct, frozen=True):
    """Where the columns of a .csv file are, counted from 0; -1 for one that it does not have."""

    delimiter: str
    names: tuple[str, ...]
    smiles: int
    name: int
    charge: int
    multiplicity: int


class NoColumnError(RunnerError):
    """A .csv file has no column `smiles`; `columns` are those that it has."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        found = ", ".join(name for name in columns if name) or "none"
        super().__init__(f"no column named smiles; the columns are: {found}")
        self.columns = columns


def csv_columns(header: str) -> Columns:
    """Find the columns in a header line; the delimiter is the commonest of comma, semicolon, tab.

    Names are compared without regard to case. Raises NoColumnError when there is no column
    `smiles`.
    """
    delimiter = max(",;\t", key=header.count)
    names = tuple(name.strip() for name in next(csv.reader([header], delimiter=delimiter), []))
    lowered = [name.lower() for name in names]
    if "smiles" not in lowered:
        raise NoColumnError(names)

    def place(*wanted: str) -> int:
        return next((lowered.index(name) for name in wanted if name in lowered), -1)

    return Columns(
        delimiter=delimiter,
        names=names,
        smiles=place("smiles"),
        name=place("name", "id"),
        charge=place("charge"),
        multiplicity=place("multiplicity"),
    )


def csv_rows(lines: Iterable[str], columns: Columns) -> Iterator[Row]:
    """Yield the rows below the header, blank ones skipped; an unreadable row has an error."""
    reader = csv.reader(lines, delimiter=columns.delimiter)
    while True:
        number = reader.line_num + 2  # the header was read before
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, (), f"not a readable row: {error}")
            continue
        if any(field.strip() for field in fields):
            yield Row(number, tuple(fields))


def read_csv(row: Row, columns: Columns) -> Input:
    """Return the molecule of one row."""
    text = columns.delimiter.join(row.fields)
    source = shown(text)

    def cell(place: int) -> str:
        return row.fields[place].strip() if 0 <= place < len(row.fields) else ""

    name = tidy_name(cell(columns.name))
    if row.error is not None:
        return Input(number=row.number, source=source, error=row.error)
    charge = multiplicity = error = None
    try:
        refuse_nul(text)
        if given := cell(columns.charge):
            charge = parse_charge(given)
        if given := cell(columns.multiplicity):
            multiplicity = parse_multiplicity(given)
        if not cell(columns.smiles):
            raise ValueError("the smiles column is empty")
    except ValueError as problem:
        error = str(problem)
    return Input(
        number=row.number,
        source=source,
        name=name,
        smiles=cell(columns.smiles) or None,
        charge=charge,
        multiplicity=multiplicity,
        error=error,
    )
