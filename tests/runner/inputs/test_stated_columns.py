"""Charge and spin are read under any usual name, or refused: columns, data items, comments."""

from pathlib import Path

import pytest

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.inputs.files import read_inputs
from quantum_forge.runner.inputs.stated import is_about_a_molecule
from quantum_forge.runner.molecules.identity import Molecule, identify
from quantum_forge.runner.molecules.records import Input

OXYGEN = """oxygen
     made by hand        3D

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0  0  0  0  0
    0.0000    0.0000    1.2000 O   0  0  0  0  0  0
  1  2  2  0
M  END
"""
SULFATE = """S 0 0 0
O 0.86 0.86 0.86
O -0.86 -0.86 0.86
O 0.86 -0.86 -0.86
O -0.86 0.86 -0.86
"""


def of_csv(folder: Path, name: str, value: str, smiles: str = "[O][O]") -> Input:
    path = folder / "a.csv"
    path.write_text(f"smiles,{name}\n{smiles},{value}\n")
    (found,) = read_inputs(path)
    return found


def of_sdf(folder: Path, name: str, value: str) -> Input:
    path = folder / "a.sdf"
    path.write_text(f"{OXYGEN}> <{name}>\n{value}\n\n$$$$\n")
    (found,) = read_inputs(path)
    return found


def of_comment(folder: Path, comment: str) -> Input:
    path = folder / "a.xyz"
    path.write_text(f"5\n{comment}\n{SULFATE}")
    (found,) = read_inputs(path)
    return found


def refused(found: Input) -> str:
    with pytest.raises(InputError) as refusal:
        identify(found)
    return str(refusal.value)


TRIPLETS = [
    *(("multiplicity", "3"), ("Multiplicity", "triplet"), ("mult", "3"), ("2S+1", "3")),
    *(("Spin multiplicity", "3"), ("spin", "3"), ("spin_state", "triplet")),
    *(("uhf", "2"), ("unpaired", "2"), ("Unpaired electrons", "2"), ("2S", "2"), ("nopen", "2")),
]


@pytest.mark.parametrize(("name", "value"), TRIPLETS)
def test_a_spin_of_any_usual_name_is_read(tmp_path: Path, name: str, value: str) -> None:
    """Of a column and of a data item."""
    found: list[Molecule] = [identify(of(tmp_path, name, value)) for of in (of_csv, of_sdf)]

    assert [each.multiplicity for each in found] == [3, 3]


@pytest.mark.parametrize(
    "name",
    [
        *("charge", "Charge", "q", "chg", "chrg", "total charge", "net_charge", "formal charge"),
        *("molecular_charge", "charge (e)", "Charge [e]", "PUBCHEM_TOTAL_CHARGE", "charge_e"),
    ],
)
def test_a_charge_of_any_usual_name_is_read(tmp_path: Path, name: str) -> None:
    """The SMILES and the bonds are neutral: the charge +1 contradicts them."""
    assert "charge +1 contradicts" in refused(of_csv(tmp_path, name, "1"))
    assert "charge +1 contradicts" in refused(of_sdf(tmp_path, name, "1"))
    assert identify(of_csv(tmp_path, name, "0")).charge == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("spin_state", "high"), ("spin_state", "3"), ("charge state", "+1"), ("q", "0.5")),
        *(("charge", "one"), ("spin", "-1"), ("total_spin", "1"), ("ionic charge", "1")),
    ],
)
def test_what_is_about_charge_or_spin_and_not_understood_is_refused(
    tmp_path: Path, name: str, value: str
) -> None:
    refused(of_csv(tmp_path, name, value))
    refused(of_sdf(tmp_path, name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("PUBCHEM_MMFF94_PARTIAL_CHARGES", "17"), ("JCHEM_PHYSIOLOGICAL_CHARGE", "-1")),
        *(("max_partial_charge", "1"), ("S", "3"), ("c", "-1"), ("id", "3"), ("gap", "1")),
        *(("multiplicity_source", "given"), ("charges", "1"), ("charge", ""), ("spin", "")),
    ],
)
def test_other_columns_are_ignored(tmp_path: Path, name: str, value: str) -> None:
    for of in (of_csv, of_sdf):
        molecule = identify(of(tmp_path, name, value))
        assert (molecule.charge, molecule.multiplicity) == (0, 1)


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """Also two of one name."""
    assert "two charges, +1 and +0" in refused(of_csv(tmp_path, "charge,charge", "1,0"))
    assert "two multiplicities" in refused(of_csv(tmp_path, "uhf,multiplicity", "2,1"))


def test_columns_of_a_smi_file_are_read_as_those_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("smiles\tname\tuhf\n[O][O]\toxygen\t2\n")

    (found,) = read_inputs(path)

    assert identify(found).multiplicity == 3


@pytest.mark.parametrize("comment", ["[-2, 1]", "(-2 1)", "-2/1", "-2:1", "-2 ; 1"])
def test_a_pair_in_brackets_or_with_another_separator_is_read(tmp_path: Path, comment: str) -> None:
    found = of_comment(tmp_path, comment)

    assert (found.charge, found.multiplicity, found.name) == (-2, 1, None)


@pytest.mark.parametrize(
    "comment",
    [
        *("SO4(2-)", "sulfate(2-)", "sulfate2-", "c=-2", "SO4(-2)", "SO4^2-", "sulfate^2- in gas"),
        *("[-2]", "(2-)", "z=-2", "1/2", "m=3", "sulfate [2-]"),
    ],
)
def test_a_charge_that_a_comment_may_state_is_refused(tmp_path: Path, comment: str) -> None:
    assert "write" in refused(of_comment(tmp_path, comment))


@pytest.mark.parametrize(
    "comment",
    [
        *("propan-2", "compound-7", "[3H]", "N-methyl-2", "(+)-limonene", "(-)-menthol", "conf 3"),
        *("2-(4-chlorophenyl)ethanol", "[2+2]", "3/10", "1:1 complex", "bicyclo[2.2.1]heptane"),
    ],
)
def test_ordinary_names_are_names(tmp_path: Path, comment: str) -> None:
    found = of_comment(tmp_path, comment)

    assert found.name == comment
    assert (found.charge_unclear, found.multiplicity_unclear, found.error) == (None, None, None)


def test_a_name_is_about_a_molecule_or_about_atoms() -> None:
    assert is_about_a_molecule("PUBCHEM_TOTAL_CHARGE")
    assert not is_about_a_molecule("atomic_charge")
    assert not is_about_a_molecule("charge_source")
