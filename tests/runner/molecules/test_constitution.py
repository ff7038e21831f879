"""A SMILES is accepted for a geometry only where the geometry can have its bonds."""

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from rdkit import Chem, RDConfig, rdBase

from quantum_forge.runner.errors import InputError, NoConformerError
from quantum_forge.runner.inputs.files import read_inputs
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.constitution import Contradiction, contradiction
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.identity import identify
from quantum_forge.runner.molecules.records import Input

NCI = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
COMPARED = 60
"""Molecules of the NCI list, a sample; of all of it see docs/explanation/what-a-result-is.md."""


def compared(smiles: str, geometry: Geometry) -> Contradiction | None:
    return contradiction(smiles, Chem.MolFromSmiles(smiles), geometry)


def shuffled(geometry: Geometry, seed: int = 1) -> Geometry:
    order = list(range(len(geometry)))
    random.Random(seed).shuffle(order)
    return Geometry(
        tuple(geometry.numbers[index] for index in order),
        tuple(geometry.positions[index] for index in order),
    )


def molecules_of_nci() -> Iterator[str]:
    with rdBase.BlockLogs():
        for line in NCI.read_text().splitlines()[::71]:
            mol = Chem.MolFromSmiles(line.split()[0])
            if mol is not None and mol.GetNumHeavyAtoms() <= 25:
                yield Chem.MolToSmiles(mol)


def test_no_molecule_is_refused_its_own_geometry() -> None:
    """Whatever the order of the atoms."""
    refused = []
    done = 0
    for smiles in islice(molecules_of_nci(), COMPARED):
        try:
            geometry = shuffled(embed(smiles))
        except NoConformerError:
            continue
        done += 1
        if (found := compared(smiles, geometry)) is not None:
            refused.append(found.reason)

    assert refused == []
    assert done > 40


def test_isomers_are_refused_the_geometries_of_each_other() -> None:
    """Molecules of the NCI list with one formula and other bonds."""
    of_formula: dict[str, list[str]] = defaultdict(list)
    with rdBase.BlockLogs():
        for line in NCI.read_text().splitlines()[:700]:
            mol = Chem.MolFromSmiles(line.split()[0])
            if mol is not None and mol.GetNumHeavyAtoms() <= 12 and "." not in line.split()[0]:
                formula = Chem.rdMolDescriptors.CalcMolFormula(mol)
                of_formula[formula].append(Chem.MolToSmiles(mol, isomericSmiles=False))
    accepted = []
    pairs = 0
    for isomers in of_formula.values():
        one, *others = sorted(set(isomers))
        geometry = embed(one) if others else None
        for other in others:
            assert geometry is not None
            pairs += 1
            if compared(other, geometry) is None:
                accepted.append((one, other))

    assert pairs > 30
    assert [pair for pair in accepted if not is_of_bond_orders(*pair)] == []


def is_of_bond_orders(one: str, other: str) -> bool:
    """Whether two molecules have the same atoms bonded, by bonds of other orders."""

    def graph(smiles: str) -> str:
        mol = Chem.RWMol(Chem.AddHs(Chem.MolFromSmiles(smiles)))
        for bond in mol.GetBonds():
            bond.SetBondType(Chem.BondType.SINGLE)
            bond.SetIsAromatic(False)
        for atom in mol.GetAtoms():
            atom.SetIsAromatic(False)
            atom.SetFormalCharge(0)
            atom.SetNoImplicit(True)
            atom.SetNumRadicalElectrons(0)
        mol.UpdatePropertyCache(strict=False)
        return Chem.MolToSmiles(mol)

    return graph(one) == graph(other)


@pytest.mark.parametrize(
    ("geometry_of", "smiles", "reason"),
    [
        ("CCO", "COC", "the geometry has the bonds of CCO"),
        ("COC", "CCO", "the geometry has the bonds of COC"),
        ("CC(C)=O", "CC(O)=C", "the geometry has hydrogens at other atoms"),
        ("NCC(=O)O", "[NH3+]CC(=O)[O-]", "the geometry has hydrogens at other atoms"),
        ("C=CCCCC", "C1CCCCC1", "the geometry has the bonds of CCCCCC"),
        ("C1CCC2CCCCC2C1", "C1CCC(C1)C1CCCC1", "the geometry has the bonds of"),
    ],
)
def test_a_smiles_of_another_constitution_is_refused(
    geometry_of: str, smiles: str, reason: str
) -> None:
    """Decalin and bicyclopentyl, the last, have the same atoms with the same neighbours."""
    source = Input(number=1, source="", smiles=smiles, geometry=shuffled(embed(geometry_of)))

    with pytest.raises(InputError, match=reason) as refusal:
        identify(source)

    assert refusal.value.code == "GEOMETRY_CONTRADICTS_SMILES"
    assert smiles in str(refusal.value)


@pytest.mark.parametrize(
    "smiles",
    [
        "FF",
        "[H][H]",
        "O=[N+]([O-])[N+](=O)[O-]",
        "C1C2CC1C2",
        "C[Si]1(C)O[Si](C)(C)O1",
        "C1CCC1",
        "[Na+].[Cl-]",
        "Cl[Pt](Cl)([NH3])[NH3]",
        "B1C2CCCC1CCC2",
        "ClCl.ClCl",
        "O.O.O",
    ],
)
def test_unusual_bonds_are_not_refused(smiles: str) -> None:
    """Long ones, atoms that are near across a ring, and metals."""
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    mol.UpdatePropertyCache(strict=False)
    try:
        geometry = embed(smiles)
    except NoConformerError:
        pytest.skip("RDKit makes no structure")

    assert contradiction(smiles, mol, geometry) is None


def test_a_bond_that_is_stretched_by_a_fifth_is_not_refused() -> None:
    """Molecular dynamics and scans have such geometries."""
    ethane = embed("CC")
    apart = [tuple(1.2 * value for value in position) for position in ethane.positions]

    assert compared("CC", Geometry(ethane.numbers, tuple((x, y, z) for x, y, z in apart))) is None


def test_every_kind_of_file_is_compared(tmp_path: Path) -> None:
    """The SMILES of a comment or a column, and the bonds of a mol block."""
    ethanol = embed("CCO")
    xyz = tmp_path / "a.xyz"
    xyz.write_text(ethanol.xyz_text("name=x smiles=COC"))
    csv = tmp_path / "a.csv"
    elements = str(list(ethanol.elements())).replace("'", '""')
    csv.write_text(
        "smiles,elements,positions_angstrom\n"
        f'COC,"{elements}","{[list(position) for position in ethanol.positions]}"\n'
    )
    ether = Chem.AddHs(Chem.MolFromSmiles("COC"))
    conformer = Chem.Conformer(ether.GetNumAtoms())
    conformer.Set3D(True)
    order = [0, 2, 1, *range(3, 9)]
    for index, place in enumerate(order):
        conformer.SetAtomPosition(index, ethanol.positions[place])
    ether.AddConformer(conformer)
    sdf = tmp_path / "a.sdf"
    sdf.write_text(Chem.MolToMolBlock(ether) + "$$$$\n")

    for path in (xyz, csv, sdf):
        (record,) = read_inputs(path)
        with pytest.raises(InputError, match="a different molecule from the SMILES COC"):
            identify(record)
