"""One calculation, molecule or batch, found by id, SMILES or name; and everything about it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Table, select

from quantum_forge.eventstore.base.envelope import RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.abbreviations import FULL_LENGTH, SHORTEST_PREFIX, id_digits
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.projections.queries.calculations import (
    CalculationFilter,
    Row,
    rows,
    select_batches,
    select_by_prefix,
    select_calculations,
    select_molecules_by_smiles,
)
from quantum_forge.schema.domains.batches import CHANGE_NO_RESULT, batch_jobs
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.results import (
    atomic_properties,
    calculation_errors,
    calculation_execution_metrics,
)


class NotFound(QuantumForgeError):
    """The tenant has no such calculation, molecule or batch."""

    def __init__(self, kind: str, reference: str, ways: str) -> None:
        self.kind = kind
        self.reference = reference
        plural = f"{kind}es" if kind == "batch" else f"{kind}s"
        super().__init__(
            f"no {kind} {reference!r}: give {ways}, as `qforge {plural} list` shows it"
        )


class Ambiguous(QuantumForgeError):
    """A reference matches several calculations, molecules or batches."""

    def __init__(self, kind: str, reference: str, candidates: Sequence[str], ways: str) -> None:
        self.kind = kind
        self.reference = reference
        self.candidates = candidates
        super().__init__(
            f"{reference!r} matches more than one {kind}: {', '.join(candidates)}; give {ways}"
        )


class CalculationDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a calculation: its rows in every table, and its history."""

    calculation: Row
    molecule: Row | None
    metrics: Row | None
    atoms: list[Row]
    errors: list[Row]
    events: list[RecordedEvent]


class MoleculeDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule and its calculations, the latest first."""

    molecule: Row
    calculations: list[Row]


def find_calculation(connection: Connection, tenant_id: UUID, reference: str) -> Row:
    """The calculation with this id, or whose id alone begins so.

    Raises:
        NotFound, Ambiguous
    """
    digits = id_digits(reference.lower())
    found = (
        []
        if digits is None
        else rows(connection, select_by_prefix(calculations, tenant_id, digits))
    )
    if not found:
        raise NotFound(
            "calculation", reference, f"an id, or {SHORTEST_PREFIX} or more of its digits"
        )
    if len(found) > 1:
        candidates = [str(row["id"]) for row in found]
        raise Ambiguous("calculation", reference, candidates, "more digits")
    return found[0]


def find_molecules(connection: Connection, tenant_id: UUID, reference: str) -> list[Row]:
    """The molecules with this SMILES (they differ in charge or multiplicity), else with this id.

    The beginning of an id is enough, in lower case: CCCC is butane.

    Raises:
        NotFound
    """
    found = rows(connection, select_molecules_by_smiles(tenant_id, reference))
    if not found and (digits := id_digits(reference)) is not None:
        found = rows(connection, select_by_prefix(molecules, tenant_id, digits))
    if not found:
        raise NotFound(
            "molecule",
            reference,
            f"a SMILES, an id, or {SHORTEST_PREFIX} or more of its digits",
        )
    return found


def find_molecule(connection: Connection, tenant_id: UUID, reference: str) -> Row:
    """The one molecule with this SMILES, id, or beginning of an id.

    Raises:
        NotFound, Ambiguous
    """
    found = find_molecules(connection, tenant_id, reference)
    if len(found) > 1:
        candidates = [
            f"{row['id']} (charge {row['charge']}, multiplicity {row['multiplicity']})"
            for row in found
        ]
        raise Ambiguous("molecule", reference, candidates, "its id")
    return found[0]


def find_batches(connection: Connection, tenant_id: UUID, reference: str) -> list[Row]:
    """The batches of this name, else the one with this id or beginning of an id.

    A whole id is taken as it is, with null in every other column when no event began such a batch.

    Raises:
        NotFound, Ambiguous
    """
    found = rows(connection, select_batches(tenant_id, name=reference))
    digits = id_digits(reference.lower())
    if not found and digits is not None:
        found = rows(connection, select_by_prefix(batch_jobs, tenant_id, digits))
        if len(found) > 1:
            raise Ambiguous("batch", reference, list(map(described, found)), "more digits")
        if not found and len(digits) == FULL_LENGTH:
            return [dict.fromkeys(batch_jobs.c.keys()) | {"id": UUID(digits)}]
    if not found:
        raise NotFound(
            "batch", reference, f"a name, an id, or {SHORTEST_PREFIX} or more of its digits"
        )
    return found


def find_batch(connection: Connection, tenant_id: UUID, reference: str) -> Row:
    """The one batch of this name, id or beginning of an id.

    Raises:
        NotFound, Ambiguous
    """
    found = find_batches(connection, tenant_id, reference)
    if len(found) > 1:
        raise Ambiguous(
            "batch", reference, list(map(described, found)), "its id, or a prefix of it"
        )
    return found[0]


def method_of(batch: Row) -> str | None:
    """The method of a batch's parameters, with the solvent, where they name one."""
    parameters = batch["parameters"] or {}
    method, solvent = parameters.get("method"), parameters.get("solvent")
    return method if solvent is None else f"{method} in {solvent}"


def described(batch: Row) -> str:
    """A batch in a few words: the beginning of its id, what it computes, and its file."""
    settings = {
        name: value
        for name, value in (batch["parameters"] or {}).items()
        if value is not None and name not in CHANGE_NO_RESULT
    }
    parts = [", ".join(f"{name} {value}" for name, value in settings.items()), batch["source"]]
    return f"{str(batch['id'])[:8]} ({'; '.join(each for each in parts if each)})"


def calculation_details(
    connection: Connection, tenant_id: UUID, reference: str
) -> CalculationDetails:
    """Everything about the calculation with this id, or whose id alone begins so.

    Raises:
        NotFound, Ambiguous
    """
    calculation = find_calculation(connection, tenant_id, reference)
    id_, molecule_id = calculation["id"], calculation["molecule_id"]

    def parts(table: Table, by: str) -> list[Row]:
        query = select(table).where(table.c.tenant_id == tenant_id, table.c.calculation_id == id_)
        return rows(connection, query.order_by(table.c[by]))

    molecule = select(molecules).where(
        molecules.c.tenant_id == tenant_id, molecules.c.id == molecule_id
    )
    return CalculationDetails(
        calculation=calculation,
        molecule=next(iter(rows(connection, molecule)), None),
        metrics=next(iter(parts(calculation_execution_metrics, "calculation_id")), None),
        atoms=parts(atomic_properties, "atom_index"),
        errors=parts(calculation_errors, "id"),
        events=list(read_stream(connection, Stream(tenant_id, "calculation", id_))),
    )


def molecule_details(connection: Connection, tenant_id: UUID, reference: str) -> MoleculeDetails:
    """The molecule with this SMILES, id or beginning of an id, and its calculations.

    Raises:
        NotFound, Ambiguous
    """
    molecule = find_molecule(connection, tenant_id, reference)
    query = select_calculations(
        tenant_id, CalculationFilter(molecule_ids=[molecule["id"]]), descending=True
    )
    return MoleculeDetails(molecule=molecule, calculations=rows(connection, query))
