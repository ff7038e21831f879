"""Questions about calculations, asked of their tables: by range, id, name, batch.

The functions named `select_…` build a query, the others run one. Every query is bound to a tenant
and served by an index.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    Subquery,
    Text,
    case,
    func,
    literal,
    literal_column,
    select,
    union,
)

from quantum_forge.projections.queries.molecules import described_within, molecules_named
from quantum_forge.projections.queries.rows import Range, Row, during, sorted_by, within
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.domains.batches import batch_item_names, batch_items
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.results import atomic_properties

ATOM = (
    *("atom_index", "element", "atomic_number", "partial_charge"),
    *("position_x", "position_y", "position_z", "force_x", "force_y", "force_z"),
)
"""Columns of an atom that a training set needs."""


STATUSES = LIFECYCLES["calculation"].states


WITHOUT_RESULT = frozenset(("failed", "lost", "invalidated"))
"""Statuses of calculations that ended without a result that counts."""


class Order(StrEnum):
    """Columns that calculations can be sorted by; each has an index."""

    STARTED = "started"
    GAP = "gap"
    ENERGY = "energy"


class CalculationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on calculations; None does not restrict. gap in eV, energy in Eh.

    batch_ids: items of any of these batches, whichever batch computed them. name: of the molecule,
    or what the input of any batch calls it. formula: of the molecule, in Hill order. user_id: who
    last requested it. project_id: of the molecule. since, until: when its latest attempt started,
    the first included and the second not.
    weight (g/mol), logp: of the molecule, as its computed properties tell; a molecule that has none
    is not found by them.
    """

    gap: Range | None = None
    energy: Range | None = None
    weight: Range | None = None
    logp: Range | None = None
    statuses: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    molecule_ids: Sequence[UUID] | None = None
    batch_ids: Sequence[UUID] | None = None
    name: str | None = None
    formula: str | None = None
    user_id: UUID | None = None
    project_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


ALL_CALCULATIONS = CalculationFilter()


def select_calculations(
    tenant_id: UUID,
    where: CalculationFilter = ALL_CALCULATIONS,
    *,
    order: Order = Order.STARTED,
    descending: bool = False,
    limit: int | None = None,
) -> Select[Any]:
    """Calculations with SMILES, formula and name of their molecules, which are null for none.

    The name is the one that was searched for, else what the batches that were asked for call the
    molecule, else the molecule's own; of an input that is not a molecule, what a batch calls it.

    Sorted by gap or energy, only those that have one are given. Those that have not begun count as
    the latest.
    """
    items = None if where.batch_ids is None else _items(tenant_id, where.batch_ids)
    query = (
        select(calculations)
        if items is None
        else select(calculations, items.c.item_name).join(
            items, items.c.calculation_id == calculations.c.id
        )
    ).where(calculations.c.tenant_id == tenant_id)
    for column, bounds in ((calculations.c.gap, where.gap), (calculations.c.energy, where.energy)):
        if bounds is not None:
            query = query.where(*within(column, bounds))
    if where.weight is not None or where.logp is not None:
        of_these = described_within(tenant_id, where.weight, where.logp)
        query = query.where(calculations.c.molecule_id.in_(of_these))
    if where.statuses == ["completed"]:
        # Said to the planner in so many words: the index of results that count is a partial one.
        query = query.where(calculations.c.status == literal_column("'completed'"))
    elif where.statuses is not None:
        query = query.where(calculations.c.status.in_(where.statuses))
    if where.methods is not None:
        query = query.where(calculations.c.method.in_(where.methods))
    if where.molecule_ids is not None:
        query = query.where(calculations.c.molecule_id.in_(where.molecule_ids))
    if where.name is not None:
        query = query.where(calculations.c.id.in_(_calculations_named(tenant_id, where.name)))
    if where.formula is not None or where.project_id is not None:
        of_molecules = select(molecules.c.id).where(molecules.c.tenant_id == tenant_id)
        if where.formula is not None:
            of_molecules = of_molecules.where(molecules.c.formula == where.formula)
        if where.project_id is not None:
            of_molecules = of_molecules.where(molecules.c.project_id == where.project_id)
        query = query.where(calculations.c.molecule_id.in_(of_molecules))
    if where.user_id is not None:
        query = query.where(calculations.c.user_id == where.user_id)
    query = query.where(*during(calculations.c.started_at, where.since, where.until))
    by = {
        Order.STARTED: calculations.c.started_at,
        Order.GAP: calculations.c.gap,
        Order.ENERGY: calculations.c.energy,
    }[order]
    if order is not Order.STARTED:
        query = query.where(by.is_not(None))
    # Limited before the join, so that the molecules of the rows shown are all that is looked up.
    found = query.order_by(*sorted_by(by, calculations.c.id, descending)).limit(limit).subquery()
    name: ColumnElement[Any] = molecules.c.name
    if where.name is not None:
        name = literal(where.name, Text())
    elif items is not None:
        name = func.coalesce(found.c.item_name, molecules.c.name)
    else:
        name = name_of(tenant_id, found)
    columns = (column for column in found.c if column.name != "item_name")
    return (
        select(*columns, molecules.c.smiles, molecules.c.formula, name.label("name"))
        .join_from(
            found,
            molecules,
            (molecules.c.tenant_id == found.c.tenant_id) & (molecules.c.id == found.c.molecule_id),
            isouter=True,
        )
        .order_by(*sorted_by(found.c[by.name], found.c.id, descending))
    )


def name_of(tenant_id: UUID | None, found: FromClause) -> ColumnElement[Any]:
    """The name of the molecule of a calculation; of an unreadable input, what a batch calls it.

    Args:
        tenant_id: to whom the calculations belong.
        found: calculations with `id` and `molecule_id`, joined to their molecules by an outer join.
    """
    unreadable = (
        select(batch_items.c.name)
        .where(
            batch_items.c.tenant_id == tenant_id,
            batch_items.c.calculation_id == found.c.id,
            batch_items.c.name.is_not(None),
        )
        .order_by(batch_items.c.batch_id)
        .limit(1)
        .scalar_subquery()
    )
    return case((found.c.molecule_id.is_(None), unreadable), else_=molecules.c.name)


def select_completed(tenant_id: UUID, calculation_ids: Sequence[UUID]) -> Select[Any]:
    """Those of these calculations whose results count, by id."""
    return (
        select(calculations)
        .where(
            calculations.c.tenant_id == tenant_id,
            calculations.c.id.in_(calculation_ids),
            calculations.c.status == "completed",
        )
        .order_by(calculations.c.id)
    )


def select_atoms(tenant_id: UUID, calculation_ids: Sequence[UUID]) -> Select[Any]:
    """The atoms of calculations, by calculation and place in the geometry."""
    atoms = atomic_properties.c
    return (
        select(atomic_properties)
        .where(atoms.tenant_id == tenant_id, atoms.calculation_id.in_(calculation_ids))
        .order_by(atoms.calculation_id, atoms.atom_index)
    )


def is_used(connection: Connection, tenant_id: UUID, method: str) -> bool:
    """Whether any calculation of a tenant has this method."""
    of_it = select(calculations.c.id).where(
        calculations.c.tenant_id == tenant_id, calculations.c.method == method
    )
    return connection.scalar(of_it.limit(1)) is not None


def calculations_by_status(connection: Connection, tenant_id: UUID) -> dict[str, int]:
    """Count the calculations of a tenant by status, in the order of the lifecycle."""
    query = (
        select(calculations.c.status, func.count().label("calculations"))
        .where(calculations.c.tenant_id == tenant_id)
        .group_by(calculations.c.status)
    )
    counted = {row.status: row.calculations for row in connection.execute(query)}
    return {status: counted.get(status, 0) for status in STATUSES}


def with_atoms(connection: Connection, tenant_id: UUID, found: Sequence[Row]) -> list[Row]:
    """Rows of calculations, each with `atoms`: element, charge, position and force of each one.

    Units are those of the table: e, Å, Eh/Bohr.
    """
    by_calculation: dict[UUID, list[Row]] = {row["id"]: [] for row in found}
    for atom in connection.execute(select_atoms(tenant_id, list(by_calculation))).mappings():
        by_calculation[atom["calculation_id"]].append({name: atom[name] for name in ATOM})
    return [{**row, "atoms": by_calculation[row["id"]]} for row in found]


def _items(tenant_id: UUID, batch_ids: Sequence[UUID]) -> Subquery:
    """The calculations of batches, each with what these batches call its molecule."""
    items = batch_items.c
    names = func.string_agg(items.name.distinct(), literal(", ", Text()))
    return (
        select(items.calculation_id, names.label("item_name"))
        .where(items.tenant_id == tenant_id, items.batch_id.in_(batch_ids))
        .group_by(items.calculation_id)
        .subquery("items")
    )


def _calculations_named(tenant_id: UUID, name: str) -> CompoundSelect[Any]:
    """The ids of calculations that a batch's input, or their molecule, calls so."""
    names, every = batch_item_names.c, calculations.alias("every")
    return union(
        select(names.calculation_id).where(names.tenant_id == tenant_id, names.name == name),
        select(every.c.id).where(
            every.c.tenant_id == tenant_id,
            every.c.molecule_id.in_(molecules_named(tenant_id, name)),
        ),
    )
