"""One calculation, molecule, batch or project by what a user calls it; and everything about it."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, Table, select

from quantum_forge.eventstore.base.envelope import RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.log.abbreviations import (
    CANDIDATES,
    FULL_LENGTH,
    SHORTEST_PREFIX,
    id_digits,
)
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.projections.queries.batches import item_statuses, select_batches
from quantum_forge.projections.queries.calculations import (
    WITHOUT_RESULT,
    CalculationFilter,
    select_calculations,
)
from quantum_forge.projections.queries.molecules import select_molecules, select_molecules_by_smiles
from quantum_forge.projections.queries.rows import Row, rows, select_by_ids, select_by_prefix
from quantum_forge.schema.domains.batches import CHANGE_NO_RESULT, batch_jobs
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.discovery import projects
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.organizations import organizations
from quantum_forge.schema.domains.results import (
    atomic_properties,
    calculation_errors,
    calculation_execution_metrics,
)

Canonical = Callable[[str], str | None]
"""Returns a SMILES as it is stored, or None for what is not a SMILES."""

_FEW = CANDIDATES + 1
_SUGGESTED_FROM = 1_000
_INCHIKEY = re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]")


def as_it_is(smiles: str) -> str | None:
    """Take every SMILES as the stored one: without RDKit."""
    return smiles


class NotFound(QuantumForgeError):
    """The tenant has no such calculation, molecule, batch or project."""

    def __init__(self, kind: str, reference: str, ways: str, similar: Iterable[str] = ()) -> None:
        self.kind = kind
        self.reference = reference
        plural = f"{kind}es" if kind == "batch" else f"{kind}s"
        otherwise = f"give {ways}, as `qforge {plural} list` shows it"
        if kind == "project":
            otherwise += "; `qforge projects create` creates one"
        super().__init__(
            f"no {kind} {reference!r}: {suggestion(reference, similar, otherwise=otherwise)}"
        )


class Ambiguous(QuantumForgeError):
    """A reference matches several calculations, molecules, batches or projects."""

    def __init__(self, kind: str, reference: str, candidates: Sequence[str], ways: str) -> None:
        self.kind = kind
        self.reference = reference
        self.candidates = candidates
        more = ", …" if len(candidates) > CANDIDATES else ""
        super().__init__(
            f"{reference!r} matches more than one {kind}: {', '.join(candidates[:CANDIDATES])}"
            f"{more}; give {ways}"
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


class BatchDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, its items by status, and the first of those without a result, with reasons."""

    batch: Row
    statuses: dict[str, int]
    without_result: list[Row]


def find_calculation(
    connection: Connection,
    tenant_id: UUID,
    reference: str,
    *,
    canonical: Canonical = as_it_is,
) -> Row:
    """The calculation with this id, or whose id alone begins so; else the only one of a molecule.

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
        of_molecules = molecules_like(connection, tenant_id, reference, canonical=canonical)
        if of_molecules:
            where = CalculationFilter(molecule_ids=[row["id"] for row in of_molecules])
            query = select_calculations(tenant_id, where, descending=True, limit=CANDIDATES + 1)
            ids = [row["id"] for row in rows(connection, query)]
            found = rows(connection, select_by_ids(calculations, tenant_id, ids))
    if not found:
        raise NotFound(
            "calculation",
            reference,
            f"an id, {SHORTEST_PREFIX} or more of its digits, or a molecule that has one",
        )
    if len(found) > 1:
        raise Ambiguous(
            "calculation", reference, list(map(_in_words, found)), "an id, or more digits"
        )
    return found[0]


def find_molecules(
    connection: Connection,
    tenant_id: UUID,
    reference: str,
    *,
    canonical: Canonical = as_it_is,
) -> list[Row]:
    """The molecules that a reference means, as `molecules_like` finds them.

    Raises:
        NotFound
    """
    found = molecules_like(connection, tenant_id, reference, canonical=canonical)
    if not found:
        raise NotFound(
            "molecule",
            reference,
            f"a SMILES, a name, an InChIKey, a formula, an id, or {SHORTEST_PREFIX} or more of "
            "its digits",
            names_of(connection, molecules, tenant_id),
        )
    return found


def molecules_like(
    connection: Connection,
    tenant_id: UUID,
    reference: str,
    *,
    canonical: Canonical = as_it_is,
) -> list[Row]:
    """The molecules of a reference, at most a few more than an error lists; none where none fits.

    The first of these that finds any: the SMILES as it is stored (several molecules differ in
    charge or multiplicity), the id or how it begins (in lower case: CCCC is butane), the InChIKey,
    the name of the molecule or in the input of a batch, any other SMILES of it, and the formula.

    Args:
        connection: for reading.
        tenant_id: whose.
        reference: as a user writes it.
        canonical: returns a SMILES as it is stored, or None for what is not one.
    """
    found = rows(connection, select_molecules_by_smiles(tenant_id, reference))
    if not found and (digits := id_digits(reference)) is not None:
        found = rows(connection, select_by_prefix(molecules, tenant_id, digits))
    if not found and _INCHIKEY.fullmatch(reference.upper()):
        found = _few(
            connection, select_molecules(tenant_id, inchikey=reference.upper(), limit=_FEW)
        )
    if not found:
        found = _few(connection, select_molecules(tenant_id, name=reference, limit=_FEW))
    if not found and (smiles := canonical(reference)) not in (None, reference):
        found = rows(connection, select_molecules_by_smiles(tenant_id, smiles))
    if not found and (formula := hill(reference)) is not None:
        found = _few(connection, select_molecules(tenant_id, formula=formula, limit=_FEW))
    return found


def find_molecule(
    connection: Connection,
    tenant_id: UUID,
    reference: str,
    *,
    canonical: Canonical = as_it_is,
) -> Row:
    """The one molecule that a reference means, as `molecules_like` finds it.

    Raises:
        NotFound, Ambiguous
    """
    found = find_molecules(connection, tenant_id, reference, canonical=canonical)
    if len(found) > 1:
        raise Ambiguous("molecule", reference, list(map(_molecule_in_words, found)), "its id")
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
            "batch",
            reference,
            f"a name, an id, or {SHORTEST_PREFIX} or more of its digits",
            names_of(connection, batch_jobs, tenant_id),
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


def find_project(connection: Connection, tenant_id: UUID, reference: str) -> Row:
    """The one project of this name, id or beginning of an id.

    Raises:
        NotFound, Ambiguous
    """
    return _find_named(connection, projects, "project", tenant_id, reference)


def find_organization(connection: Connection, tenant_id: UUID, reference: str) -> Row:
    """The one organisation of this name, id or beginning of an id.

    Raises:
        NotFound, Ambiguous
    """
    return _find_named(connection, organizations, "organization", tenant_id, reference)


def _find_named(
    connection: Connection, table: Table, kind: str, tenant_id: UUID, reference: str
) -> Row:
    named = select(table).where(table.c.tenant_id == tenant_id, table.c.name == reference)
    found = rows(connection, named.order_by(table.c.id).limit(_FEW))
    if not found and (digits := id_digits(reference.lower())) is not None:
        found = rows(connection, select_by_prefix(table, tenant_id, digits))
    if not found:
        raise NotFound(
            kind,
            reference,
            f"a name, an id, or {SHORTEST_PREFIX} or more of its digits",
            names_of(connection, table, tenant_id),
        )
    if len(found) > 1:
        candidates = [f"{row['id']} ({row['name']})" for row in found]
        raise Ambiguous(kind, reference, candidates, "its id")
    return found[0]


def names_of(connection: Connection, table: Table, tenant_id: UUID) -> list[str]:
    """The names of the newest rows of a table, from which an error suggests similar ones."""
    query = select(table.c.name).where(table.c.tenant_id == tenant_id)
    newest = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(_SUGGESTED_FROM)
    return [name for name in dict.fromkeys(connection.scalars(newest)) if name is not None]


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
    connection: Connection,
    tenant_id: UUID,
    reference: str,
    *,
    canonical: Canonical = as_it_is,
) -> CalculationDetails:
    """Everything about the calculation that a reference means, as `find_calculation` finds it.

    Raises:
        NotFound, Ambiguous
    """
    calculation = find_calculation(connection, tenant_id, reference, canonical=canonical)
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


def molecule_details(
    connection: Connection,
    tenant_id: UUID,
    reference: str,
    *,
    canonical: Canonical = as_it_is,
) -> MoleculeDetails:
    """The molecule that a reference means, and its calculations.

    Raises:
        NotFound, Ambiguous
    """
    molecule = find_molecule(connection, tenant_id, reference, canonical=canonical)
    query = select_calculations(
        tenant_id, CalculationFilter(molecule_ids=[molecule["id"]]), descending=True
    )
    return MoleculeDetails(molecule=molecule, calculations=rows(connection, query))


def batch_details(
    connection: Connection, tenant_id: UUID, reference: str, *, limit: int
) -> BatchDetails:
    """The one batch of this name, id or beginning of an id, and at most `limit` failed items.

    Raises:
        NotFound, Ambiguous
    """
    batch = find_batch(connection, tenant_id, reference)
    if batch["name"] is None:
        raise NotFound("batch", reference, "a name, or the id of a batch that has begun")
    where = CalculationFilter(batch_ids=[batch["id"]], statuses=sorted(WITHOUT_RESULT))
    query = select_calculations(tenant_id, where, limit=limit)
    return BatchDetails(
        batch=batch,
        statuses=item_statuses(connection, tenant_id, batch["id"]),
        without_result=rows(connection, query),
    )


def hill(text: str) -> str | None:
    """A molecular formula in Hill order, as it is stored: C2H6O for OH6C2; None for another text.

    A charge stands behind it: H4N+, O4S-2.
    """
    found = re.fullmatch(r"((?:[A-Z][a-z]?[0-9]*)+)([+-][0-9]*)?", text.strip())
    if found is None:
        return None
    counts: dict[str, int] = {}
    for element, number in re.findall(r"([A-Z][a-z]?)([0-9]*)", found[1]):
        counts[element] = counts.get(element, 0) + int(number or 1)
    first = [each for each in ("C", "H") if each in counts] if "C" in counts else []
    order = [*first, *sorted(counts.keys() - set(first))]
    written = "".join(f"{each}{counts[each] if counts[each] > 1 else ''}" for each in order)
    return written + (found[2] or "")


def _few(connection: Connection, query: Select[Any]) -> list[Row]:
    """Rows of molecules without the computed properties that lists have beside them."""
    names = molecules.c.keys()
    return [{name: row[name] for name in names} for row in rows(connection, query)]


def _molecule_in_words(row: Row) -> str:
    words = [row["smiles"] or row["formula"], row["name"]]
    words += [f"charge {row['charge']}", f"multiplicity {row['multiplicity']}"]
    return f"{row['id']} ({', '.join(each for each in words if each)})"


def _in_words(row: Row) -> str:
    words = [row["method"], row["solvation_model"], row["optimization_level"], row["status"]]
    return f"{row['id']} ({', '.join(each for each in words if each)})"
