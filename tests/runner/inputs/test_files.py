"""Every record of a file of molecules is read, or says why it is not."""

import csv
import gzip
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from quantum_forge.runner.errors import InputFileError, RunnerError
from quantum_forge.runner.inputs.files import (
    Count,
    Input,
    MoleculeFile,
    Reading,
    interpret,
    read_inputs,
)
from quantum_forge.runner.inputs.text_lines import TextLines
from quantum_forge.runner.molecules.conformers import embed


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, name: str, content: str | bytes) -> list[Input]:
    path = written(folder, name, content)
    inputs = list(read_inputs(path))
    read: list[int] = []
    file = MoleculeFile(path, on_read=read.append)
    assert file.total == len(inputs), "MoleculeFile agrees with read_inputs"
    assert 0 < sum(read) <= path.stat().st_size, "it tells what it reads"
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


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b""),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b""),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\0\0"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_encodings_line_ends_and_gzip_do_not_change_what_is_read(
    tmp_path: Path, encoding: str, mark: bytes, end: str, suffix: str
) -> None:
    """Each reader sees the same text, however a program stored it."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", "méthanol")
    for name, text in {
        "a.smi": "CO méthanol\n\nCCO\n",
        "a.csv": "smiles,name\nCO,méthanol\nCCO,\n",
        "a.sdf": f"{Chem.MolToMolBlock(mol)}$$$$\n" * 2,
        "a.xyz": Chem.MolToXYZBlock(mol) * 2,
    }.items():
        data = mark + text.replace("\n", end).encode(encoding)
        data = gzip.compress(data) if suffix else data

        first, _ = read(tmp_path, name + suffix, data)

        assert first.name == "méthanol"
        assert first.error is None
        assert first.smiles == "CO" or first.geometry is not None
        assert MoleculeFile(tmp_path / (name + suffix)).count.lines == text.count("\n")


def test_gzip_is_recognised_by_its_first_bytes_too(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.smi", gzip.compress(b"CCO ethanol\n"))
    (plain,) = read(tmp_path, "a.smi.gz", b"CCO ethanol\n")

    assert only == plain


@pytest.mark.parametrize("garbage", [b"x", b"\x1f", b"\0\0some text\n" * 9_000])
@pytest.mark.parametrize("name", ["a.smi.gz", "a.csv.gz", "a.xyz.gz", "a.sdf.gz"])
def test_bytes_after_the_gzip_data_are_one_failed_record(
    tmp_path: Path, name: str, garbage: bytes
) -> None:
    """The records before them are read, as `gzip -dc` reads them."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    text = {
        "a.smi.gz": "CO\nCCO\n",
        "a.csv.gz": "smiles\nCO\nCCO\n",
        "a.xyz.gz": Chem.MolToXYZBlock(mol) * 2,
        "a.sdf.gz": f"{Chem.MolToMolBlock(mol)}$$$$\n" * 2,
    }[name]
    data = gzip.compress(text[:20].encode()) + gzip.compress(text[20:].encode())

    *records, last = read(tmp_path, name, data + garbage)

    assert [record.error for record in records] == [None, None]
    assert last.error is not None
    assert f"{len(garbage.lstrip(bytes(1))):,} bytes after the end of the gzip data" in last.error
    assert MoleculeFile(tmp_path / name).total == 3
    assert last.number == records[-1].number + 1


def test_zeros_after_the_gzip_data_are_padding(tmp_path: Path) -> None:
    """As `gzip -dc` has it; another member may follow them."""
    member = gzip.compress(b"CCO\n")

    assert len(read(tmp_path, "a.smi.gz", member + bytes(40_000))) == 1
    assert len(read(tmp_path, "a.smi.gz", member + bytes(40_000) + member)) == 2


def test_memory_does_not_grow_with_what_a_gzip_file_expands_to(tmp_path: Path) -> None:
    """A file of 200 kB that has 200 MB of zeros: one line, of which the beginning is kept."""
    path = written(tmp_path, "a.smi", gzip.compress(b"CCO\n" + bytes(200_000_000)))

    tracemalloc.start()
    try:
        first, second = read_inputs(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert first.smiles == "CCO"
    assert second.error is not None
    assert most < 50_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"CCO ethanol\n" * 1_000)[:-9], "truncated gzip file"),
        (gzip.compress(b"CCO ethanol\n" * 1_000)[:20] + b"x" * 200, "damaged gzip file"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"BZh9rest", "bzip2"),
    ],
    # gzip writes the time: identifiers made of the content would differ between processes.
    ids=["truncated", "damaged", "zip", "bzip2"],
)
def test_an_archive_or_a_damaged_file_is_one_clear_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = written(tmp_path, "a.smi", content)

    with pytest.raises(InputFileError, match=message):
        list(read_inputs(path))
    with pytest.raises(InputFileError, match=message):
        MoleculeFile(path)


@pytest.mark.parametrize("name", ["a.smi", "a.csv", "a.sdf", "a.xyz"])
def test_nul_characters_make_a_record_unreadable(tmp_path: Path, name: str) -> None:
    text = {
        "a.smi": b"C\0C a\nC\n",
        "a.csv": b"smiles\nC\0C\nC\n",
        "a.sdf": b"a\0b\n\n\n\n$$$$\n",
        "a.xyz": b"1\na\0b\nHe 0 0 0\n",
    }[name]

    first, *_ = read(tmp_path, name, text)

    assert "NUL" in (first.error or "")
    assert "\0" not in first.source


@pytest.mark.parametrize("name", ["a.smi", "a.csv", "a.sdf", "a.xyz"])
def test_a_line_without_end_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    """A file that is one line of 50 MB is read in pieces; its record is refused."""
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"smiles\n" if name == "a.csv" else b"")
        for _ in range(50):
            file.write(b"C" * 1_000_000)
        file.write(b"\n")

    tracemalloc.start()
    (only,) = read_inputs(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert only.error is not None
    assert "longer than" in only.error or "expected a number of atoms" in only.error
    assert peak < 40_000_000, "bytes"


def test_an_open_quote_makes_one_failed_record_of_the_lines_it_covers(tmp_path: Path) -> None:
    text = 'smiles,name\nCCO,ethanol\nCCN,"5 inch tube\nCCC,propane\nCCCC,butane\n'

    first, second = read(tmp_path, "a.csv", text)

    assert (first.smiles, first.error) == ("CCO", None)
    assert second.error == "lines 3 to 5: opens a quote that is not closed"
    assert (second.line, second.lines) == (3, 3)
    assert "butane" in second.source


def test_two_stray_quotes_make_no_molecule_of_what_is_between_them(tmp_path: Path) -> None:
    text = 'smiles,name\nCCN,"5 inch\nCCC,propane\nCCCC,"7 inch\nC,methane\n'

    first, second = read(tmp_path, "a.csv", text)

    assert (first.error or "").startswith("lines 2 to 4: not a readable row")
    assert second.name == "methane"


def test_an_open_quote_covers_at_most_a_thousand_lines(tmp_path: Path) -> None:
    text = 'smiles,name\nCCN,"5 inch\n' + "C,methane\n" * 5_000

    bad, *good = read(tmp_path, "a.csv", text)

    assert bad.lines == 1_000
    assert len(good) == 5_001 - 1_000


def test_a_quoted_field_may_contain_line_ends(tmp_path: Path) -> None:
    first, second = read(tmp_path, "a.csv", 'smiles,name\r\nCCO,"a\r\nb"\r\nC,c\r\n')

    assert (first.name, first.lines, second.number) == ("a\nb", 2, 4)


def test_a_row_with_more_fields_than_the_header_is_refused(tmp_path: Path) -> None:
    """A name with a comma that is not quoted would lose its end."""
    first, second = read(tmp_path, "a.csv", "smiles,name\nCCO,ethanol, dry\nC,methane,\n")

    assert "3 fields and the header 2" in (first.error or "")
    assert second.error is None


def test_a_spreadsheet_says_its_delimiter_above_the_header(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.csv", "sep=;\nsmiles;name\nCCO;a,b,c\n")

    assert (only.number, only.smiles, only.name) == (3, "CCO", "a,b,c")


def test_a_name_after_a_cxsmiles_extension_is_kept(tmp_path: Path) -> None:
    text = "smiles\tid\tMW\nC[C@H](O)CC |&1:1|\tZ1 a\t74\nCCO |x y|\tZ2\t46\nCC |^1:0| ethyl\n"

    inputs = read(tmp_path, "a.smi", text)

    assert [(i.smiles, i.name) for i in inputs] == [
        ("C[C@H](O)CC |&1:1|", "Z1 a"),
        ("CCO |x y|", "Z2"),
        ("CC |^1:0|", "ethyl"),
    ]


def test_a_header_with_tabs_names_the_columns(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "a.smi", "smiles\tMW\tname\tcharge\nCC[O-]\t45\tethoxide\t-1\n")

    assert (only.name, only.charge) == ("ethoxide", -1)


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


def test_a_tsv_has_tabs_whatever_its_header_contains(tmp_path: Path) -> None:
    """Commas in the names of its columns do not make it a .csv."""
    content = "smiles\tname, as sold, dry\tid\nCCO\tethanol, dry\t7\n"

    for name, bytes_ in (
        ("a.tsv", content.encode()),
        ("a.tsv.gz", gzip.compress(content.encode())),
    ):
        (only,) = read(tmp_path, name, bytes_)
        assert (only.smiles, only.name) == ("CCO", "7")


def test_a_mol_file_is_one_record(tmp_path: Path) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", "ethanol")

    (only,) = read(tmp_path, "a.mol", Chem.MolToMolBlock(mol))

    assert (only.smiles, only.name) == ("CCO", "ethanol")
    assert only.geometry is not None


def test_the_columns_of_smiles_and_name_can_be_chosen(tmp_path: Path) -> None:
    """In any case, before those that would be taken; what is not there is refused."""
    path = written(tmp_path, "a.csv", "Structure,smiles,Common Name,name\nC,CC,methane,no\n")

    chosen = Reading(smiles_column="structure", name_column="common name")
    (only,) = read_inputs(path, reading=chosen)
    assert (only.smiles, only.name) == ("C", "methane")

    with pytest.raises(InputFileError, match="no column named structur; did you mean Structure"):
        read_inputs(path, reading=Reading(smiles_column="structur"))
    with pytest.raises(InputFileError, match=r"--name-column are for \.csv and .tsv"):
        read_inputs(written(tmp_path, "a.smi", "C"), reading=Reading(name_column="name"))


def test_a_format_stands_in_for_a_suffix(tmp_path: Path) -> None:
    """And errors call the file what the user called it."""
    path = written(tmp_path, "export.dat", "id;smiles\n1;CCO\n")

    (only,) = read_inputs(path, reading=Reading(format="csv"))
    assert (only.smiles, only.name) == ("CCO", "1")

    with pytest.raises(InputFileError, match=r"^stdin: no molecules in this file"):
        read_inputs(written(tmp_path, "e", ""), reading=Reading(format="smi", called="stdin"))
    with pytest.raises(InputFileError, match=r"export.dat: unknown type of file .*--format"):
        read_inputs(path)


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


@pytest.mark.parametrize(
    ("item", "is_of_the_bonds"), [("CC(C)Cc1ccc(C(C)C(=O)O)cc1", False), ("CCO", True)]
)
def test_an_exported_record_is_the_molecule_of_its_smiles_where_the_bonds_agree(
    item: str, is_of_the_bonds: bool, tmp_path: Path
) -> None:
    """A stereocentre that the SMILES leaves open is not decided by the geometry."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    items = f"> <smiles>\n{item}\n\n> <xyz_sha256>\n00\n\n"

    (found,) = read(tmp_path, "a.sdf", f"{Chem.MolToMolBlock(mol)}{items}$$$$\n")

    assert found.smiles is not None
    assert found.geometry is not None
    assert ("@" in found.smiles) is is_of_the_bonds


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

    assert inputs[0].error == "expected a number of atoms, found 'He 0 0 0' (lines 1 to 2)"
    assert (inputs[1].number, inputs[1].name) == (2, "ok")


@pytest.mark.parametrize("name", ["a.smi", "a.csv", "a.sdf", "a.xyz"])
def test_an_empty_file_is_an_error_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputFileError, match="no molecules in this file"):
        read_inputs(written(tmp_path, name, ""))


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "folder.smi").mkdir()

    with pytest.raises(InputFileError, match="no such file"):
        read_inputs(tmp_path / "missing.smi")
    with pytest.raises(
        InputFileError, match=r"unknown type of file '\.pdb'; supported types are \.smi"
    ):
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
    number = sum(1 for _ in read_inputs(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert number == 100_000
    assert peak < 1_000_000, "bytes, for a file of 1.2 MB"


EVERY_SUFFIX = ("smi", "csv", "sdf", "xyz")
FRAGMENTS = (
    "smiles,name\n", "CCO", "[Na+]", " |^1:0|", '"', ",", "\t", "\n", "\r\n", "\r", "$$$$\n",
    "3\n", "1\nx\nHe 0 0 0\n", "charge=-1 ", "spin=", "-1 2\n", "M  END\n", "> <charge>\n-1\n\n",
    "  1  0  0  0  0  0  0  0  0  0999 V2000\n", "Properties=species:S:1:pos:R:3 ", "9" * 5_000,
    "1e999", "nan", "\0", "{", "[" * 2_000, "_JSON ", "\\", "é", "Lattice=", "pbc=",
    "gdb 1\t" + "1.0\t" * 15 + "\n", "#", "sep=;\n",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(range(len(FRAGMENTS))), max_size=12).map(
    lambda indices: "".join(FRAGMENTS[index] for index in indices)
)
CONTENT = st.one_of(
    st.binary(max_size=300),
    TEXT.map(str.encode),
    TEXT.map(lambda text: gzip.compress(text.encode())),
    TEXT.map(lambda text: text.encode("utf-16")),
)


@given(suffix=st.sampled_from(EVERY_SUFFIX), content=CONTENT)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_inputs_or_an_error_of_the_file(suffix: str, content: bytes) -> None:
    """No other exception leaves a reader, and every line is in a record or passed over as blank.

    Besides blank lines, only a header and the comments of .smi files belong to no record.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), f"a.{suffix}", content)
        try:
            inputs = list(read_inputs(path))
        except InputFileError:
            return
        counted = MoleculeFile(path).count
        with path.open("rb") as file:
            lines = list(TextLines(file))
    within: set[int] = set()
    for each in inputs:
        covered = set(range(each.line, each.line + each.lines))
        assert covered
        assert not covered & within, "no line is in two records"
        within |= covered
    assert within <= set(range(1, len(lines) + 1))
    assert counted == Count(len(inputs), len(lines), len(lines) - len(within))
    outside = [line for number, line in enumerate(lines, start=1) if number not in within]
    told = [line for line in outside if line.strip(' \t,;\v\f\x1c\x1d\x1e\x1f\x85\xa0"')]
    if suffix == "smi":
        told = [line for line in told if not line.strip().startswith("#")]
        assert all("smi" in line.lower() for line in told[:1])
        assert len(told) <= 1
    elif suffix == "csv":
        assert told[0].strip() if told else True
        assert len(told) <= 1 or told[0].lower().startswith("sep=") or '"' in told[0]
    else:
        assert not told


@pytest.mark.parametrize(
    ("elements", "positions", "reason"),
    [
        ('["C"]', "", "elements and positions_bohr are not JSON lists"),
        ("C O", "0 0 0 0 0 1", "elements and positions_bohr are not JSON lists"),
        ('["C","O"]', "[[0,0,0]]", "2 elements and 1 positions"),
        ('["C","Qq"]', "[[0,0,0],[0,0,2]]", "'Qq' is not an element"),
        ('["C","O"]', "[[0,0,0],[0,0,1e9]]", "atom 2 is more than 100,000 Å"),
        ("[]", "[]", "0 elements and 0 positions"),
    ],
)
def test_a_bad_geometry_in_a_csv_row_is_refused(
    tmp_path: Path, elements: str, positions: str, reason: str
) -> None:
    """It does not silently become a structure made from the SMILES; the rows around it are read."""
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "elements", "positions_bohr"])
        writer.writerow(["C", "", ""])
        writer.writerow(["[C-]#[O+]", elements, positions])
        writer.writerow(["", '["C","O"]', "[[0,0,0],[0,0,2.13]]"])

    first, bad, last = read_inputs(path)

    assert (first.error, first.geometry) == (None, None)
    assert bad.error is not None
    assert reason in bad.error
    assert bad.geometry is None
    assert (last.error, last.smiles) == (None, None)
    assert last.geometry is not None
    assert last.geometry.positions[1] == pytest.approx((0, 0, 2.13 * 0.529177210903))


@pytest.mark.parametrize(("kept", "limit"), [(10, None), (2, 2), (2, None)])
def test_a_file_is_read_once_unless_it_is_too_large_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, limit: int | None
) -> None:
    """What was counted is what is run, whatever happens to the file meanwhile."""
    monkeypatch.setattr("quantum_forge.runner.inputs.files.KEPT_RECORDS", kept)
    path = written(tmp_path, "a.smi", b"C first\nCC second\nCCC third\n")
    file = MoleculeFile(path, limit=limit)
    path.write_bytes(b"O changed\n")

    names = [interpret(record).name for record in file.records()]

    assert file.count == Count(inputs=3, lines=3, skipped=0)
    is_read_again = kept == 2 and limit is None
    assert names == (["changed"] if is_read_again else ["first", "second", "third"][:limit])
