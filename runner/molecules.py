"""Which molecule an input is: its canonical SMILES, charge and multiplicity, and what follows."""

import math
import re
from functools import cache, lru_cache

import msgspec
import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds, rdinchi, rdMolDescriptors

from runner.errors import InputError
from runner.geometry import ATOMIC_NUMBERS, ELEMENTS, Geometry
from runner.limits import refuse_large_smiles, refuse_many_atoms
from runner.rdkit_messages import collected_messages, reason_from
from runner.records import Input

# GFN1-xTB, GFN2-xTB and IPEA1-xTB are parametrised up to radon.
HEAVIEST_ELEMENT = 86

# Bond orders of a geometry are a search that can explode; a molecule that is one needs fewer steps.
_BOND_SEARCH_LIMIT = 100_000

_REMEMBERED_ATOMS = 500
"""Of a geometry at most: memory must not depend on the largest."""

_HYDROGEN_MASS = Chem.GetPeriodicTable().GetAtomicWeight(1)

# What CalcMolFormula writes, a placeholder as an asterisk.
_COUNTED = re.compile(r"([A-Z][a-z]?|\*)(\d*)")


class Molecule(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule that can be calculated.

    `smiles` is canonical and isomeric, parts of a salt separated by dots. `charge` is in e,
    `multiplicity` is 2S + 1. `atom_count` includes hydrogens; `electron_count` is all electrons,
    not only those of the valence shell. What else follows from the SMILES is computed when it is
    asked for: only a molecule that is new to the log needs it.
    """

    smiles: str
    name: str | None
    charge: int
    multiplicity: int
    atom_count: int
    electron_count: int
    toolkit: str
    toolkit_version: str

    @property
    def formula(self) -> str:
        """In the order of Hill, with the charge."""
        return _described(self.smiles).formula

    @property
    def molecular_weight(self) -> float:
        """In g/mol."""
        return _described(self.smiles).molecular_weight

    @property
    def inchikey(self) -> str | None:
        """None where InChI has none."""
        return _described(self.smiles).inchikey


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
    if source.smiles is not None:
        refuse_large_smiles(source.smiles)
    if source.geometry is not None:
        refuse_many_atoms(len(source.geometry))
    wanted_charge = source.charge if source.charge is not None else charge
    wanted_multiplicity = source.multiplicity if source.multiplicity is not None else multiplicity
    if wanted_charge is None and source.charge_unclear is not None:
        raise InputError(source.charge_unclear, code="UNREADABLE_RECORD")
    if wanted_multiplicity is None and source.multiplicity_unclear is not None:
        raise InputError(source.multiplicity_unclear, code="UNREADABLE_RECORD")
    with collected_messages() as messages:
        if source.smiles is not None:
            found = _of_smiles(source.smiles, messages)
        elif source.geometry is not None:
            found = _of_geometry(source.geometry, wanted_charge or 0, wanted_multiplicity)
        else:
            raise InputError("neither a SMILES nor a geometry", code="EMPTY_MOLECULE")
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
        charge=found.charge,
        multiplicity=_multiplicity(found.radicals, electrons, wanted_multiplicity),
        atom_count=sum(found.composition.values()),
        electron_count=electrons,
        toolkit="RDKit",
        toolkit_version=rdBase.rdkitVersion,
    )


class _Composed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a SMILES tells molecules apart; composition: atoms, hydrogens too, by number."""

    smiles: str
    charge: int
    composition: dict[int, int]
    radicals: int


def _of_smiles(smiles: str, messages: list[str]) -> _Composed:
    try:
        written = _written(smiles).smiles
    except ValueError:
        reason = reason_from(messages, "not a SMILES")
        raise InputError(reason, code="UNREADABLE_SMILES") from None
    return _read_back(written)


def _of_geometry(geometry: Geometry, charge: int, multiplicity: int | None) -> _Composed:
    # An open shell has unpaired electrons where a closed one separates charges.
    closed = multiplicity == 1 if multiplicity else (sum(geometry.numbers) - charge) % 2 == 0
    seen = _seen if len(geometry) <= _REMEMBERED_ATOMS else _perceived
    return _read_back(seen(geometry, charge, closed))


def _read_back(smiles: str) -> _Composed:
    """The molecule of a SMILES that RDKit has written, as its own canonical SMILES reads.

    One SMILES is not enough: what RDKit writes it may read back with fewer stereo centres, and
    write differently. The same molecule must have one SMILES however it arrived.
    """
    try:
        return _written(smiles)
    except ValueError:
        raise InputError(
            f"RDKit cannot read back its own SMILES {smiles}", code="UNREADABLE_SMILES"
        ) from None


@lru_cache(5_000)
def _written(smiles: str) -> _Composed:
    """The molecule of a SMILES, as RDKit writes it; ValueError where it cannot be read."""
    mol = _read(smiles)
    written = Chem.MolToSmiles(mol)
    radicals = 0
    if "[" in written:  # outside of brackets, hydrogens fill every valence
        radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return _Composed(
        smiles=written,
        charge=Chem.GetFormalCharge(mol),
        composition=_composition(mol),
        radicals=radicals,
    )


@lru_cache(200)
def _read(smiles: str) -> Chem.Mol:
    """A molecule that is not to be changed; what was identified last is described next, mostly."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(smiles)
    _refuse_unknown_atoms(mol)
    if ":" in smiles:
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
    return mol


class _Description(msgspec.Struct, frozen=True, kw_only=True):
    """What else follows from a SMILES."""

    formula: str
    molecular_weight: float
    inchikey: str | None


@lru_cache(5_000)
def _described(smiles: str) -> _Description:
    with collected_messages():
        mol = _read(smiles)
        masses: list[float] = []
        hydrogens = 0
        for atom in mol.GetAtoms():
            masses.append(atom.GetMass())
            hydrogens += atom.GetTotalNumHs()  # those that are no atoms of their own
        return _Description(
            formula=rdMolDescriptors.CalcMolFormula(mol),
            molecular_weight=math.fsum([*masses, *[_HYDROGEN_MASS] * hydrogens]),
            inchikey=rdinchi.MolToInchiKey(mol) or None,
        )


def _composition(mol: Chem.Mol) -> dict[int, int]:
    """How many atoms there are of each atomic number, hydrogens too; of placeholders as 0."""
    return {
        ATOMIC_NUMBERS.get(symbol, 0): int(count or 1)
        for symbol, count in _COUNTED.findall(rdMolDescriptors.CalcMolFormula(mol))
    }


def _perceived(geometry: Geometry, charge: int, closed: bool) -> str:
    """The SMILES of the molecule whose bonds RDKit sees in a geometry."""
    mol = _with_bonds(geometry, charge, closed)
    _refuse_unknown_atoms(mol)
    return Chem.MolToSmiles(mol)


# Jobs that begin with one geometry often follow each other.
_seen = lru_cache(200)(_perceived)


def _with_bonds(geometry: Geometry, charge: int, closed: bool) -> Chem.Mol:
    """Return a molecule with the bonds that RDKit sees in a geometry; hydrogens stay implicit."""
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(geometry))
    conformer.SetPositions(np.array(geometry.positions))
    for number in geometry.numbers:
        mol.AddAtom(_atom(number))
    mol.AddConformer(conformer)
    if len(geometry) == 1:
        atom = mol.GetAtomWithIdx(0)
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(True)
        Chem.SanitizeMol(mol)
        return mol.GetMol()
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


@cache
def _atom(number: int) -> Chem.Atom:
    """To be copied, as AddAtom does."""
    return Chem.Atom(number)


def _no_bonds(charge: int, detail: str) -> InputError:
    return InputError(
        f"no bonds found that fit the geometry at charge {charge:+d} ({' '.join(detail.split())}); "
        "add smiles= (or the right charge=) to the comment line",
        code="NO_BONDS",
    )


def _refuse_unknown_atoms(mol: Chem.Mol) -> None:
    if mol.GetNumAtoms() == 0:
        raise InputError("an empty molecule", code="EMPTY_MOLECULE")
    numbers = _composition(mol)
    if 0 not in numbers and max(numbers) <= HEAVIEST_ELEMENT:
        return
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
