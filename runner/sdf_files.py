"""Molecules from .sdf files, one record at a time."""

from collections.abc import Iterable, Iterator

import msgspec
from rdkit import Chem

from runner.geometry import Geometry
from runner.rdkit_messages import collected_messages, reason_from
from runner.records import Input, parse_charge, parse_multiplicity, shown, tidy_name

_LINE_LIMIT = 200_000  # lines in one record; beyond it the file is not an .sdf


class SdfRecord(msgspec.Struct, frozen=True):
    """The text of one record up to its `$$$$`; `number` counts records from 1."""

    number: int
    text: str
    error: str | None = None


def sdf_records(lines: Iterable[str]) -> Iterator[SdfRecord]:
    """Split at `$$$$`; a last record without it counts when it is not blank."""
    number, record, skipped = 1, list[str](), False
    for line in lines:
        if line.startswith("$$$$"):
            yield _record(number, record, skipped)
            number, record, skipped = number + 1, [], False
        elif len(record) < _LINE_LIMIT:
            record.append(line)
        else:
            skipped = True
    if any(line.strip() for line in record):
        yield _record(number, record, skipped)


def _record(number: int, record: list[str], skipped: bool) -> SdfRecord:
    error = f"the record has more than {_LINE_LIMIT:,} lines" if skipped else None
    return SdfRecord(number, "" if skipped else "".join(record).replace("\r\n", "\n"), error)


def read_sdf(record: SdfRecord) -> Input:
    """Return the molecule of one record, with its coordinates when they are three-dimensional.

    Hydrogens that a 3D record leaves out are added, with coordinates, after its own atoms. The name
    is the title line, or else a data item `name` or `id`; data items `charge` and `multiplicity`
    are used.
    """
    block, _, data = record.text.partition("M  END")
    items = _data_items(data)
    name = tidy_name(block.split("\n", 1)[0] if "\n" in block else None)
    name = name or tidy_name(items.get("name") or items.get("id"))
    smiles = geometry = charge = multiplicity = None
    error = record.error
    if error is None:
        try:
            smiles, geometry = _structure(block + "M  END\n")
            if text := items.get("charge"):
                charge = parse_charge(text)
            if text := items.get("multiplicity"):
                multiplicity = parse_multiplicity(text)
        except ValueError as problem:
            error = str(problem)
    return Input(
        number=record.number,
        source=shown(record.text),
        name=name,
        smiles=smiles,
        geometry=geometry,
        charge=charge,
        multiplicity=multiplicity,
        error=error,
    )


def _structure(block: str) -> tuple[str, Geometry | None]:
    with collected_messages() as messages:
        try:
            mol = Chem.MolFromMolBlock(block, removeHs=False)
        except Exception as error:  # RDKit raises plain RuntimeError for some counts lines
            raise ValueError(f"not a readable record: {error}") from error
        if mol is None:
            raise ValueError(reason_from(messages, "not a readable record"))
        if mol.GetNumAtoms() == 0:
            raise ValueError("the record has no atoms")
        smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
        if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
            return smiles, None
        mol = Chem.AddHs(mol, addCoords=True)
    positions = mol.GetConformer().GetPositions().tolist()
    return smiles, Geometry(
        numbers=tuple(atom.GetAtomicNum() for atom in mol.GetAtoms()),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in positions),
    )


def _data_items(text: str) -> dict[str, str]:
    """Return the first line of each `> <field>` item, by lower-case field name."""
    items: dict[str, str] = {}
    field = None
    for line in text.split("\n"):
        if line.startswith(">") and "<" in line:
            field = line.split("<", 1)[1].split(">", 1)[0].strip().lower()
        elif field is not None:
            items.setdefault(field, line.strip())
            field = None
    return items
