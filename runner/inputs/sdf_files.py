"""Molecules from .sdf files, one record at a time."""

import contextlib
import json
from collections.abc import Iterable, Iterator

import msgspec
from rdkit import Chem

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.runner.inputs.lost_isotopes import refuse_lost_isotopes
from quantum_forge.runner.inputs.stated import Stated, is_assumed, stated_by
from quantum_forge.runner.inputs.text_lines import LINE_LIMIT, RECORD_LIMIT, refuse_long
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.limits import MOST_ATOMS
from quantum_forge.runner.molecules.rdkit_messages import collected_messages, reason_from
from quantum_forge.runner.molecules.records import Input, refuse_nul, shown, tidy_name

_LINE_LIMIT = 200_000  # lines in one record; beyond it the file is not an .sdf
ADDED_HYDROGENS = "given+RDKit hydrogens"
"""The source of a geometry whose hydrogens were placed by the bonds of a record."""

_HEADER_LINES = 4  # title, program, comment, counts


class SdfRecord(msgspec.Struct, frozen=True):
    """The text of one record up to its `$$$$`; `number` counts records from 1.

    It has `lines` lines, `$$$$` included, of which `line` is the first.
    """

    number: int
    text: str
    error: str | None = None
    line: int = 1
    lines: int = 1


def sdf_records(lines: Iterable[str]) -> Iterator[SdfRecord]:
    """Split at `$$$$`; a last record without it counts when it is not blank."""
    number, first, count, size = 1, 1, 0, 0
    record: list[str] = []
    for line in lines:
        count += 1
        if line.startswith("$$$$"):
            yield _record(number, record, size, first, count)
            number, first, count, size, record = number + 1, first + count, 0, 0, []
            continue
        size += len(line) + 1
        if count <= _LINE_LIMIT and size <= RECORD_LIMIT:
            record.append(line)
    if any(line.strip() for line in record):
        yield _record(number, record, size, first, count)


def _record(number: int, record: list[str], size: int, first: int, count: int) -> SdfRecord:
    error = None
    if count > _LINE_LIMIT + 1:
        error = f"the record has more than {_LINE_LIMIT:,} lines"
    elif size > RECORD_LIMIT:
        error = f"the record has more than {RECORD_LIMIT:,} characters"
    text = "" if error else "".join(f"{line}\n" for line in record)
    return SdfRecord(number, text, error, first, count)


def read_sdf(record: SdfRecord) -> Input:
    """Return the molecule of one record, with its coordinates when they are three-dimensional.

    A 3D record without any hydrogen atom gets those that its atoms lack, with coordinates, after
    its own atoms, with a warning. One that has hydrogen atoms and lacks others is refused: it may
    be a radical, or its bonds may be drawn without their orders. The name is the title line, or
    else a data item `name` or `id`; data items that state the charge and the multiplicity, by any
    of their usual names, are used.

    A 3D record of several atoms without any bond is a geometry without SMILES, as a frame of an
    .xyz file is: its atoms are all that there are, and the charges of its atoms add up to its
    charge. One of our own exports has the SMILES, if there is one, as a data item, which leaves
    stereocentres open that any geometry decides: it counts where its constitution is that of the
    bonds. Atoms that all have charges are the ions of a salt, which need no bonds.

    It runs RDKit, which some records crash: call it in a worker process.
    """
    block, data = _parts(record.text)
    items = _data_items(data)
    title = block.partition("\n")[0]
    titles = (title, items.get("name"), items.get("id"))
    name = tidy_name(_decoded(next((text for text in titles if text and text.strip()), ""), items))
    smiles = geometry = charge = None
    added = 0
    stated = Stated()
    error = record.error
    if error is None:
        try:
            refuse_nul(record.text)
            for line in record.text.split("\n") if len(record.text) > LINE_LIMIT // 4 else ():
                refuse_long(line)
            smiles, geometry, total, added = _structure(block)
            stated = stated_by(items.items(), None if geometry is None else sum(geometry.numbers))
            charge = stated.charge
            if smiles is None:
                charge = _one_charge(charge, total)
                smiles = items.get("smiles") if "xyz_sha256" in items else None
                if not smiles and geometry is not None and "xyz_sha256" in items:
                    refuse_lost_isotopes(geometry, items.get("molecular_weight_g_per_mol"))
            elif "xyz_sha256" in items and (given := items.get("smiles")):
                smiles = given if _are_of_one_constitution(given, smiles) else smiles
        except ValueError as problem:
            error = str(problem)
    return Input(
        number=record.number,
        line=record.line,
        lines=record.lines,
        source=shown(record.text),
        name=name,
        smiles=smiles,
        geometry=geometry,
        geometry_source=ADDED_HYDROGENS if added else None,
        warnings=(
            (
                f"the record has no hydrogens: RDKit placed {counted(added, 'hydrogen')} by its "
                "bonds; give all atoms to compute a structure of your own",
            )
            if added
            else ()
        ),
        charge=charge,
        multiplicity=stated.multiplicity,
        charge_unclear=_about_items(stated.charge_unclear),
        multiplicity_unclear=_about_items(stated.multiplicity_unclear),
        charge_assumed=is_assumed(items.get("charge_source")),
        multiplicity_assumed=is_assumed(items.get("multiplicity_source")),
        error=error,
    )


def _about_items(unclear: str | None) -> str | None:
    return None if unclear is None else f"of the data items, {unclear}"


def _parts(text: str) -> tuple[str, str]:
    """Return the mol block with its last line `M  END`, and the data items after it."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        # A title may be `M  END`, too.
        if index >= _HEADER_LINES and line.startswith("M  END"):
            return "\n".join([*lines[:index], "M  END\n"]), "\n".join(lines[index + 1 :])
    return f"{text}M  END\n", ""


def _decoded(name: str, items: dict[str, str]) -> str:
    """Return a name; our own exports have JSON in place of one that no line can hold."""
    if "xyz_sha256" in items and name.startswith('"'):
        with contextlib.suppress(ValueError, RecursionError):
            decoded = json.loads(name)
            return decoded if isinstance(decoded, str) else name
    return name


def _one_charge(stated: int | None, total: int | None) -> int | None:
    if stated is not None and total is not None and stated != total:
        raise ValueError(
            f"a data item states the charge {stated:+d}, but the charges of the atoms (M  CHG) add "
            f"up to {total:+d}; correct one of them"
        )
    return total if stated is None else stated


def _structure(block: str) -> tuple[str | None, Geometry | None, int | None, int]:
    """Return the SMILES, the geometry, the charge of the atoms, and how many hydrogens were added.

    The SMILES is None where the bonds are not known, the charge (their sum) where no atom has one.
    """
    with collected_messages() as messages:
        try:
            mol = Chem.MolFromMolBlock(block, removeHs=False)
        except Exception as error:  # RDKit raises plain RuntimeError for some counts lines
            raise ValueError(f"not a readable record: {error}") from error
        if mol is None:
            raise ValueError(reason_from(messages, "not a readable record"))
        if mol.GetNumAtoms() == 0:
            raise ValueError("the record has no atoms")
        if mol.GetNumAtoms() > MOST_ATOMS:
            raise ValueError(
                f"the record has {mol.GetNumAtoms():,} atoms, more than the limit of {MOST_ATOMS:,}"
            )
        charges = [atom.GetFormalCharge() for atom in mol.GetAtoms()]
        total = sum(charges) if any(charges) else None
        is_3d = mol.GetNumConformers() > 0 and mol.GetConformer().Is3D()
        if is_3d and _lacks_bonds(mol):
            isotopes = tuple(atom.GetIsotope() for atom in mol.GetAtoms())
            return None, _geometry(mol, isotopes if any(isotopes) else ()), total, 0
        if is_3d:
            _refuse_some_hydrogens(mol)
        smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
        if not is_3d:
            return smiles, None, total, 0
        whole = Chem.AddHs(mol, addCoords=True)
        return smiles, _geometry(whole), total, whole.GetNumAtoms() - mol.GetNumAtoms()


def _are_of_one_constitution(one: str, other: str) -> bool:
    """Whether two SMILES differ by their stereochemistry at most."""
    constitutions = set()
    with collected_messages():
        for smiles in (one, other):
            mol = Chem.MolFromSmiles(smiles)
            if mol is None:
                return False
            Chem.RemoveStereochemistry(mol)
            constitutions.add(Chem.MolToSmiles(mol))
    return len(constitutions) == 1


def _refuse_some_hydrogens(mol: Chem.Mol) -> None:
    """Raise ValueError for a molecule that has hydrogen atoms and, by its bonds, lacks others."""
    if all(atom.GetAtomicNum() != 1 for atom in mol.GetAtoms()):
        return
    lacking = {atom.GetIdx() + 1: n for atom in mol.GetAtoms() if (n := atom.GetTotalNumHs())}
    if not lacking:
        return
    symbols = [f"{mol.GetAtomWithIdx(index - 1).GetSymbol()}{index}" for index in lacking]
    places = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
    raise ValueError(
        f"the record has hydrogen atoms, but lacks {sum(lacking.values())} at "
        f"{places} by its bonds; none is added: write a radical as M  RAD, a charge as M  CHG, "
        "the orders of all bonds and all hydrogens, or write the atoms as .xyz"
    )


def _lacks_bonds(mol: Chem.Mol) -> bool:
    """Whether it has several atoms and no bonds, and is not a salt of ions of one atom each."""
    return (
        mol.GetNumAtoms() > 1
        and mol.GetNumBonds() == 0
        and not all(atom.GetFormalCharge() for atom in mol.GetAtoms())
        and all(atom.GetAtomicNum() for atom in mol.GetAtoms())  # a placeholder has another reason
    )


def _geometry(mol: Chem.Mol, isotopes: tuple[int, ...] = ()) -> Geometry:
    positions = mol.GetConformer().GetPositions().tolist()
    return Geometry(
        numbers=tuple(atom.GetAtomicNum() for atom in mol.GetAtoms()),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in positions),
        isotopes=isotopes,
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
