"""Selection of the calculations of a dataset, and reasons for leaving others out."""

from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    true,
)

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.projections.history.as_of import table_or_rows_at
from quantum_forge.projections.queries.conditions import condition_of
from quantum_forge.projections.queries.molecules import DESCRIPTORS
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.tables import event_logs


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; it means the same at every position of the log.

    where: conditions such as `gap>2`, in the units in which the tables store; all must hold.
    order, descending, limit: of all that hold, only the first ones by a column. batch_id: only
    items of this batch, whichever batch computed them, by the names that its inputs give them.
    """

    where: list[str] = []
    order: str | None = None
    descending: bool = False
    limit: int | None = None
    batch_id: UUID | UnsetType = UNSET
    """Absent from the recipes of older programs, whose files it must not change."""


EVERYTHING = Selection()


class UnknownSelection(QuantumForgeError):
    """A condition or an order names no column, or a value that the column cannot hold."""

    exit_status = 2


class Sequence(StrEnum):
    """Order of the rows of a dataset; each order is reproducible."""

    AS_COMPLETED = "as_completed"
    BY_MOLECULE = "by_molecule"


class Excluded(StrEnum):
    """Why a calculation that was asked for, as far as is known of it, is left out."""

    RETRACTED = "retracted"
    MOLECULE_DELETED = "molecule_deleted"
    VALUE_MISSING = "value_missing"
    BEYOND_LIMIT = "beyond_limit"
    NO_ATOMS = "no_atoms"
    # and the statuses of calculations other than completed


def select_candidates(
    connection: Connection,
    tenant_id: UUID,
    position: int | None,
    batch_id: UUID | UnsetType = UNSET,
) -> Subquery:
    """Every calculation of a tenant as of a position, with its molecule and its properties.

    Of a batch: its items at that position, whichever batch computed them. Those that nobody has
    begun are `pending`, as if somebody had asked for them.

    Reads tables that hold this position, so run it in the same REPEATABLE READ transaction. Without
    a position it reads the tables as they are, whatever position they hold.
    """
    calculations, molecules, properties = (
        _rows(connection, name, position)
        for name in ("calculations", "molecules", "molecule_properties_computed")
    )
    renamed = {"id": "calculation_id", "last_position": "log_position"}
    hidden = {"tenant_id", "metadata", "created_at", "updated_at"}
    of_molecule = ("smiles", "formula", "inchikey", "molecular_weight", "project_id")
    chosen: dict[str, ColumnElement[Any]] = {
        column.name: column for column in calculations.c if column.name not in hidden
    }
    called: ColumnElement[Any] = molecules.c.name
    owner: ColumnElement[Any] = calculations.c.tenant_id
    source: FromClause = calculations
    if batch_id is not UNSET:
        every = _rows(connection, "batch_items", position)
        items = select(every).where(every.c.tenant_id == tenant_id, every.c.batch_id == batch_id)
        item = items.subquery("items")
        source = item.outerjoin(
            calculations,
            and_(
                calculations.c.tenant_id == item.c.tenant_id,
                calculations.c.id == item.c.calculation_id,
            ),
        )
        owner = item.c.tenant_id
        called = func.coalesce(item.c.name, molecules.c.name)
        chosen["id"] = item.c.calculation_id
        chosen["molecule_id"] = func.coalesce(calculations.c.molecule_id, item.c.molecule_id)
        chosen["status"] = func.coalesce(calculations.c.status, literal("pending", Text()))
    return (
        select(
            *(column.label(renamed.get(name, name)) for name, column in chosen.items()),
            called.label("name"),
            *(molecules.c[name] for name in of_molecule),
            molecules.c.generation_method,
            *(properties.c[name] for name in DESCRIPTORS),
            molecules.c.id.is_not(None).label("has_molecule"),
        )
        .select_from(source)
        .outerjoin(
            molecules,
            and_(
                molecules.c.tenant_id == owner,
                molecules.c.id == chosen["molecule_id"],
            ),
        )
        .outerjoin(
            properties,
            and_(
                properties.c.tenant_id == owner,
                properties.c.molecule_id == chosen["molecule_id"],
            ),
        )
        .where(owner == tenant_id)
        .subquery("candidates")
    )


def _rows(connection: Connection, name: str, position: int | None) -> FromClause:
    projection = PROJECTIONS[name]
    if position is None:
        return projection.table
    return table_or_rows_at(connection, projection, position)


def select_judged(candidates: Subquery, selection: Selection) -> Subquery:
    """The candidates that were asked for, each with the `reason` why it is left out; null for none.

    A condition on what an attempt that failed can have no value of does not hide the failure: what
    is not known to be something else counts as asked for, and is left out with its reason.

    Raises:
        UnknownSelection: when a condition cannot be read.
    """
    matches = _condition(candidates, selection)
    c = candidates.c
    # A calculation's last event is the one that gave it its status. It is looked up for the few
    # that are invalidated; a join would read the whole log.
    retraction = (
        select(event_logs.c.data["retraction_id"].astext)
        .where(event_logs.c.id == c.log_position)
        .correlate(candidates)
        .scalar_subquery()
    )
    reason: ColumnElement[Any] = case(
        (
            and_(c.status == "invalidated", retraction.is_not(None)),
            literal(Excluded.RETRACTED.value, Text()),
        ),
        (c.status != "completed", c.status),
        (~c.has_molecule, literal(Excluded.MOLECULE_DELETED.value, Text())),
        (matches.is_(None), literal(Excluded.VALUE_MISSING.value, Text())),
        else_=cast(null(), Text()),
    ).label("reason")
    judged = select(*c, reason).where(or_(matches, matches.is_(None))).subquery("judged")
    if selection.limit is None:
        return judged
    place = func.row_number().over(partition_by=judged.c.reason, order_by=_order(judged, selection))
    ranked = select(*judged.c, place.label("place")).subquery("ranked")
    too_many = and_(ranked.c.reason.is_(None), ranked.c.place > selection.limit)
    limited = case(
        (too_many, literal(Excluded.BEYOND_LIMIT.value, Text())), else_=ranked.c.reason
    ).label("reason")
    return select(
        *(column for column in ranked.c if column.name not in ("reason", "place")), limited
    ).subquery("limited")


def select_counts(judged: Subquery) -> Select[Any]:
    """Number of calculations by reason; null: those that the dataset holds."""
    return select(judged.c.reason, func.count().label("calculations")).group_by(judged.c.reason)


def ordered(query: Select[Any], judged: Subquery, sequence: Sequence) -> Select[Any]:
    """The query in the order of a sequence, which leaves no tie."""
    if sequence is Sequence.AS_COMPLETED:
        return query.order_by(judged.c.log_position)
    settings = (judged.c.method, judged.c.solvation_model, judged.c.optimization_level)
    return query.order_by(
        judged.c.molecule_id,
        *(func.coalesce(column, "").collate("C") for column in settings),
        judged.c.log_position,
    )


def _condition(candidates: Subquery, selection: Selection) -> ColumnElement[Any]:
    try:
        conditions = [condition_of(candidates, written) for written in selection.where]
    except ValueError as error:
        raise UnknownSelection(str(error)) from error
    return and_(true(), *conditions)


def _order(judged: Subquery, selection: Selection) -> list[ColumnElement[Any]]:
    name = selection.order or "log_position"
    if name not in judged.c:
        raise UnknownSelection(
            f"{name!r} is not a column to order by; the columns are {', '.join(judged.c.keys())}"
        )
    by: ColumnElement[Any] = judged.c[name]
    if isinstance(by.type, Text):
        by = by.collate("C")
    return [
        by.desc().nulls_last() if selection.descending else by.asc().nulls_last(),
        cast(judged.c.log_position, BigInteger),
    ]
