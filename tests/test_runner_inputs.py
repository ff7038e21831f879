"""Every record of a file of molecules is read, or says why it is not."""

import tracemalloc
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from runner.conformers import embed
from runner.errors import InputFileError, RunnerError
from runner.inputs import Input, count_inputs, read_inputs


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, name: str, content: str | bytes) -> list[Input]:
    path = written(folder, name, content)
    inputs = list(read_inputs(path))
    assert count_inputs(path) == len(inputs), "count_inputs agrees with read_inputs"
    return inputs


def test_smi_numbers_count_comments_and_blank_lines(tmp_path: Path) -> None:
    inputs = read(tmp_path, "a.smi", "smiles name\n# a comment\n\nCCO ethyl alcohol\n\nC\n")

    assert [(i.number, i.smiles, i.name) for i in inputs] == [
        (4, "CCO", "ethyl alcohol"),
        (6, "C", None),
    ]


def test_smi_tabs_separate_a_name_from_further_columns(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.smi", "CCO\tethyl alcohol\t46.07\n")

    assert only.name == "ethyl alcohol"


def test_smi_keeps_a_cxsmiles_extension_with_the_structure(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.smi", "CC |^1:0| ethyl radical\n")

    assert (only.smiles, only.name) == ("CC |^1:0|", "ethyl radical")


def test_a_leading_byte_order_mark_is_not_part_of_the_first_smiles(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.smi", b"\xef\xbb\xbfCCO ethanol\r\n")

    assert (only.smiles, only.name) == ("CCO", "ethanol")


def test_latin_1_and_utf_8_names_both_survive(tmp_path: Path) -> None:
    inputs = read(tmp_path, "a.smi", b"C m\xe9thane\nCC \xc3\xa9thane\n")

    assert [i.name for i in inputs] == ["méthane", "éthane"]


def test_a_utf_16_file_is_refused_rather_than_read_as_other_molecules(tmp_path: Path) -> None:
    inputs = read(tmp_path, "a.smi", "CCO ethanol\n".encode("utf-16-le"))

    assert inputs
    assert all("NUL" in (i.error or "") or i.smiles is None for i in inputs)
    assert "\0" not in inputs[0].source


def test_csv_columns_are_found_by_name_in_any_case_and_order(tmp_path: Path) -> None:
    text = 'ID,Charge,SMILES,multiplicity\n1,-1,CC(=O)[O-],1\n2,,"CCO",\n\n3,half,C,\n4,,,\n'

    inputs = read(tmp_path, "a.csv", text)

    assert [(i.number, i.name, i.smiles, i.charge, i.multiplicity) for i in inputs] == [
        (2, "1", "CC(=O)[O-]", -1, 1),
        (3, "2", "CCO", None, None),
        (5, "3", "C", None, None),
        (6, "4", None, None, None),
    ]
    assert inputs[2].error == "charge 'half' is not a number"
    assert inputs[3].error == "the smiles column is empty"


def test_csv_may_use_semicolons(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.csv", "smiles;name\nCCO;ethanol, dry\n")

    assert (only.smiles, only.name) == ("CCO", "ethanol, dry")


def test_csv_without_a_smiles_column_lists_those_it_has(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "structure,name\nC,methane\n")

    with pytest.raises(InputFileError, match="the columns are: structure, name"):
        read_inputs(path)


def test_sdf_keeps_three_dimensional_coordinates_and_survives_a_bad_record(tmp_path: Path) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", "ethanol")
    good = Chem.MolToMolBlock(mol)
    flat = Chem.MolToMolBlock(Chem.MolFromSmiles("C"))
    data = "> <name>\nmethane\n\n> <charge>\n0\n\n"
    text = f"{good}$$$$\nbroken\nnot\na record\n$$$$\n{flat}{data}$$$$\n"

    first, second, third = read(tmp_path, "a.sdf", text)

    assert (first.name, first.smiles) == ("ethanol", "CCO")
    assert first.geometry is not None
    assert first.geometry.numbers == tuple(atom.GetAtomicNum() for atom in mol.GetAtoms())
    assert second.number == 2
    assert second.error
    assert (third.smiles, third.name, third.charge) == ("C", "methane", 0)
    assert third.geometry is None


def test_xyz_reads_every_frame_and_the_keys_of_its_comment(tmp_path: Path) -> None:
    water = embed("O").xyz_text
    text = (
        water("water")
        + water('name="my water" charge=0 spin=1 smiles=O')
        + "2\n\nH 0 0 0\nH zero 0 0\n"
        + "2\nProperties=pos:R:3:species:S:1\n0 0 0 H\n0 0 0.74 1\n"
        + '1\nLattice="1 0 0 0 1 0 0 0 1"\nHe 0 0 0\n'
        + "3\ncut short\nO 0 0 0\n"
    )

    inputs = read(tmp_path, "a.xyz", text)

    assert [i.number for i in inputs] == [1, 2, 3, 4, 5, 6]
    assert (inputs[0].name, inputs[0].smiles, inputs[0].charge) == ("water", None, None)
    named = inputs[1]
    assert (named.name, named.smiles, named.charge, named.multiplicity) == ("my water", "O", 0, 1)
    assert inputs[2].error == "atom 2 is not `element x y z`: 'H zero 0 0'"
    assert inputs[3].geometry is not None
    assert inputs[3].geometry.numbers == (1, 1)
    assert "periodic" in (inputs[4].error or "")
    assert inputs[5].error == "the file ends after 1 of 3 atoms"


def test_xyz_goes_on_after_a_line_that_is_no_atom_count(tmp_path: Path) -> None:
    inputs = read(tmp_path, "a.xyz", "He 0 0 0\nHe 0 0 1\n1\nok\nHe 0 0 0\n")

    assert inputs[0].error == "expected a number of atoms, found 'He 0 0 0'"
    assert (inputs[1].number, inputs[1].name) == (2, "ok")


@pytest.mark.parametrize("name", ["a.smi", "a.csv", "a.sdf", "a.xyz"])
def test_an_empty_file_is_an_error_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputFileError, match="no molecules in this file"):
        read_inputs(written(tmp_path, name, ""))


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "folder.smi").mkdir()

    with pytest.raises(InputFileError, match="no such file"):
        read_inputs(tmp_path / "missing.smi")
    with pytest.raises(InputFileError, match=r"unknown kind of file '\.pdb'; known are \.smi"):
        read_inputs(written(tmp_path, "a.pdb", "C"))
    with pytest.raises(InputFileError, match="directory"):
        read_inputs(tmp_path / "folder.smi")
    assert issubclass(InputFileError, RunnerError)


def test_limit_ends_the_reading(tmp_path: Path) -> None:
    path = written(tmp_path, "a.smi", "C\nCC\nCCC\n")

    assert [i.smiles for i in read_inputs(path, limit=2)] == ["C", "CC"]


def test_a_long_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "a.smi", "CCO ethanol\n" * 100_000)

    tracemalloc.start()
    count = sum(1 for _ in read_inputs(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 100_000
    assert peak < 1_000_000, "bytes, for a file of 1.2 MB"
