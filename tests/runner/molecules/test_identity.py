"""A molecule is the same molecule however it arrives, or a chemist is told what is wrong."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from ase.build import molecule as g2_molecule
from ase.collections import g2
from rdkit import Chem, RDConfig

from quantum_forge.runner.errors import InputError, NoConformerError
from quantum_forge.runner.inputs.files import read_inputs
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.connectivity import connectivity
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.identity import Molecule, identify
from quantum_forge.runner.molecules.records import Input
from quantum_forge.schema.domains.calculations import Identity

DRUGS = Path(__file__).parents[3] / "examples" / "drugs.smi"
NCI = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"


def given(
    smiles: str | None = None,
    geometry: Geometry | None = None,
    charge: int | None = None,
    multiplicity: int | None = None,
) -> Molecule:
    source = Input(number=1, source=smiles or "", smiles=smiles, geometry=geometry)
    return identify(source, charge=charge, multiplicity=multiplicity)


def test_identify_gives_what_pubchem_has_for_aspirin() -> None:
    aspirin = given("OC(=O)c1ccccc1OC(C)=O")

    assert aspirin.smiles == "CC(=O)Oc1ccccc1C(=O)O"
    assert aspirin.formula == "C9H8O4"
    assert aspirin.inchikey == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
    assert aspirin.molecular_weight == pytest.approx(180.16, abs=0.01)
    assert (aspirin.charge, aspirin.multiplicity) == (0, 1)
    assert (aspirin.atom_count, aspirin.electron_count) == (21, 94)


@pytest.mark.parametrize(
    ("smiles", "charge", "multiplicity"),
    [
        ("CC(=O)[O-]", -1, 1),
        ("C[NH3+].[Cl-]", 0, 1),
        ("[CH3]", 0, 2),
        ("[O][O]", 0, 1),
        ("[N]", 0, 2),
        ("[N]=O", 0, 2),
        ("[Na+]", 1, 1),
    ],
)
def test_charge_and_multiplicity_follow_from_the_smiles(
    smiles: str, charge: int, multiplicity: int
) -> None:
    molecule = given(smiles)

    assert (molecule.charge, molecule.multiplicity) == (charge, multiplicity)


def test_a_salt_keeps_all_its_parts() -> None:
    assert given("[Na+].CC(=O)[O-]").smiles == "CC(=O)[O-].[Na+]"


def test_isotopes_and_hydrogens_of_any_kind_are_counted_and_weighed() -> None:
    heavy = given("[2H]C([2H])([2H])O[H]")

    assert (heavy.formula, heavy.atom_count, heavy.electron_count) == ("CH4O", 6, 18)
    assert heavy.molecular_weight == pytest.approx(35.06, abs=0.01)
    assert heavy.inchikey == "OKKJLVBELUTLKV-FIBGUPNXSA-N"


def test_a_smiles_without_brackets_has_no_radicals() -> None:
    """Which spares a look at every atom."""
    for source in read_inputs(NCI, limit=1_000):
        mol = Chem.MolFromSmiles(source.smiles or "")
        if mol is not None and "[" not in Chem.MolToSmiles(mol):
            assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


def test_atom_map_numbers_do_not_make_another_molecule() -> None:
    for _ in range(2):
        assert given("[CH3:1][OH:2]").smiles == given("CO").smiles


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CC", "unclosed ring"),
        ("CC(C)(C)(C)C", "Explicit valence for atom # 1 C, 5, is greater than permitted"),
        ("CC(", "syntax error at character 3"),
        ("c1cccc1", "Can't kekulize mol"),
        ("", "an empty molecule"),
        ("*C", "atom 1 is a placeholder"),
        ("[U]", r"U \(Z = 92\) is not supported by xTB"),
        ("[H+]", "no electrons are left"),
    ],
)
def test_a_bad_smiles_gets_a_reason_and_nothing_on_stderr(
    smiles: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=reason):
        given(smiles)

    assert capfd.readouterr() == ("", "")


def test_a_charge_that_contradicts_the_smiles_is_refused() -> None:
    with pytest.raises(InputError, match=r"charge \+1 contradicts the formal charge \+0 of CCO"):
        given("CCO", charge=1)


@pytest.mark.parametrize("multiplicity", [0, 2, 4, 101])
def test_a_multiplicity_that_does_not_fit_the_electrons_is_refused(multiplicity: int) -> None:
    with pytest.raises(InputError, match=f"multiplicity {multiplicity} does not fit 26 electrons"):
        given("CCO", multiplicity=multiplicity)


def test_what_the_record_says_goes_before_what_the_run_says() -> None:
    source = Input(number=1, source="", smiles="[CH2]", multiplicity=1)

    assert identify(source, multiplicity=3).multiplicity == 1


@pytest.mark.parametrize("smiles", ["CCO", "C=O", "CC(=O)[O-]", "C[NH3+]", "O.O", "c1ccncc1"])
def test_a_bare_geometry_is_the_molecule_that_it_was_made_from(smiles: str) -> None:
    molecule = given(smiles)

    assert given(geometry=embed(smiles), charge=molecule.charge).smiles == molecule.smiles


def test_isotopes_of_a_geometry_are_those_of_its_molecule() -> None:
    """Heavy water is no light water, from an .xyz file as from a SMILES."""
    heavy = msgspec.structs.replace(embed("O"), isotopes=(0, 2, 2))

    assert given(geometry=heavy).smiles == given("[2H]O[2H]").smiles
    assert given(geometry=heavy).smiles != given(geometry=embed("O")).smiles


def test_a_bare_ion_or_radical_geometry_is_perceived() -> None:
    assert given(geometry=Geometry((11,), ((0.0, 0.0, 0.0),)), charge=1).smiles == "[Na+]"
    assert given(geometry=embed("[CH3]")).multiplicity == 2


def test_a_geometry_without_perceptible_bonds_is_identified_by_its_connectivity() -> None:
    """It has no SMILES, and everything else that a molecule has."""
    scattered = Geometry((6, 6, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 9.0), (0.0, 9.0, 0.0)))

    molecule = given(geometry=scattered, charge=3)

    assert (molecule.smiles, molecule.inchikey) == (None, None)
    assert molecule.identity is Identity.GEOMETRY
    assert molecule.identity_key == connectivity(scattered).key
    assert (molecule.formula, molecule.charge, molecule.multiplicity) == ("C2H+3", 3, 1)
    assert molecule.molecular_weight == pytest.approx(25.03, abs=0.01)


def test_what_was_stated_is_given_and_the_rest_assumed() -> None:
    """A reader of a row sees which charges and spins nobody asked for."""
    methyl, water = embed("[CH3]"), embed("O")

    def sources(molecule: Molecule) -> tuple[str, str, str]:
        return molecule.identity, molecule.charge_source, molecule.multiplicity_source

    assert sources(given("[CH3]")) == ("given", "given", "assumed")
    assert sources(given("[CH3]", multiplicity=4)) == ("given", "given", "given")
    assert sources(given(geometry=methyl)) == ("perceived", "assumed", "assumed")
    assert sources(given(geometry=methyl, charge=1)) == ("perceived", "given", "assumed")
    assert sources(given(geometry=water, charge=0, multiplicity=3)) == (
        "perceived",
        "given",
        "given",
    )


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("[Mg+2](<-O)<-O", "contains Mg: multiplicity 1, the lowest, is assumed"),
        ("[Fe+2]", "contains Fe, of which open d or f shells are common"),
        ("[O][O]", "the SMILES has 2 unpaired electrons, which would fit multiplicity 3"),
        ("[N]", "would fit multiplicity 4: multiplicity 2, the lowest, is assumed"),
    ],
)
def test_a_spin_that_is_often_another_is_assumed_with_a_warning(smiles: str, words: str) -> None:
    """Nobody finds out afterwards; who states the spin is not warned of it."""
    molecule = given(smiles)

    assert molecule.multiplicity in (1, 2)
    (warning,) = molecule.warnings
    assert words in warning
    assert given(smiles, multiplicity=molecule.multiplicity + 2).warnings == ()


@pytest.mark.parametrize("smiles", ["CCO", "[CH3]", "C[N+](C)(C)C", "O=[N+]([O-])c1ccccc1"])
def test_a_main_group_molecule_has_no_warning(smiles: str) -> None:
    """A warning that everybody gets is read by nobody."""
    assert given(smiles).warnings == ()


def test_the_radical_of_an_ion_without_its_charge_is_warned_of() -> None:
    """The commonest mistake in a bare .xyz file."""
    acetate = embed("CC(=O)[O-]")

    assert "an odd number of electrons at charge 0" in given(geometry=acetate).warnings[0]
    assert given(geometry=acetate, charge=-1).warnings == ()
    assert given(geometry=acetate, charge=0).warnings == ()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.soak] if number % 3 else [])
        for number, name in enumerate(g2.names)
    ],
)
def test_every_g2_molecule_gets_the_spin_stated_and_else_the_lowest(name: str) -> None:
    """What is perceived of a geometry never decides its spin; each run takes a third of them."""
    atoms = g2_molecule(name)
    geometry = Geometry.of(atoms.symbols, [tuple(at) for at in atoms.positions.tolist()])
    lowest = 1 + sum(geometry.numbers) % 2
    stated = 1 + round(abs(atoms.get_initial_magnetic_moments().sum()))

    for spin in {None, lowest, stated, stated + 2}:
        if spin is not None and spin - 1 > sum(geometry.numbers):
            continue  # a hydrogen atom is no quartet
        found = given(geometry=geometry, multiplicity=spin)
        assert found.multiplicity == (lowest if spin is None else spin)
        assert dict(geometry.composition()) == _composition_of(found)
        if found.smiles is not None and len(geometry) > 1:
            radicals = sum(
                atom.GetNumRadicalElectrons()
                for atom in Chem.MolFromSmiles(found.smiles).GetAtoms()
            )
            assert radicals in (found.multiplicity - 1, lowest - 1)


def _composition_of(found: Molecule) -> dict[int, int]:
    if found.smiles is None:
        return {number: count for number, _, count in found.composition}
    every = Chem.AddHs(Chem.MolFromSmiles(found.smiles))
    return dict(Counter(atom.GetAtomicNum() for atom in every.GetAtoms()))


@pytest.mark.parametrize(
    ("charge", "lost_hydrogens"),
    [(1, 0), (-1, 0), (0, 1)],
    ids=["cation", "anion", "hydrogen abstracted"],
)
def test_radicals_of_drugs_are_doublets(charge: int, lost_hydrogens: int) -> None:
    """Radical cations, radical anions and what a hydrogen was taken off, all from geometries."""
    sources = [*read_inputs(DRUGS, limit=12), *read_inputs(NCI, limit=30)]
    found: list[Molecule] = []
    for source in sources:
        whole = given(source.smiles)
        if whole.multiplicity != 1 or len(found) == 24:
            continue
        try:
            geometry = embed(source.smiles or "")
        except NoConformerError:
            continue
        kept = len(geometry) - lost_hydrogens
        if lost_hydrogens and geometry.numbers[-1] != 1:
            continue
        radical = Geometry(geometry.numbers[:kept], geometry.positions[:kept])
        found.append(given(geometry=radical, charge=charge + whole.charge))

    assert len(found) == 24
    assert {each.multiplicity for each in found} == {2}


def test_a_geometry_of_other_atoms_than_its_smiles_is_refused() -> None:
    with pytest.raises(InputError, match="the geometry has CH4, the SMILES H2O"):
        given("O", geometry=embed("C"))


def test_every_line_of_the_nci_set_is_identified_or_gives_a_reason() -> None:
    reasons: list[str] = []
    for source in read_inputs(NCI, limit=3_000):
        try:
            molecule = identify(source)
        except InputError as error:
            reasons.append(error.reason)
            continue
        if source.number > 200:
            continue
        again = identify(Input(number=1, source="", smiles=molecule.smiles))
        assert again.smiles == molecule.smiles, "canonical once is canonical for ever"

    assert reasons == [
        "Explicit valence for atom # 9 N, 5, is greater than permitted",
        "Explicit valence for atom # 3 Al, 6, is greater than permitted",
    ]


@pytest.mark.parametrize("extension", ["|bad stuff|", "|w:1,r|", "|$x|", "|c:9|"])
def test_an_extension_that_cannot_be_read_is_left_out_with_a_warning(extension: str) -> None:
    """It says nothing about atoms or electrons; the record says that it was left out."""
    molecule = identify(Input(number=1, source="", smiles=f"CC(C)C {extension}"))

    assert molecule.smiles == "CC(C)C"
    assert all("left out" in warning for warning in molecule.warnings)


@pytest.mark.parametrize("extension", ["|^9:0|", "|^1:77|", "|Sg:oops|"])
def test_an_extension_that_may_change_the_molecule_is_refused(extension: str) -> None:
    """A radical that is read without its extension would be another molecule."""
    with pytest.raises(InputError) as refused:
        identify(Input(number=1, source="", smiles=f"CC {extension}"))

    assert extension in refused.value.reason


def test_isotopes_of_a_geometry_are_part_of_the_identity() -> None:
    """As those of a SMILES are: heavy water is not water, and a contradiction is refused."""
    points = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.96), (0.93, 0.0, -0.24))
    light = Geometry((8, 1, 1), points)
    heavy = Geometry((8, 1, 1), points, (0, 2, 2))

    def smiles_of(geometry: Geometry, smiles: str | None = None) -> str | None:
        return identify(Input(number=1, source="", geometry=geometry, smiles=smiles)).smiles

    assert smiles_of(light) == "O"
    assert smiles_of(heavy) == smiles_of(heavy, "[2H]O[2H]") == smiles_of(light, "[2H]O[2H]")
    assert smiles_of(heavy) == "[2H]O[2H]"
    with pytest.raises(InputError, match="isotopes"):
        smiles_of(heavy, "O")
    assert connectivity(light).key != connectivity(heavy).key
    assert heavy.xyz_text() == light.xyz_text()
