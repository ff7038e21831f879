"""A small training set in the log, with everything that a format can stumble over."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.schema.domains.calculations import (
    Atom,
    CalculationCompleted,
    CalculationInvalidated,
    CalculationLost,
    CalculationStarted,
)
from quantum_forge.schema.domains.molecules import MoleculeCreated, MoleculeDeleted, molecule_id
from quantum_forge.schema.language.identity import natural_id
from tests.support.chemical_history import failed, happened, requested

TIME = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
METHODS = ("GFN2-xTB", "GFN1-xTB")
RETRACTION = UUID("0198a5b0-0000-7000-8000-0000000000aa")


class Molecule(msgspec.Struct, frozen=True):
    """A molecule with a geometry; `known`: which of charges and forces its result tells."""

    smiles: str
    name: str | None
    charge: int
    atoms: list[Atom]
    known: str = "all"

    @property
    def id(self) -> UUID:
        """As the runner derives it."""
        return molecule_id(DEFAULT_TENANT_ID, self.smiles, self.charge, 1)


def embedded(
    smiles: str, name: str | None, *, charge: int = 0, reverse: bool = False, known: str = "all"
) -> Molecule:
    """A molecule in three dimensions; reverse: its atoms in another order than in the SMILES."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=7)
    points = molecule.GetConformer().GetPositions().tolist()
    atoms = []
    for index, (atom, point) in enumerate(zip(molecule.GetAtoms(), points, strict=True)):
        charge_of = -0.1 * index + 1e-17 if known == "all" or index else None
        forces = (0.01 * index, -1 / 3, 2e-300) if known == "all" else (None, None, None)
        atoms.append(
            Atom(
                atom.GetSymbol(),
                atom.GetAtomicNum(),
                None if known == "nothing" else charge_of,
                *point,
                *forces,
            )
        )
    return Molecule(smiles, name, charge, atoms[::-1] if reverse else atoms, known)


MOLECULES = [
    embedded("CCO", "ethanol"),
    embedded("F", "true", known="nothing"),
    embedded("[NH4+]", "ammonium, \"quoted\" 'µ' \\ = 1,2", charge=1),
    embedded("F/C=C\\F", "line\nbreak\tand tab"),
    embedded("c1ccccc1O", None, reverse=True, known="some charges"),
    embedded("O", "$$$$"),
]


def calculation_of(molecule: Molecule, method: str) -> UUID:
    """The id of a calculation."""
    return natural_id("calculation", DEFAULT_TENANT_ID, molecule.id, method)


def energy_of(index: int, method: str) -> float:
    """An energy in Eh without a short decimal."""
    return -10 / 3 - index - METHODS.index(method) / 7


def began(molecule: Molecule, method: str) -> NewEvent:
    """The start of a calculation."""
    event = CalculationStarted(
        molecule_id=molecule.id,
        batch_id=None,
        attempt=1,
        method=method,
        charge=molecule.charge,
        multiplicity=1,
        program="tblite",
        program_version="0.4",
        timeout_seconds=60.0,
        solvation_model="alpb(water)" if method == METHODS[1] else None,
    )
    return happened(event, calculation_of(molecule, method), at=TIME)


def ended(molecule: Molecule, method: str, index: int) -> NewEvent:
    """The result of a calculation."""
    event = CalculationCompleted(
        molecule_id=molecule.id,
        batch_id=None,
        energy=energy_of(index, method),
        homo=-12.1,
        lumo=None if index == 1 else -12.1 + index,
        gap=None if index == 1 else float(index),
        dipole=None if index == 1 else 2.2,
        convergence_status="converged",
        is_converged=True,
        gradient_norm=0.01,
        wall_time_seconds=0.5,
        cpu_time_seconds=0.4,
        program="tblite",
        program_version="0.4",
        xyz_sha256="0" * 63 + str(index),
        atoms=molecule.atoms,
    )
    return happened(event, calculation_of(molecule, method), at=TIME)


def created(molecule: Molecule) -> NewEvent:
    """The creation of a molecule."""
    event = MoleculeCreated(
        smiles=molecule.smiles,
        charge=molecule.charge,
        multiplicity=1,
        formula="F",
        molecular_weight=20.0 + len(molecule.atoms),
        generation_method="imported",
        toolkit="RDKit",
        toolkit_version="2026.03",
        name=molecule.name,
    )
    return happened(event, molecule.id, at=TIME)


def good() -> list[NewEvent]:
    """Every molecule by the first method, and the first of them by the second, too."""
    events = []
    for index, molecule in enumerate(MOLECULES):
        events += [created(molecule), began(molecule, METHODS[0])]
        events += [ended(molecule, METHODS[0], index)]
    first = MOLECULES[0]
    return [*events, began(first, METHODS[1]), ended(first, METHODS[1], 0)]


def bad() -> list[NewEvent]:
    """One calculation for each reason to be left out, of a molecule each."""
    kinds = ("failed", "lost", "invalidated", "retracted", "running", "pending", "deleted")
    events = []
    for number, kind in enumerate(kinds, start=1):
        molecule = msgspec.structs.replace(MOLECULES[0], smiles="C" * number, name=kind)
        id_ = calculation_of(molecule, METHODS[0])
        events.append(created(molecule))
        if kind == "pending":
            events.append(requested(id_, molecule.smiles))
            continue
        events.append(began(molecule, METHODS[0]))
        match kind:
            case "failed":
                events.append(failed(id_, molecule.smiles))
            case "lost":
                lost = CalculationLost(
                    molecule_id=molecule.id, batch_id=None, attempt=1, error_message="killed"
                )
                events.append(happened(lost, id_))
            case "invalidated":
                refused = CalculationInvalidated(
                    molecule_id=molecule.id, batch_id=None, reason="no electrons"
                )
                events.append(happened(refused, id_))
            case "retracted":
                retracted = CalculationInvalidated(
                    molecule_id=molecule.id,
                    batch_id=None,
                    reason="a bug",
                    was_completed=True,
                    retraction_id=RETRACTION,
                )
                events += [ended(molecule, METHODS[0], 0), happened(retracted, id_)]
            case "deleted":
                events += [ended(molecule, METHODS[0], 0)]
                events.append(happened(MoleculeDeleted(), molecule.id))
    return events
