"""Every molecule gets one geometry, the same everywhere, in which no atoms collide."""

from itertools import combinations
from math import dist

import pytest

from quantum_forge.runner.errors import NoConformerError
from quantum_forge.runner.molecules.conformers import embed


@pytest.mark.parametrize(
    "smiles",
    [
        "[He]",
        "[H][H]",
        "[CH3]",
        "CC(=O)Oc1ccccc1C(=O)O",
        "[Na+].[Cl-]",
        "CC(=O)[O-].[Na+]",
        "O.O.O",
        "c1ccccc1.c1ccccc1",
        "N[Pt](N)(Cl)Cl",
        "C12C3C4C1C5C2C3C45",
    ],
)
def test_no_two_atoms_of_a_conformer_collide(smiles: str) -> None:
    geometry = embed(smiles)

    closest = min((dist(a, b) for a, b in combinations(geometry.positions, 2)), default=1.0)
    assert closest > 0.65, "Å; RDKit alone puts the parts of a salt on top of each other"


def test_a_smiles_has_one_geometry() -> None:
    assert embed("CCCCO").xyz_sha256 == embed("CCCCO").xyz_sha256
    assert embed("CCCCO").xyz_sha256 != embed("CCCCO", seed=1).xyz_sha256


def test_a_triple_bond_in_a_ring_of_three_has_no_conformer() -> None:
    with pytest.raises(NoConformerError, match="no conformer"):
        embed("C1#CC1")


def test_xyz_text_reads_as_an_xyz_file() -> None:
    lines = embed("O").xyz_text("water").splitlines()

    assert lines[:2] == ["3", "water"]
    assert [line.split()[0] for line in lines[2:]] == ["O", "H", "H"]
    assert "-0.0000000000" not in embed("[He]").xyz_text()
