"""A molecule that is perceived from its geometry is the one that a chemist writes."""

import pytest
from rdkit import Chem

from quantum_forge.runner.molecules.charge_separation import united
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.identity import identify
from quantum_forge.runner.molecules.records import Input


def canonical(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


@pytest.mark.parametrize(
    "smiles",
    [
        *("CS(C)=O", "O=S=O", "O=S1CCCC1", "CP(C)(C)=O", "C[Se](C)=O", "C[As](C)(C)=O"),
        *("CN=[N+]=[N-]", "C=[N+]=[N-]", "[N-]=[N+]=Nc1ccccc1", "CS(=O)[O-]"),
        *("C[N+](C)(C)[O-]", "C[N+](=O)[O-]", "[O-][n+]1ccccc1", "CC#[N+][O-]", "[C-]#[O+]"),
    ],
)
def test_a_perceived_molecule_is_that_of_its_usual_smiles(smiles: str) -> None:
    """Those of the last line are written with separate charges always."""
    written = canonical(smiles)
    charge = Chem.GetFormalCharge(Chem.MolFromSmiles(smiles))

    perceived = identify(Input(number=1, source="", geometry=embed(smiles), charge=charge))

    assert perceived.smiles == written
    assert identify(Input(number=1, source="", smiles=smiles)).smiles == written


@pytest.mark.parametrize("smiles", ["C[S+](C)[O-]", "C[N-][N+]#N"])
def test_a_smiles_that_is_given_keeps_its_charges(smiles: str) -> None:
    """The identity of molecules in the log is what it was."""
    found = identify(Input(number=1, source="", smiles=smiles))

    assert found.smiles == canonical(smiles)


@pytest.mark.parametrize(
    ("separate", "usual"),
    [
        ("C[S+](C)[O-]", "CS(C)=O"),
        ("C[N-][N+]#N", "CN=[N+]=[N-]"),
        ("N#[N+]N=C1C=C[CH-]C=C1", "[N-]=[N+]=Nc1ccccc1"),
        ("C[S@+]([O-])CC", "C[S@](=O)CC"),
        ("N#[N+]c1ccc([O-])cc1", "N#[N+]c1ccc([O-])cc1"),
        ("C[S+](C)C.[O-]C", "C[S+](C)C.[O-]C"),
    ],
)
def test_charges_are_united_where_they_are_conjugated(separate: str, usual: str) -> None:
    """With the stereo centre; not between ions, nor in a salt of a diazonium."""
    found = united(Chem.MolFromSmiles(separate))

    assert canonical(Chem.MolToSmiles(found)) == canonical(usual)
