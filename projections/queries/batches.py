"""Questions about batches and their items, asked of their tables.

Every query is bound to a tenant and served by an index.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Select,
    func,
    literal_column,
    select,
)

from quantum_forge.projections.queries.calculations import STATUSES
from quantum_forge.projections.queries.rows import during, sorted_by
from quantum_forge.schema.domains.batches import batch_items, batch_jobs
from quantum_forge.schema.domains.calculations import calculations


def item_statuses(connection: Connection, tenant_id: UUID, batch_id: UUID) -> dict[str, int]:
    """Count the items of a batch by the present status of their calculations, whoever ran them.

    An item whose calculation nobody has begun is `pending`.
    """
    items = batch_items.c
    status = func.coalesce(calculations.c.status, "pending")
    query = (
        select(status.label("status"), func.count().label("items"))
        .join_from(
            batch_items,
            calculations,
            (calculations.c.tenant_id == items.tenant_id)
            & (calculations.c.id == items.calculation_id),
            isouter=True,
        )
        .where(items.tenant_id == tenant_id, items.batch_id == batch_id)
        .group_by(literal_column("1"))
    )
    counted = {row.status: row.items for row in connection.execute(query)}
    return {each: counted[each] for each in STATUSES if each in counted}


def select_batch_items(tenant_id: UUID, batch_id: UUID) -> Select[Any]:
    """The items of a batch, and how far each has come, by calculation."""
    items = batch_items.c
    return (
        select(batch_items)
        .where(items.tenant_id == tenant_id, items.batch_id == batch_id)
        .order_by(items.calculation_id)
    )


def select_batches(
    tenant_id: UUID,
    *,
    name: str | None = None,
    statuses: Sequence[str] | None = None,
    user_id: UUID | None = None,
    project_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Select[Any]:
    """Batches, the newest first; what is None does not restrict.

    Args:
        tenant_id: whose.
        name: only those of this name.
        statuses: only those with one of these statuses.
        user_id: only those that this user started.
        project_id: only those whose molecules joined this project.
        since: only those that were created at or after this time.
        until: only those that were created before this time.
        limit: at most so many.
    """
    batches = batch_jobs.c
    query = select(batch_jobs).where(batches.tenant_id == tenant_id)
    if name is not None:
        query = query.where(batches.name == name)
    if statuses is not None:
        query = query.where(batches.status.in_(statuses))
    if user_id is not None:
        query = query.where(batches.user_id == user_id)
    if project_id is not None:
        query = query.where(batches.project_id == project_id)
    query = query.where(*during(batches.created_at, since, until))
    return query.order_by(*sorted_by(batches.created_at, batches.id, True)).limit(limit)
