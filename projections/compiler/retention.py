"""Events that retention leaves: those from the latest cutoff of each tenant on."""

from sqlalchemy import ColumnElement, Delete, FromClause, Subquery, Text, cast, delete, func, select

from quantum_forge.projections.compiler.dead_letters import positions_left_out
from quantum_forge.projections.compiler.log import AFTER, UPTO
from quantum_forge.schema.domains.retention import RetentionApplied
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.table import TIMESTAMP
from quantum_forge.schema.tables import event_logs


def cutoffs(projection: Projection, *, after: bool = False) -> Subquery:
    """The latest cutoff of each tenant that was applied to the table up to `upto`.

    after: above `after` only.
    """
    applied = event_logs.alias("applied")
    cutoff = func.max(cast(applied.c.data["cutoff"].astext, TIMESTAMP))
    return (
        select(applied.c.tenant_id, cutoff.label("cutoff"))
        .where(
            applied.c.event_type == RetentionApplied.event_type,
            applied.c.id <= UPTO,
            cast(applied.c.data["table"].astext, Text) == projection.name,
            *([applied.c.id > AFTER] if after else []),
            # Whatever the range: one that could not be applied must not spoil the later ones.
            applied.c.id.not_in(positions_left_out(projection)),
        )
        .group_by(applied.c.tenant_id)
        .subquery("cutoffs")
    )


def kept_of(projection: Projection, events: FromClause) -> tuple[FromClause, ColumnElement[bool]]:
    """Events joined with the cutoff of their tenant, and the condition that they are kept.

    The cutoff counts whether it was applied before or after the event was appended, so that it
    makes no difference how the log is cut into batches.
    """
    latest = cutoffs(projection)
    joined = events.outerjoin(latest, latest.c.tenant_id == events.c.tenant_id)
    is_kept = latest.c.cutoff.is_(None) | (events.c.occurred_at >= latest.c.cutoff)
    return joined, is_kept


def trimming(projection: Projection) -> Delete:
    """Delete the rows that the cutoffs in (`after`, `upto`] leave behind."""
    table = projection.table
    latest = cutoffs(projection, after=True)
    return delete(table).where(
        table.c.tenant_id == latest.c.tenant_id, table.c.created_at < latest.c.cutoff
    )
