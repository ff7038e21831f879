"""Descriptors and fingerprints of a molecule: they follow from its SMILES alone, by RDKit."""

import math
from uuid import UUID

import msgspec
from rdkit import Chem, rdBase
from rdkit.Chem import QED, rdMolDescriptors

from quantum_forge.runner.engines.tasks import Task
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.fingerprints import Fingerprints, fingerprints
from quantum_forge.runner.molecules.limits import refuse_large_smiles
from quantum_forge.runner.molecules.rdkit_messages import collected_messages, reason_from

TOOLKIT = "RDKit"


class Descriptions(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptors of a molecule, computed by RDKit.

    molecular_weight in g/mol, the average over isotopes. logp and molar_refractivity by Wildman and
    Crippen (J. Chem. Inf. Comput. Sci. 39, 868, 1999). topological_polar_surface_area in Å² by Ertl
    (J. Med. Chem. 43, 3714, 2000). qed, from 0 to 1, by Bickerton (Nature Chem. 4, 90, 2012).
    Hydrogen bonds are counted as Lipinski's rule does.
    """

    molecular_weight: float
    logp: float
    hydrogen_bond_donors: int
    hydrogen_bond_acceptors: int
    rotatable_bonds: int
    topological_polar_surface_area: float
    molar_refractivity: float
    qed: float


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What workers send of one task's molecule, in the form of their outcomes."""

    task_id: UUID
    descriptions: Descriptions
    fingerprints: Fingerprints
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


def toolkit_version() -> str:
    """Return RDKit's version, as `2026.03.1`."""
    return str(rdBase.rdkitVersion)


def descriptions(smiles: str) -> Descriptions:
    """Return the descriptors of a molecule.

    Raises:
        InputError: when RDKit cannot read the SMILES, or it is too large to be read.
    """
    return _descriptions(_read(smiles))


def _read(smiles: str) -> Chem.Mol:
    refuse_large_smiles(smiles)
    with collected_messages() as messages:
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:
            raise InputError(reason_from(messages, "not a SMILES"), code="UNREADABLE_SMILES")
        return mol


def _descriptions(mol: Chem.Mol) -> Descriptions:
    with collected_messages():
        logp, refractivity = rdMolDescriptors.CalcCrippenDescriptors(mol)
        return Descriptions(
            molecular_weight=math.fsum(atom.GetMass() for atom in Chem.AddHs(mol).GetAtoms()),
            logp=float(logp),
            hydrogen_bond_donors=int(rdMolDescriptors.CalcNumHBD(mol)),
            hydrogen_bond_acceptors=int(rdMolDescriptors.CalcNumHBA(mol)),
            rotatable_bonds=int(rdMolDescriptors.CalcNumRotatableBonds(mol)),
            topological_polar_surface_area=float(rdMolDescriptors.CalcTPSA(mol)),
            molar_refractivity=float(refractivity),
            qed=float(QED.qed(mol)),  # type: ignore[no-untyped-call]  # RDKit's own, untyped
        )


def describe(task: Task) -> Described:
    """What workers run: a task's SMILES becomes its descriptors and fingerprints."""
    assert task.smiles is not None  # molecules without one are left out
    mol = _read(task.smiles)
    return Described(
        task_id=task.id, descriptions=_descriptions(mol), fingerprints=fingerprints(mol)
    )
