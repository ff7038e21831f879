"""A three-dimensional structure for a SMILES: ETKDGv3, then a force field."""

from typing import Any

import msgspec
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from rdkit.Geometry import Point3D

from quantum_forge.runner.errors import NoConformerError
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.limits import refuse_large_smiles
from quantum_forge.runner.molecules.rdkit_messages import collected_messages, reason_from
from quantum_forge.runner.molecules.seeds import SEED
from quantum_forge.runner.molecules.spin import METALS

_ATTEMPTS = 50
_FORCE_FIELD_STEPS = 2_000
_GAP = 3.0  # Å between the parts of a salt or mixture, before the force field moves them

MMFF94, UFF = "MMFF94", "UFF"


class Conformer(msgspec.Struct, frozen=True, kw_only=True):
    """A structure that was made from a SMILES.

    source: `ETKDGv3+MMFF94`, `ETKDGv3+UFF`, or `ETKDGv3` where no force field has the elements.
    bonds: indices of bonded atoms, counted from 0; bonds to metals and dative ones are left out.
    """

    geometry: Geometry
    source: str
    bonds: tuple[tuple[int, int], ...]


def embed(smiles: str, *, seed: int = SEED) -> Geometry:
    """Return the geometry of `build` with its default force fields."""
    return build(smiles, seed=seed).geometry


def build(
    smiles: str, *, seed: int = SEED, force_fields: tuple[str, ...] = (MMFF94, UFF)
) -> Conformer:
    """Return a structure with all hydrogens, the same one every time for a SMILES and a seed.

    ETKDGv3, with random coordinates when that fails, then the first of `force_fields` that has
    parameters for all atoms (none may have them, and then the embedded structure is kept). Parts of
    a salt are placed side by side and optimised together. Raises NoConformerError, and InputError
    for a SMILES that is too large.
    """
    refuse_large_smiles(smiles)
    with collected_messages() as messages:
        mol = Chem.MolFromSmiles(smiles)
        if mol is None or mol.GetNumAtoms() == 0:
            raise NoConformerError(smiles, reason_from(messages, "not a molecule"))
        mol = Chem.AddHs(mol)
        _place(mol, smiles, seed)
        force_field = _optimise(mol, force_fields)
    positions = mol.GetConformer().GetPositions().tolist()
    return Conformer(
        geometry=Geometry(
            numbers=tuple(atom.GetAtomicNum() for atom in mol.GetAtoms()),
            positions=tuple((float(x), float(y), float(z)) for x, y, z in positions),
        ),
        source="ETKDGv3" if force_field is None else f"ETKDGv3+{force_field}",
        bonds=tuple(
            (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            for bond in mol.GetBonds()
            if bond.GetBondType() in _COVALENT
            and not {bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()} & METALS
        ),
    )


def _place(mol: Chem.Mol, smiles: str, seed: int) -> None:
    """Give the molecule one conformer, its parts beside each other along x.

    RDKit embeds every part around the origin, where they would sit inside each other.
    """
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.Set3D(True)
    places: list[tuple[int, ...]] = []
    parts = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=places)
    edge = 0.0
    for part, place in zip(parts, places, strict=True):
        positions = _embedded(part, smiles, seed)
        shift = edge - min(x for x, _, _ in positions)
        for index, (x, y, z) in zip(place, positions, strict=True):
            conformer.SetAtomPosition(index, Point3D(x + shift, y, z))
        edge = max(x for x, _, _ in positions) + shift + _GAP
    mol.RemoveAllConformers()
    mol.AddConformer(conformer)


def _embedded(part: Chem.Mol, smiles: str, seed: int) -> list[tuple[float, float, float]]:
    if part.GetNumAtoms() == 1:
        return [(0.0, 0.0, 0.0)]
    parameters: Any = rdDistGeom.ETKDGv3()  # its stubs have no types for the settings
    parameters.randomSeed = seed
    parameters.maxIterations = _ATTEMPTS
    for random_coordinates in (False, True):
        parameters.useRandomCoords = random_coordinates
        try:
            found = rdDistGeom.EmbedMolecule(part, parameters)
        except RuntimeError as error:
            raise NoConformerError(smiles, _violation(error)) from error
        if found == 0:
            positions = part.GetConformer().GetPositions().tolist()
            return [(x, y, z) for x, y, z in positions]
    raise NoConformerError(smiles, "neither ETKDGv3 nor random coordinates found one")


def _violation(error: RuntimeError) -> str:
    """Message of RDKit's invariant violation, without the place in its source and its versions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines[:1] == ["Invariant Violation"] and len(lines) > 1:
        return f"RDKit gave up ({lines[1]})"
    return " ".join(lines)


_COVALENT = {
    Chem.BondType.SINGLE,
    Chem.BondType.DOUBLE,
    Chem.BondType.TRIPLE,
    Chem.BondType.AROMATIC,
}

_HAS_PARAMETERS: dict[str, Any] = {
    MMFF94: rdForceFieldHelpers.MMFFHasAllMoleculeParams,
    UFF: rdForceFieldHelpers.UFFHasAllMoleculeParams,
}
_MINIMISE: dict[str, Any] = {
    MMFF94: rdForceFieldHelpers.MMFFOptimizeMolecule,
    UFF: rdForceFieldHelpers.UFFOptimizeMolecule,
}


def _optimise(mol: Chem.Mol, force_fields: tuple[str, ...]) -> str | None:
    """Move the atoms to a minimum of the first force field that has all of them; return which."""
    if mol.GetNumAtoms() == 1:
        return None
    for name in force_fields:
        if _HAS_PARAMETERS[name](mol):
            _MINIMISE[name](mol, maxIters=_FORCE_FIELD_STEPS, ignoreInterfragInteractions=False)
            return name
    return None
