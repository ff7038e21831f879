"""Questions about molecules, asked of their tables: by range, name, SMILES, formula.

Every query is bound to a tenant and served by an index.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Select,
    func,
    select,
    union,
)

from quantum_forge.projections.queries.rows import Range, during, sorted_by, within
from quantum_forge.schema.domains.batches import batch_item_names
from quantum_forge.schema.domains.molecules import molecule_properties_computed, molecules

DESCRIPTORS = (
    "logp",
    "hydrogen_bond_donors",
    "hydrogen_bond_acceptors",
    "rotatable_bonds",
    "topological_polar_surface_area",
    "molar_refractivity",
    "qed",
)
"""Computed properties that a molecule is shown with, beside its weight."""


def select_molecules(
    tenant_id: UUID,
    *,
    weight: Range | None = None,
    logp: Range | None = None,
    name: str | None = None,
    formula: str | None = None,
    inchikey: str | None = None,
    user_id: UUID | None = None,
    project_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Select[Any]:
    """Molecules, the newest first, with their computed properties, which are null for none.

    Args:
        tenant_id: whose.
        weight: only with a computed molecular weight in this range, in g/mol.
        logp: only with a computed logP in this range.
        name: only with this name, or that the input of any batch calls so.
        formula: only with this molecular formula, in Hill order.
        inchikey: only with this InChIKey.
        user_id: only those that this user created.
        project_id: only those of this project.
        since: only those that were created at or after this time.
        until: only those that were created before this time.
        limit: at most so many.
    """
    query = select(molecules).where(molecules.c.tenant_id == tenant_id)
    for column, value in (
        (molecules.c.formula, formula),
        (molecules.c.inchikey, inchikey),
        (molecules.c.user_id, user_id),
        (molecules.c.project_id, project_id),
    ):
        if value is not None:
            query = query.where(column == value)
    query = query.where(*during(molecules.c.created_at, since, until))
    if weight is not None or logp is not None:
        query = query.where(molecules.c.id.in_(described_within(tenant_id, weight, logp)))
    if name is not None:
        names = batch_item_names.c
        query = query.where(
            molecules.c.id.in_(
                union(
                    molecules_named(tenant_id, name),
                    select(names.molecule_id).where(
                        names.tenant_id == tenant_id,
                        names.name == name,
                        names.molecule_id.is_not(None),
                    ),
                )
            )
        )
    by = sorted_by(molecules.c.created_at, molecules.c.id, True)
    found = query.order_by(*by).limit(limit).subquery()
    properties = molecule_properties_computed
    return (
        select(*found.c, *(properties.c[name] for name in DESCRIPTORS))
        .join_from(
            found,
            properties,
            (properties.c.tenant_id == found.c.tenant_id)
            & (properties.c.molecule_id == found.c.id),
            isouter=True,
        )
        .order_by(*sorted_by(found.c.created_at, found.c.id, True))
    )


def select_molecules_by_smiles(tenant_id: UUID, smiles: str) -> Select[Any]:
    """The molecules of a SMILES as it is stored, by charge and multiplicity."""
    return (
        select(molecules)
        .where(molecules.c.tenant_id == tenant_id, molecules.c.smiles == smiles)
        .order_by(molecules.c.charge, molecules.c.multiplicity)
    )


def count_undescribed(connection: Connection, tenant_id: UUID) -> int:
    """Count the molecules with a SMILES that have no computed properties: conditions miss them."""
    counts = [
        connection.scalar(select(func.count(column)).where(column.table.c.tenant_id == tenant_id))
        or 0
        for column in (molecules.c.smiles, molecule_properties_computed.c.molecule_id)
    ]
    return max(0, counts[0] - counts[1])


def molecules_named(tenant_id: UUID, name: str) -> Select[Any]:
    """The ids of the molecules with this name."""
    return select(molecules.c.id).where(
        molecules.c.tenant_id == tenant_id, molecules.c.name == name
    )


def described_within(tenant_id: UUID, weight: Range | None, logp: Range | None) -> Select[Any]:
    """The ids of molecules with computed properties in these ranges."""
    properties = molecule_properties_computed.c
    query = select(properties.molecule_id).where(properties.tenant_id == tenant_id)
    for column, bounds in ((properties.molecular_weight, weight), (properties.logp, logp)):
        if bounds is not None:
            query = query.where(*within(column, bounds))
    return query
