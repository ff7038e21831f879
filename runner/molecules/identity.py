"""Identification of molecules: canonical SMILES or connectivity, charge and multiplicity."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache

import msgspec
import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds, rdinchi, rdMolDescriptors

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.charge_separation import united
from quantum_forge.runner.molecules.connectivity import VERSION as CONNECTIVITY_VERSION
from quantum_forge.runner.molecules.connectivity import connectivity
from quantum_forge.runner.molecules.constitution import contradiction
from quantum_forge.runner.molecules.cxsmiles import read_cxsmiles, unread_extension
from quantum_forge.runner.molecules.geometry import ATOMIC_NUMBERS, ELEMENTS, Geometry
from quantum_forge.runner.molecules.limits import refuse_large_smiles, refuse_many_atoms
from quantum_forge.runner.molecules.rdkit_messages import collected_messages, reason_from
from quantum_forge.runner.molecules.records import Input
from quantum_forge.runner.molecules.spin import METALS, decide, warnings_of_assumed
from quantum_forge.schema.domains.calculations import Identity, ValueSource

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

    `smiles` is canonical and isomeric, parts of a salt separated by dots; None where the molecule
    is known by its `identity_key` instead (see `quantum_forge.runner.molecules.connectivity`).
    `charge` is in e,
    `multiplicity` is 2S + 1; their sources say whether they were given or assumed, and `warnings`
    why what was assumed may be wrong. `atom_count` includes hydrogens; `electron_count` is all
    electrons, not only those of the valence shell. `composition` is (atomic number, mass number or
    0 for the natural mixture, count) for each isotope, of a molecule without SMILES. What else
    follows is computed when it is asked for: only a molecule that is new to the log needs it.
    `contradiction` is why a result at the geometry is not one of this molecule; an input with one
    is refused, except where it is imported.
    """

    smiles: str | None
    identity: Identity = Identity.GIVEN
    identity_key: str | None = None
    name: str | None
    charge: int
    charge_source: ValueSource
    multiplicity: int
    multiplicity_source: ValueSource
    warnings: tuple[str, ...] = ()
    atom_count: int
    electron_count: int
    toolkit: str
    toolkit_version: str
    composition: tuple[tuple[int, int, int], ...] = ()
    contradiction: str | None = None

    @property
    def structure(self) -> str:
        """What, with charge and multiplicity, tells it from other molecules."""
        structure = self.smiles if self.smiles is not None else self.identity_key
        assert structure is not None
        return structure

    @property
    def stated_multiplicity(self) -> int | None:
        """The multiplicity, unless it was assumed."""
        return self.multiplicity if self.multiplicity_source is ValueSource.GIVEN else None

    @property
    def formula(self) -> str:
        """In the order of Hill, with the charge."""
        if self.smiles is not None:
            return _described(self.smiles).formula
        elements: Counter[int] = Counter()
        for number, _, count in self.composition:
            elements[number] += count
        return _formula(elements) + _charge_in_formula(self.charge)

    @property
    def molecular_weight(self) -> float:
        """In g/mol."""
        if self.smiles is not None:
            return _described(self.smiles).molecular_weight
        table = Chem.GetPeriodicTable()
        return math.fsum(
            count
            * (
                table.GetMassForIsotope(number, isotope)
                if isotope
                else table.GetAtomicWeight(number)
            )
            for number, isotope, count in self.composition
        )

    @property
    def inchikey(self) -> str | None:
        """None where InChI has none."""
        return None if self.smiles is None else _described(self.smiles).inchikey


def identify(
    source: Input,
    *,
    charge: int | None = None,
    multiplicity: int | None = None,
    imported: bool = False,
) -> Molecule:
    """Return the molecule that an input means, or raise InputError with the reason for a chemist.

    `charge` and `multiplicity` stand in where the input gives none. Without either, the charge is
    the formal charge of the SMILES (0 for a bare geometry), and the multiplicity is the lowest that
    the number of electrons allows. A value that the record calls assumed is assumed again, unless
    `charge` or `multiplicity` states it. The bonds of a geometry without SMILES are perceived;
    where they cannot be, or contradict charge or multiplicity, it is identified by its
    connectivity. A geometry with a SMILES must have the same atoms and the same bonds between
    them (see `quantum_forge.runner.molecules.constitution`). A geometry that is `imported` with its
    result may have reacted: other bonds between heavy atoms are the molecule's `contradiction`, and
    hydrogens at other atoms one of its warnings.
    """
    if source.error is not None:
        raise InputError(source.error, code="UNREADABLE_RECORD")
    if source.smiles is not None:
        refuse_large_smiles(source.smiles)
    if source.geometry is not None:
        refuse_many_atoms(len(source.geometry))
    stated_charge, stated_multiplicity = _stated(source)
    wanted_charge = stated_charge if stated_charge is not None else charge
    wanted_multiplicity = stated_multiplicity if stated_multiplicity is not None else multiplicity
    if wanted_charge is None and source.charge_unclear is not None:
        raise InputError(source.charge_unclear, code="UNREADABLE_RECORD")
    if wanted_multiplicity is None and source.multiplicity_unclear is not None:
        raise InputError(source.multiplicity_unclear, code="UNREADABLE_RECORD")
    with collected_messages() as messages:
        ignored = None
        if source.smiles is not None:
            found = _of_smiles(source.smiles, messages)
            ignored = unread_extension(source.smiles)
        elif source.geometry is not None:
            found = _of_geometry(source.geometry, wanted_charge or 0, wanted_multiplicity)
        else:
            raise InputError("neither a SMILES nor a geometry", code="EMPTY_MOLECULE")
    bonds = None
    if source.geometry is not None:
        _refuse_other_atoms(found.composition, source.geometry)
        if source.smiles is not None:
            _refuse_other_isotopes(source.smiles, source.geometry)
            bonds = contradiction(source.smiles, _read(source.smiles), source.geometry)
            if bonds is not None and not imported:
                raise InputError(
                    f"{bonds.reason}; correct one of them, or leave the SMILES out",
                    code="GEOMETRY_CONTRADICTS_SMILES",
                )
    claimed_charge = wanted_charge if wanted_charge is not None else source.charge
    if claimed_charge is not None and claimed_charge != found.charge:
        raise InputError(
            f"charge {claimed_charge:+d} contradicts the formal charge {found.charge:+d} of "
            f"{found.smiles}; correct one of them",
            code="CHARGE_CONTRADICTS_SMILES",
        )
    electrons = _electrons(found.composition, found.charge)
    decided, multiplicity_source = decide(electrons, wanted_multiplicity)
    if wanted_multiplicity is None and source.charge in (None, found.charge):
        decide(electrons, source.multiplicity)  # refuses an assumed one that is impossible
    is_charge_given = wanted_charge is not None or (
        source.smiles is not None and not source.charge_assumed
    )
    warnings = [*source.warnings, *([] if found.doubt is None else [found.doubt])]
    if ignored is not None:
        warnings.append(f"the CXSMILES extension {ignored} cannot be read and was left out")
    if bonds is not None and bonds.hydrogens_only:
        warnings.append(bonds.reason)
    if multiplicity_source is ValueSource.ASSUMED:
        warnings += warnings_of_assumed(
            decided, found.composition, written_radicals=found.written_radicals
        )
        if electrons % 2 and not is_charge_given:
            warnings.append(
                "has an odd number of electrons at charge 0, which is assumed: a radical; state "
                "the charge if it is an ion"
            )
    by_geometry = found.identity is Identity.GEOMETRY
    return Molecule(
        smiles=found.smiles,
        identity=found.identity,
        identity_key=found.key,
        name=source.name,
        charge=found.charge,
        charge_source=ValueSource.GIVEN if is_charge_given else ValueSource.ASSUMED,
        multiplicity=decided,
        multiplicity_source=multiplicity_source,
        warnings=tuple(warnings),
        atom_count=sum(found.composition.values()),
        electron_count=electrons,
        toolkit="quantum-forge" if by_geometry else "RDKit",
        toolkit_version=CONNECTIVITY_VERSION if by_geometry else rdBase.rdkitVersion,
        composition=_isotopes_of(source.geometry) if by_geometry and source.geometry else (),
        contradiction=None if bonds is None or bonds.hydrogens_only else bonds.reason,
    )


def canonical_smiles(smiles: str) -> str | None:
    """Return a SMILES as molecules have it in the log; None for what is not a SMILES."""
    try:
        refuse_large_smiles(smiles)
        with collected_messages() as messages:
            return _of_smiles(smiles, messages).smiles
    except InputError:
        return None


def _stated(source: Input) -> tuple[int | None, int | None]:
    """Return the charge and the multiplicity that a record states, without what it assumes.

    A value that is called assumed, and is not one that would be assumed, is edited: it is stated.
    """
    is_charge_assumed = source.charge_assumed and source.charge == 0
    is_multiplicity_assumed = source.multiplicity_assumed and source.multiplicity in (1, 2)
    return (
        None if is_charge_assumed else source.charge,
        None if is_multiplicity_assumed else source.multiplicity,
    )


class _Composed(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule's structure and the atoms that it has.

    smiles: None with a `key`. composition: atoms, hydrogens too, by atomic number. radicals:
    unpaired electrons by RDKit's count. written_radicals: the same without metals, and without
    atoms with dative bonds, for which that count is wrong. doubt: about the key.
    """

    smiles: str | None
    charge: int
    composition: dict[int, int]
    identity: Identity = Identity.GIVEN
    key: str | None = None
    radicals: int = 0
    written_radicals: int = 0
    doubt: str | None = None


def _isotopes_of(geometry: Geometry) -> tuple[tuple[int, int, int], ...]:
    isotopes = geometry.isotopes or (0,) * len(geometry)
    counted = Counter(zip(geometry.numbers, isotopes, strict=True))
    return tuple(sorted((*kind, count) for kind, count in counted.items()))


def _electrons(composition: dict[int, int], charge: int) -> int:
    electrons = sum(number * count for number, count in composition.items()) - charge
    if electrons <= 0:
        raise InputError(
            f"no electrons are left at charge {charge:+d}: nothing to calculate",
            code="NO_ELECTRONS",
        )
    return electrons


def _of_smiles(smiles: str, messages: list[str]) -> _Composed:
    try:
        written = _written(smiles).smiles
    except ValueError:
        reason = reason_from(messages, "not a SMILES")
        raise InputError(reason, code="UNREADABLE_SMILES") from None
    assert written is not None
    return _read_back(written)


def _of_geometry(geometry: Geometry, charge: int, stated: int | None) -> _Composed:
    composition = dict(geometry.composition())
    _refuse_unsupported(composition)
    electrons = _electrons(composition, charge)
    multiplicity, _ = decide(electrons, stated)
    for closed in _shells_to_try(electrons, multiplicity):
        perceived = _perceived_molecule(geometry, charge, closed)
        if (
            perceived is not None
            and perceived.charge == charge
            and perceived.composition == composition
            # The sum of unpaired electrons on a single atom is no question of bonds.
            and (len(geometry) == 1 or _fits(perceived.radicals, electrons, multiplicity))
        ):
            return msgspec.structs.replace(
                perceived, identity=Identity.PERCEIVED, written_radicals=0
            )
    key, doubt = connectivity(geometry)
    return _Composed(
        smiles=None,
        charge=charge,
        composition=composition,
        identity=Identity.GEOMETRY,
        key=key,
        doubt=doubt,
    )


def _shells_to_try(electrons: int, multiplicity: int) -> tuple[bool, ...]:
    """Whether bonds are perceived for closed shells, which separate charges, or for open ones."""
    if electrons % 2:
        return (False,)
    return (True,) if multiplicity == 1 else (True, False)


def _fits(radicals: int, electrons: int, multiplicity: int) -> bool:
    """Whether a structure has the unpaired electrons of its ground state, or of this spin state.

    More than the spin state has are refused: two of them would have to be paired.
    """
    return radicals in (multiplicity - 1, electrons % 2)


def _perceived_molecule(geometry: Geometry, charge: int, closed: bool) -> _Composed | None:
    """The molecule of the bonds that RDKit perceives; None where it perceives none that fit."""
    seen = _seen if len(geometry) <= _REMEMBERED_ATOMS else _perceived
    try:
        return _read_back(seen(geometry, charge, closed))
    except InputError:
        return None


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
    radicals = written_radicals = 0
    if "[" in written:  # outside of brackets, hydrogens fill every valence
        for atom in mol.GetAtoms():
            if its := atom.GetNumRadicalElectrons():
                radicals += its
                written_radicals += 0 if _is_unusual(atom) else its
    return _Composed(
        smiles=written,
        charge=Chem.GetFormalCharge(mol),
        composition=_composition(mol),
        radicals=radicals,
        written_radicals=written_radicals,
    )


def _is_unusual(atom: Chem.Atom) -> bool:
    """Whether RDKit's count of unpaired electrons means nothing: rdkit/rdkit#3381."""
    dative = Chem.BondType.DATIVE
    return atom.GetAtomicNum() in METALS or any(b.GetBondType() == dative for b in atom.GetBonds())


@lru_cache(200)
def _read(smiles: str) -> Chem.Mol:
    """A molecule that is not to be changed; what was identified last is described next, mostly."""
    mol = read_cxsmiles(smiles)
    _refuse_unknown_atoms(mol)
    if ":" in smiles:
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
    return mol


class _Description(msgspec.Struct, frozen=True, kw_only=True):
    """Other properties that follow from a SMILES."""

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
    return Chem.MolToSmiles(united(mol))


# Jobs that begin with one geometry often follow each other.
_seen = lru_cache(200)(_perceived)


def _with_bonds(geometry: Geometry, charge: int, closed: bool) -> Chem.Mol:
    """Return a molecule with the bonds that RDKit sees in a geometry; hydrogens stay implicit."""
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(geometry))
    conformer.SetPositions(np.array(geometry.positions))
    for number in geometry.numbers:
        mol.AddAtom(_atom(number))
    for index, isotope in enumerate(geometry.isotopes):
        mol.GetAtomWithIdx(index).SetIsotope(isotope)
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
        f"no bonds found that fit the geometry at charge {charge:+d} ({' '.join(detail.split())})",
        code="NO_BONDS",
    )


def _refuse_unknown_atoms(mol: Chem.Mol) -> None:
    if mol.GetNumAtoms() == 0:
        raise InputError("an empty molecule", code="EMPTY_MOLECULE")
    numbers = _composition(mol)
    if 0 not in numbers and max(numbers) <= HEAVIEST_ELEMENT:
        return
    for index, atom in enumerate(mol.GetAtoms(), start=1):
        if atom.GetAtomicNum() == 0:
            raise InputError(
                f"atom {index} is a placeholder ({atom.GetSmarts()}), not an element",
                code="PLACEHOLDER_ATOM",
            )
    _refuse_unsupported(numbers)


def _refuse_unsupported(numbers: Iterable[int]) -> None:
    for number in numbers:
        if not 0 < number <= HEAVIEST_ELEMENT:
            raise InputError(
                f"{ELEMENTS[number]} (Z = {number}) is not supported by xTB, which ends at radon "
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


def _refuse_other_isotopes(smiles: str, geometry: Geometry) -> None:
    """Refuse isotopes in a geometry that are not those of the SMILES, which is the identity."""
    if not geometry.isotopes:
        return
    named = Counter(
        (number, isotope)
        for number, isotope in zip(geometry.numbers, geometry.isotopes, strict=True)
        if isotope
    )
    atoms = _read(smiles).GetAtoms()
    if named != Counter((a.GetAtomicNum(), a.GetIsotope()) for a in atoms if a.GetIsotope()):
        raise InputError(
            "the geometry has isotopes that the SMILES does not have; write them in both, as in "
            "[2H]O[2H]",
            code="GEOMETRY_CONTRADICTS_SMILES",
        )


def _formula(composition: dict[int, int]) -> str:
    # The order of Hill: with carbon, carbon and hydrogen first; the others by symbol.
    first = {6: "", 1: " "} if 6 in composition else {}
    order = sorted(composition, key=lambda number: first.get(number, ELEMENTS[number]))
    return "".join(
        ELEMENTS[number] + (str(composition[number]) if composition[number] > 1 else "")
        for number in order
    )


def _charge_in_formula(charge: int) -> str:
    """As CalcMolFormula writes it: +, +2, -, -2."""
    sign = "-" if charge < 0 else "+"
    return "" if charge == 0 else sign + (str(abs(charge)) if abs(charge) > 1 else "")
