"""Which molecule an input is: its canonical SMILES, charge and multiplicity, and what follows."""

import math
from functools import lru_cache

import msgspec
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds, rdinchi, rdMolDescriptors

from runner.errors import InputError
from runner.geometry import ELEMENTS, Geometry
from runner.rdkit_messages import collected_messages, reason_from
from runner.records import Input

# GFN1-xTB, GFN2-xTB and IPEA1-xTB are parametrised up to radon.
HEAVIEST_ELEMENT = 86

# Bond orders of a geometry are a search that can explode; a molecule that is one needs fewer steps.
_BOND_SEARCH_LIMIT = 100_000

_HYDROGEN_MASS = Chem.GetPeriodicTable().GetAtomicWeight(1)


class Molecule(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule that can be calculated.

    `smiles` is canonical and isomeric, parts of a salt separated by dots. `charge` is in e,
    `multiplicity` is 2S + 1, `molecular_weight` in g/mol. `atom_count` includes hydrogens;
    `electron_count` is all electrons, not only those of the valence shell. `inchikey` is None where
    InChI has none.
    """

    smiles: str
    name: str | None
    formula: str
    inchikey: str | None
    charge: int
    multiplicity: int
    molecular_weight: float
    atom_count: int
    electron_count: int
    toolkit: str
    toolkit_version: str


def identify(
    source: Input, *, charge: int | None = None, multiplicity: int | None = None
) -> Molecule:
    """Return the molecule that an input means, or raise InputError with the reason for a chemist.

    `charge` and `multiplicity` stand in where the input gives none. Without either, the charge is
    the formal charge of the SMILES (0 for a bare geometry), and the multiplicity follows from its
    radical electrons, or is the lowest that the number of electrons allows. The bonds of a geometry
    without SMILES are perceived; a geometry with one must have the same atoms.
    """
    if source.error is not None:
        raise InputError(source.error, code="UNREADABLE_RECORD")
    wanted_charge = source.charge if source.charge is not None else charge
    wanted_multiplicity = source.multiplicity if source.multiplicity is not None else multiplicity
    with collected_messages() as messages:
        if source.smiles is not None:
            mol = _parsed(source.smiles, messages)
        elif source.geometry is not None:
            mol = _perceived(source.geometry, wanted_charge or 0, wanted_multiplicity)
        else:
            raise InputError("neither a SMILES nor a geometry", code="EMPTY_MOLECULE")
        _refuse_unknown_atoms(mol)
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
        found = _described(Chem.MolToSmiles(mol))
    if source.geometry is not None:
        _refuse_other_atoms(found.composition, source.geometry)
    if wanted_charge is not None and wanted_charge != found.charge:
        raise InputError(
            f"charge {wanted_charge:+d} contradicts the formal charge {found.charge:+d} of "
            f"{found.smiles}; correct one of them",
            code="CHARGE_CONTRADICTS_SMILES",
        )
    electrons = sum(number * count for number, count in found.composition.items()) - found.charge
    if electrons <= 0:
        raise InputError(
            f"no electrons are left at charge {found.charge:+d}: nothing to calculate",
            code="NO_ELECTRONS",
        )
    return Molecule(
        smiles=found.smiles,
        name=source.name,
        formula=found.formula,
        inchikey=found.inchikey,
        charge=found.charge,
        multiplicity=_multiplicity(found.radicals, electrons, wanted_multiplicity),
        molecular_weight=found.molecular_weight,
        atom_count=sum(found.composition.values()),
        electron_count=electrons,
        toolkit="RDKit",
        toolkit_version=rdBase.rdkitVersion,
    )


class _Description(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a SMILES alone; composition: atoms, hydrogens too, by atomic number."""

    smiles: str
    charge: int
    composition: dict[int, int]
    radicals: int
    molecular_weight: float
    formula: str
    inchikey: str | None


@lru_cache(5_000)
def _described(smiles: str) -> _Description:
    """Describe the molecule of a SMILES that RDKit has written, as its own canonical SMILES reads.

    One SMILES is not enough: what RDKit writes it may read back with fewer stereo centres, and
    write differently. The same molecule must have one SMILES however it arrived.
    """
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InputError(
            f"RDKit cannot read back its own SMILES {smiles}", code="UNREADABLE_SMILES"
        )
    composition: dict[int, int] = {}
    masses: list[float] = []
    radicals = 0
    hydrogens = 0
    for atom in mol.GetAtoms():
        number = atom.GetAtomicNum()
        composition[number] = composition.get(number, 0) + 1
        masses.append(atom.GetMass())
        radicals += atom.GetNumRadicalElectrons()
        hydrogens += atom.GetTotalNumHs()  # those that are no atoms of their own
    if hydrogens:
        composition[1] = composition.get(1, 0) + hydrogens
        masses += [_HYDROGEN_MASS] * hydrogens
    return _Description(
        smiles=Chem.MolToSmiles(mol),
        charge=Chem.GetFormalCharge(mol),
        composition=composition,
        radicals=radicals,
        molecular_weight=math.fsum(masses),
        formula=rdMolDescriptors.CalcMolFormula(mol),
        inchikey=rdinchi.MolToInchiKey(mol) or None,
    )


def _parsed(smiles: str, messages: list[str]) -> Chem.Mol:
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InputError(reason_from(messages, "not a SMILES"), code="UNREADABLE_SMILES")
    return mol


def _perceived(geometry: Geometry, charge: int, multiplicity: int | None) -> Chem.Mol:
    """Return a molecule with the bonds that RDKit sees in a geometry; hydrogens stay implicit."""
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(geometry))
    for index, number in enumerate(geometry.numbers):
        mol.AddAtom(Chem.Atom(number))
        conformer.SetAtomPosition(index, geometry.positions[index])
    mol.AddConformer(conformer)
    if len(geometry) == 1:
        atom = mol.GetAtomWithIdx(0)
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(True)
        Chem.SanitizeMol(mol)
        return mol.GetMol()
    # An open shell has unpaired electrons where a closed one separates charges.
    closed = multiplicity == 1 if multiplicity else (sum(geometry.numbers) - charge) % 2 == 0
    try:
        rdDetermineBonds.DetermineBonds(
            mol,
            charge=charge,
            allowChargedFragments=closed,
            maxIterations=_BOND_SEARCH_LIMIT,
        )
        found = Chem.RemoveHs(mol)
    except Exception as error:  # RDKit raises ValueError, RuntimeError and its own classes here
        raise _no_bonds(charge, str(error)) from error
    if Chem.GetFormalCharge(found) != charge:
        raise _no_bonds(charge, f"its formal charges add up to {Chem.GetFormalCharge(found):+d}")
    return found


def _no_bonds(charge: int, detail: str) -> InputError:
    return InputError(
        f"no bonds found that fit the geometry at charge {charge:+d} ({' '.join(detail.split())}); "
        "add smiles= (or the right charge=) to the comment line",
        code="NO_BONDS",
    )


def _refuse_unknown_atoms(mol: Chem.Mol) -> None:
    if mol.GetNumAtoms() == 0:
        raise InputError("an empty molecule", code="EMPTY_MOLECULE")
    for index, atom in enumerate(mol.GetAtoms(), start=1):
        number = atom.GetAtomicNum()
        if number == 0:
            raise InputError(
                f"atom {index} is a placeholder ({atom.GetSmarts()}), not an element",
                code="PLACEHOLDER_ATOM",
            )
        if number > HEAVIEST_ELEMENT:
            raise InputError(
                f"{ELEMENTS[number]} (Z = {number}) is beyond xTB, which ends at radon "
                f"(Z = {HEAVIEST_ELEMENT})",
                code="UNSUPPORTED_ELEMENT",
            )


def _refuse_other_atoms(expected: dict[int, int], geometry: Geometry) -> None:
    if expected != dict(geometry.composition()):
        raise InputError(
            f"the geometry has {_formula(dict(geometry.composition()))}, "
            f"the SMILES {_formula(expected)}",
            code="GEOMETRY_CONTRADICTS_SMILES",
        )


def _formula(composition: dict[int, int]) -> str:
    # Carbon, hydrogen, then by symbol: the order of Hill.
    order = sorted(composition, key=lambda number: {6: "", 1: " "}.get(number, ELEMENTS[number]))
    return "".join(
        ELEMENTS[number] + (str(composition[number]) if composition[number] > 1 else "")
        for number in order
    )


def _multiplicity(radicals: int, electrons: int, wanted: int | None) -> int:
    lowest = 1 if electrons % 2 == 0 else 2
    if wanted is None:
        fits = radicals <= electrons and (electrons - radicals) % 2 == 0
        return radicals + 1 if fits else lowest
    if wanted < 1 or (electrons - (wanted - 1)) % 2 or wanted - 1 > electrons:
        raise InputError(
            f"multiplicity {wanted} does not fit {electrons} electrons; "
            f"{lowest}, {lowest + 2}, … would",
            code="IMPOSSIBLE_MULTIPLICITY",
        )
    return wanted
