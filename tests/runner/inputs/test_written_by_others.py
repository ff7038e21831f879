"""Files written by this project, ASE, RDKit and Open Babel are read back: molecules and names."""

import csv
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdkit import Chem

from quantum_forge.datasets.columns import COLUMNS, arrow_schema
from quantum_forge.datasets.formats import format_named
from quantum_forge.datasets.formats.writer import Header
from quantum_forge.datasets.units import STORED, Quantity, Units
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.inputs.files import Input, MoleculeFile, read_inputs
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.geometry import ATOMIC_NUMBERS, Geometry
from quantum_forge.runner.molecules.identity import Molecule, identify
from quantum_forge.schema.domains.calculations import ValueSource
from tests.support.open_babel import OpenBabel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of their own imports
    import ase.io
    from ase import Atoms

NEUTRAL = ("C", "O", "F", "N#N", "C=O", "c1ccccc1", "CC(=O)O", "NCC(=O)O", "C[C@H](O)F", "FC=CF")
IONS = ("CC(=O)[O-]", "[NH4+]", "[OH-]", "C[N+](C)(C)C", "[F-]", "[O-]C=O")
EVERY = NEUTRAL + IONS

TRICKY = st.sampled_from(
    [
        "123", "0012", "1e5", "nan", "inf", "T", "F", "true", "False", "None", "null", "1 2 3",
        "-1 2", "[1,2]", '{"a":1}', '"', '""', "a\\tb\\", "\\", "'", "it's", 'my "quoted" mol',
        "_JSON x",
        '_JSON "x"', "line1\nline2", "a=b smiles=CCC", "charge=-1", "name=x", "$$$$", "> <energy>",
        "M  END", "a,b;c\td", "=1+1", "zero\u200bwidth", "\u202ertl", "e\u0301", "x" * 300, "F F F",
        "Properties=species:S:1", "Lattice=", "pbc=T", "#", "smiles", "|x|", "C=C", "1,2",
        "\x7f", "a\rb",
    ]
)  # fmt: skip
NAMES = TRICKY | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)


@cache
def geometry_of(smiles: str) -> Geometry:
    return embed(smiles)


def written(suffix: str, content: bytes) -> list[Input]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        inputs = list(read_inputs(path))
        assert MoleculeFile(path).count.inputs == len(inputs)
        return inputs


def canonical(smiles: str, is_isomeric: bool = True) -> str:
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=is_isomeric))


def tidied(name: str) -> str | None:
    return name.strip() or None


def check(read: Sequence[Input], want: Sequence[tuple[str, str]]) -> None:
    """The same molecules, charges and names in the same order."""
    assert [each.error for each in read] == [None] * len(want)
    for found, (smiles, name) in zip(read, want, strict=True):
        assert found.name == tidied(name)
        molecule = identify(found)
        assert molecule.smiles == canonical(smiles)
        assert molecule.charge == Chem.GetFormalCharge(Chem.MolFromSmiles(smiles))


def row(smiles: str, name: str, units: Units) -> dict[str, Any]:
    geometry = geometry_of(smiles)
    length = units.factor(Quantity.LENGTH)
    known: dict[str, Any] = {
        "smiles": smiles,
        "name": name,
        "charge": Chem.GetFormalCharge(Chem.MolFromSmiles(smiles)),
        "multiplicity": 1,
        "method": "GFN2-xTB",
        "energy": -1.5,
        "xyz_sha256": geometry.xyz_sha256,
        "completed_at": datetime(2026, 1, 1, tzinfo=UTC),
        "elements": list(geometry.elements()),
        "atomic_numbers": list(geometry.numbers),
        "positions": [[value * length for value in point] for point in geometry.positions],
        "forces": [[0.0, 0.0, 0.0]] * len(geometry),
        "partial_charges": None,
    }
    return {column.name: known.get(column.name) for column in COLUMNS}


def exported(format_: str, rows: Sequence[tuple[str, str]], units: Units) -> bytes:
    return of_rows(format_, [row(smiles, name, units) for smiles, name in rows], units)


def of_rows(format_: str, rows: list[dict[str, Any]], units: Units) -> bytes:
    schema = arrow_schema(units, {})
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    file = io.BytesIO()
    writer = format_named(format_).open(Header(schema=schema, units=units, about={}), file, None)
    writer.write(batch)
    writer.close()
    return file.getvalue()


PAIRS = st.lists(st.tuples(st.sampled_from(EVERY), NAMES), min_size=1, max_size=6)
NEUTRAL_PAIRS = st.lists(st.tuples(st.sampled_from(NEUTRAL), NAMES), min_size=1, max_size=6)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(PAIRS, st.sampled_from([STORED, Units("ev", "angstrom"), Units("kcal/mol", "bohr")]))
@settings(SLOW, max_examples=15)
def test_our_extxyz_is_read_back_exactly(rows: list[tuple[str, str]], units: Units) -> None:
    """Names, SMILES, charges, and positions, whatever the unit of length is."""
    read = written(".extxyz", exported("extxyz", rows, units))

    check(read, rows)
    for found, (smiles, _) in zip(read, rows, strict=True):
        assert found.smiles == smiles
        assert found.geometry is not None
        assert found.geometry.xyz_sha256 == geometry_of(smiles).xyz_sha256


@given(PAIRS, st.sampled_from([STORED, Units("ev", "nm"), Units("kcal/mol", "bohr")]))
@settings(SLOW, max_examples=20)
def test_our_csv_is_read_back(rows: list[tuple[str, str]], units: Units) -> None:
    """Positions, too, whatever the unit of length is."""
    read = written(".csv", exported("csv", rows, units))

    check(read, [(smiles, name.replace("\r\n", "\n").replace("\r", "\n")) for smiles, name in rows])
    assert [each.multiplicity for each in read] == [1] * len(rows)
    for found, (smiles, _) in zip(read, rows, strict=True):
        assert found.geometry is not None
        assert found.geometry.xyz_sha256 == geometry_of(smiles).xyz_sha256


@given(st.lists(st.tuples(st.sampled_from(EVERY), NAMES), min_size=20, max_size=40))
@settings(SLOW, max_examples=3)
def test_our_sdf_is_read_back(rows: list[tuple[str, str]]) -> None:
    """A record without a name has its SMILES as the title."""
    read = written(".sdf", exported("sdf", rows, STORED))

    check(read, [(smiles, name or smiles) for smiles, name in rows])


SOURCES = st.sampled_from(ValueSource)


@pytest.mark.parametrize("format_", ["extxyz", "sdf", "csv"])
@given(rows=st.lists(st.tuples(st.sampled_from(EVERY), SOURCES, SOURCES), min_size=1, max_size=6))
@settings(SLOW, max_examples=4)
def test_what_our_exports_call_assumed_is_assumed_again(
    format_: str, rows: list[tuple[str, ValueSource, ValueSource]]
) -> None:
    """An assumption that is read back is not a statement; --multiplicity may replace it."""
    written_rows = [
        row(smiles, "", STORED) | {"charge_source": of_charge, "multiplicity_source": of_spin}
        for smiles, of_charge, of_spin in rows
    ]

    read = written(f".{format_}", of_rows(format_, written_rows, STORED))

    for each, (smiles, of_charge, of_spin) in zip(read, rows, strict=True):
        molecule = identify(each)
        if Chem.GetFormalCharge(Chem.MolFromSmiles(smiles)) == 0:
            assert molecule.charge_source == of_charge
        assert (molecule.multiplicity, molecule.multiplicity_source) == (1, of_spin)
        replaced = identify(each, multiplicity=3)
        assert replaced.multiplicity == (3 if of_spin is ValueSource.ASSUMED else 1)
        assert replaced.multiplicity_source is ValueSource.GIVEN


WATER_FRAME = (
    "3\nProperties=species:S:1:pos:R:3 charge={} charge_source=assumed multiplicity={} "
    "multiplicity_source=assumed\nO 0 0 0\nH 0 0 0.96\nH 0.93 0 -0.24\n"
)


def assumed_water(charge: int, multiplicity: int) -> Input:
    (read,) = written(".extxyz", WATER_FRAME.format(charge, multiplicity).encode())
    return read


def test_a_value_that_was_edited_and_is_still_called_assumed_is_stated() -> None:
    """It is not what would be assumed: 0 is the charge, and 1 or 2 the multiplicity."""
    triplet = identify(assumed_water(0, 3))
    cation = identify(assumed_water(1, 2))

    assert (triplet.multiplicity, triplet.multiplicity_source) == (3, "given")
    assert (cation.charge, cation.charge_source) == (1, "given")
    assert (cation.multiplicity, cation.multiplicity_source) == (2, "assumed")
    with pytest.raises(InputError, match="multiplicity 2 does not fit 10 electrons"):
        identify(assumed_water(0, 2))


def test_a_stated_charge_replaces_an_assumed_one_and_the_spin_that_followed_from_it() -> None:
    cation = identify(assumed_water(0, 1), charge=1)

    assert (cation.charge, cation.charge_source) == (1, "given")
    assert (cation.multiplicity, cation.multiplicity_source) == (2, "assumed")


METALS = Path(__file__).parents[2] / "cases" / "xyz_without_bonds" / "metal.extxyz"
NITRIC_OXIDE = "2\nNO\nN 0 0 0\nO 0 0 1.15\n"
METHYL_CATION = "4\ncharge=1 name=CH3+\nC 0 0 0\nH 1.09 0 0\nH -0.545 0.944 0\nH -0.545 -0.944 0\n"
SALT = "2\nsmiles=[Na+].[Cl-] name=salt\nNa 0 0 0\nCl 0 0 2.4\n"
ATOMS = "2\nsmiles=[Na].[Na] name=Na2\nNa 0 0 0\nNa 0 0 3.08\n"


@pytest.mark.parametrize("format_", ["sdf", "csv"])
def test_our_exports_give_the_same_molecules_where_they_have_no_bonds(format_: str) -> None:
    """Metal complexes, salts, radicals and ions keep what identifies them, charge and spin too."""
    text = METALS.read_text() + NITRIC_OXIDE + METHYL_CATION + SALT + ATOMS
    first = [(each, identify(each)) for each in written(".extxyz", text.encode())]
    rows = []
    for each, molecule in first:
        assert each.geometry is not None
        known = row("O", each.name or "", STORED) | {
            "smiles": molecule.smiles,
            "charge": molecule.charge,
            "multiplicity": molecule.multiplicity,
            "xyz_sha256": each.geometry.xyz_sha256,
            "elements": list(each.geometry.elements()),
            "atomic_numbers": list(each.geometry.numbers),
            "positions": [list(point) for point in each.geometry.positions],
            "forces": None,
        }
        rows.append({column.name: known.get(column.name) for column in COLUMNS})

    again = [identify(each) for each in written(f".{format_}", of_rows(format_, rows, STORED))]

    assert len(again) == 15
    assert [told_apart(each) for each in again] == [told_apart(each) for _, each in first]


@pytest.mark.parametrize("format_", ["extxyz", "sdf", "csv"])
def test_isotopes_that_an_export_does_not_name_are_not_lost(format_: str) -> None:
    """A molecule without a SMILES that has them is refused, and without them it is read."""
    results = []
    for symbol in ("H", "D"):
        text = f"3\ncharge=0\nFe 0 0 0\n{symbol} 0 0 1.55\n{symbol} 0 1.55 0\n"
        (first,) = written(".xyz", text.encode())
        assert first.geometry is not None
        molecule = identify(first)
        assert molecule.smiles is None
        known = row("O", "iron hydride", STORED) | {
            "smiles": None,
            "molecular_weight": molecule.molecular_weight,
            "xyz_sha256": first.geometry.xyz_sha256,
            "elements": list(first.geometry.elements()),
            "atomic_numbers": list(first.geometry.numbers),
            "positions": [list(point) for point in first.geometry.positions],
            "forces": None,
        }
        rows = [{column.name: known.get(column.name) for column in COLUMNS}]
        (again,) = written(f".{format_}", of_rows(format_, rows, STORED))
        results.append(again.error)

    assert results[0] is None
    assert "isotopes that the export does not name" in (results[1] or "")


def told_apart(molecule: Molecule) -> tuple[str | None, str, int, int]:
    return molecule.name, molecule.structure, molecule.charge, molecule.multiplicity


def mol_block(
    atoms: Sequence[tuple[str, float]], *charges: tuple[int, int], items: str = ""
) -> bytes:
    """A record of an .sdf file with atoms on the z axis, as other programs write one."""
    lines = [
        "it",
        "  other           3D",
        "",
        f"{len(atoms):3d}  0  0  0  0  0  0  0  0  0999 V2000",
    ]
    lines += [f"{0:10.4f}{0:10.4f}{z:10.4f} {of:<3} 0  0  0  0" for of, z in atoms]
    lines += [f"M  CHG  1{atom:4d}{charge:4d}" for atom, charge in charges]
    return ("\n".join([*lines, "M  END", items, "$$$$"]) + "\n").encode()


def test_a_record_of_atoms_without_bonds_is_a_geometry() -> None:
    """Its atoms get no hydrogens; its charge is the sum of those of its atoms."""
    carbonyl = [("C", 0.0), ("O", 1.13)]
    (neutral,) = written(".sdf", mol_block(carbonyl))
    (cation,) = written(".sdf", mol_block(carbonyl, (1, 1)))
    (salt,) = written(".sdf", mol_block([("Na", 0.0), ("Cl", 2.4)], (1, 1), (2, -1)))
    (heavy,) = written(".sdf", mol_block([("D", 0.0), ("Cl", 1.27)]))

    assert (neutral.error, neutral.smiles, neutral.charge) == (None, None, None)
    assert identify(neutral).formula == "CO"
    assert (cation.smiles, cation.charge) == (None, 1)
    assert (identify(cation).formula, identify(cation).multiplicity) == ("CO+", 2)
    assert identify(salt).smiles == "[Cl-].[Na+]"
    assert identify(heavy).smiles == "[2H]Cl"


def three_dimensional(mol: Chem.Mol, of: str) -> bytes:
    """A record of a molecule whose atoms are where those of a SMILES are."""
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.Set3D(True)
    for index in range(mol.GetNumAtoms()):
        conformer.SetAtomPosition(index, geometry_of(of).positions[index])
    mol.AddConformer(conformer)
    return (Chem.MolToMolBlock(mol, kekulize=False) + "$$$$\n").encode()


def test_a_record_with_hydrogens_gets_no_others() -> None:
    """A radical without M  RAD is not water, and formaldehyde with single bonds not methanol."""
    hydroxyl = Chem.AddHs(Chem.MolFromSmiles("[OH-]"))
    hydroxyl.GetAtomWithIdx(0).SetFormalCharge(0)
    hydroxyl.GetAtomWithIdx(0).SetNoImplicit(False)
    (radical,) = written(".sdf", three_dimensional(hydroxyl, "[OH-]"))
    formaldehyde = Chem.AddHs(Chem.MolFromSmiles("C=O"))
    formaldehyde.GetBondWithIdx(0).SetBondType(Chem.BondType.SINGLE)
    for atom in formaldehyde.GetAtoms():
        atom.SetNoImplicit(False)
    (single,) = written(".sdf", three_dimensional(formaldehyde, "C=O"))

    assert radical.error is not None
    assert "lacks 1 at O1 by its bonds; none is added: write a radical as M  RAD" in radical.error
    assert single.error is not None
    assert "lacks 2 at C1, O2" in single.error


def test_hydrogens_that_are_added_are_told() -> None:
    """A record of heavy atoms alone has those of its bonds; its geometry is not the given one."""
    (found,) = written(".sdf", three_dimensional(Chem.MolFromSmiles("CCO"), "CCO"))

    assert found.geometry is not None
    assert len(found.geometry) == 9
    assert found.geometry_source == "given+RDKit hydrogens"
    (warning,) = identify(found).warnings
    assert "RDKit placed 6 hydrogens" in warning

    whole = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    (given_all,) = written(".sdf", three_dimensional(whole, "CCO"))
    assert (given_all.geometry_source, given_all.warnings) == (None, ())


def test_atoms_whose_charges_contradict_a_data_item_are_refused() -> None:
    items = "> <charge>\n-1\n"
    (found,) = written(".sdf", mol_block([("C", 0.0), ("O", 1.13)], (1, 1), items=items))

    assert found.error is not None
    assert "charge -1" in found.error
    assert "add up to +1" in found.error


def is_one_line(name: str) -> bool:
    """Whether other programs can write it: they do not escape line ends."""
    return name.isprintable()


@given(PAIRS)
@settings(SLOW, max_examples=20)
def test_extxyz_of_ase_is_read_back(rows: list[tuple[str, str]]) -> None:
    """ASE escapes no backslash at the end of a quoted text: nobody can tell where that ends."""
    rows = [each for each in rows if is_one_line(each[1]) and "\\" not in each[1]]
    frames = []
    for smiles, name in rows:
        atoms = atoms_of(smiles)
        charge = Chem.GetFormalCharge(Chem.MolFromSmiles(smiles))
        atoms.info = {"smiles": smiles, "charge": charge, "name": name}
        frames.append(atoms)
    if not rows:
        return
    file = io.StringIO()
    ase.io.write(file, frames, format="extxyz")

    read = written(".xyz", file.getvalue().encode())

    assert [each.error for each in read] == [None] * len(rows)
    for found, (smiles, name) in zip(read, rows, strict=True):
        assert identify(found).smiles == canonical(smiles)
        if name.strip() and not name.startswith("_JSON") and "\u00a0" not in name:
            assert found.name == tidied(name)


def atoms_of(smiles: str) -> Atoms:
    geometry = geometry_of(smiles)
    return Atoms(numbers=geometry.numbers, positions=geometry.positions)


def rdkit_mol(smiles: str, name: str) -> Chem.Mol:
    geometry = geometry_of(smiles)
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert tuple(atom.GetAtomicNum() for atom in mol.GetAtoms()) == geometry.numbers
    conformer = Chem.Conformer(len(geometry))
    conformer.Set3D(True)
    for index, point in enumerate(geometry.positions):
        conformer.SetAtomPosition(index, point)
    mol.AddConformer(conformer)
    mol.SetProp("_Name", name)
    return mol


def ase_xyz(smiles: str, name: str) -> str:
    file = io.StringIO()
    ase.io.write(file, atoms_of(smiles), format="xyz", comment=name)
    return file.getvalue()


@pytest.fixture(scope="session")
def open_babel() -> Iterator[OpenBabel]:
    """Open Babel in one process for all examples of all tests."""
    with OpenBabel() as open_babel:
        yield open_babel


def babel(open_babel: OpenBabel, format_: str, smiles: str, name: str) -> str:
    return open_babel.write(Chem.MolToMolBlock(rdkit_mol(smiles, "")), format_, name)


PLAIN_XYZ: dict[str, Callable[[OpenBabel, str, str], str]] = {
    "ase": lambda _, smiles, name: ase_xyz(smiles, name),
    "rdkit": lambda _, smiles, name: Chem.MolToXYZBlock(rdkit_mol(smiles, name)),
    "openbabel": lambda open_babel, smiles, name: babel(open_babel, "xyz", smiles, name),
    "openbabel exyz": lambda open_babel, smiles, name: babel(open_babel, "exyz", smiles, name),
}


@pytest.mark.parametrize("writer", PLAIN_XYZ)
@given(rows=NEUTRAL_PAIRS)
@settings(SLOW, max_examples=15)
def test_plain_xyz_has_the_name_as_its_title(
    open_babel: OpenBabel, writer: str, rows: list[tuple[str, str]]
) -> None:
    """A title that states a charge, a cell or a name is taken at its word, or refused."""
    rows = [each for each in rows if is_one_line(each[1])]
    if not rows:
        return
    text = "".join(PLAIN_XYZ[writer](open_babel, smiles, name) for smiles, name in rows)

    read = written(".xyz", text.encode())

    assert len(read) == len(rows)
    for found, (smiles, name) in zip(read, rows, strict=True):
        if found.error:
            continue
        assert found.geometry is not None
        assert found.geometry.numbers == geometry_of(smiles).numbers
        is_plain = not (found.charge_unclear or found.multiplicity_unclear)
        if is_plain and found.charge is found.multiplicity is None and "=" not in name:
            assert found.name == tidied(name)
            assert canonical(identify(found).smiles or "", False) == canonical(smiles, False)


@pytest.mark.parametrize("writer", ["rdkit", "openbabel"])
@given(rows=PAIRS)
@settings(SLOW, max_examples=15)
def test_sdf_of_rdkit_and_open_babel_is_read_back(
    open_babel: OpenBabel, writer: str, rows: list[tuple[str, str]]
) -> None:
    rows = [each for each in rows if is_one_line(each[1]) and "$$$$" not in each[1]]
    if not rows:
        return
    if writer == "rdkit":
        file = io.StringIO()
        with Chem.SDWriter(file) as sdf:
            for smiles, name in rows:
                sdf.write(rdkit_mol(smiles, name))
        text = file.getvalue()
    else:
        text = "".join(babel(open_babel, "sdf", smiles, name) for smiles, name in rows)

    check(written(".sdf", text.encode()), rows)


@pytest.mark.parametrize("writer", ["rdkit", "openbabel"])
@given(rows=PAIRS)
@settings(SLOW, max_examples=15)
def test_smiles_files_of_rdkit_and_open_babel_are_read_back(
    open_babel: OpenBabel, writer: str, rows: list[tuple[str, str]]
) -> None:
    """A name may not begin like a CXSMILES extension; RDKit writes numbers for empty names."""
    rows = [each for each in rows if is_one_line(each[1]) and each[1].strip().strip("|")]
    rows = [each for each in rows if not each[1].strip().startswith("|")]
    if not rows:
        return
    if writer == "rdkit":
        file = io.StringIO()
        with Chem.SmilesWriter(file, nameHeader="Name") as smi:
            for smiles, name in rows:
                smi.write(rdkit_mol(smiles, name))
        text = file.getvalue()
    else:
        text = "".join(babel(open_babel, "smi", smiles, name) for smiles, name in rows)

    read = written(".smi", text.encode())

    assert len(read) == len(rows)
    check(read, rows)


@given(PAIRS, st.sampled_from(",;\t"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@settings(SLOW, max_examples=15)
def test_csv_of_python_is_read_back(
    rows: list[tuple[str, str]], delimiter: str, quoting: Any
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
    writer.writerow(["name", "smiles"])
    writer.writerows([name, smiles] for smiles, name in rows)

    read = written(".csv", file.getvalue().encode())

    check(read, [(smiles, name.replace("\r\n", "\n").replace("\r", "\n")) for smiles, name in rows])


def test_numbers_of_elements_are_those_of_ase() -> None:
    assert all(Atoms(symbol).numbers[0] == number for symbol, number in ATOMIC_NUMBERS.items())


def test_open_babel_stays_out_of_the_process_of_the_tests(open_babel: OpenBabel) -> None:
    """Its library brings symbols and threads of its own; a crash of it ends its child alone."""
    written = babel(open_babel, "smi", "CC(=O)O", "acetic acid")

    assert written.split(maxsplit=1) == ["CC(=O)O", "acetic acid\n"]
    assert "openbabel" not in sys.modules
