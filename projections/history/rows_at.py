"""The rows of a projection at a position, from wherever they cost least: its table, or the log."""

from sqlalchemy import Connection, FromClause, exists, select

from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.project.checkpoint import fingerprint, read_checkpoints
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs


def held_at(connection: Connection, projection: Projection, position: int) -> FromClause:
    """The table, if it holds the rows of this position now, else a fold of the log.

    Both have the same rows (incremental = rebuilt) and the same columns. What the table holds can
    change from one statement to the next: read it in the same REPEATABLE READ transaction, which
    must have begun after the position became safe.
    """
    checkpoint = read_checkpoints(connection).get(projection.name)
    if checkpoint is not None and checkpoint.fingerprint == fingerprint(projection):
        low, high = sorted((checkpoint.position, position))
        differs = select(
            exists().where(
                event_logs.c.id > low,
                event_logs.c.id <= high,
                event_logs.c.event_type.in_(list(projection.events)),
            )
        )
        if low == high or not connection.execute(differs).scalar_one():
            return projection.table
    return as_of(projection, position)
