"""Makes a read model anew from the whole log."""

from sqlalchemy import Engine, delete
from sqlalchemy.exc import DBAPIError

from eventstore.read import safe_head
from projections import compiler
from projections.checkpoint import (
    Checkpoint,
    create_checkpoint,
    fingerprint,
    lock_checkpoint,
    move_checkpoint,
)
from projections.projection import Projection
from projections.projector import Advance, FoldFailed, count_events


def rebuild(engine: Engine, projection: Projection) -> Advance:
    """Replace the rows of a projection by the fold of the whole log, in one transaction.

    Readers see the old rows until the new ones are complete; a killed rebuild leaves the old ones.

    Raises:
        FoldFailed: when the database refuses; the table is as it was.
    """
    with engine.begin() as connection:
        create_checkpoint(connection, projection)
        lock_checkpoint(connection, projection, wait=True)
        head = safe_head(connection)
        try:
            connection.execute(delete(projection.table))
            connection.execute(compiler.insert_all(projection), {"after": 0, "upto": head})
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            reason = str(error.orig).splitlines()[0]
            raise FoldFailed(projection.name, 0, head, reason) from error
        events, ids_hash = count_events(connection, projection, 0, head)
        move_checkpoint(
            connection,
            Checkpoint(projection.name, fingerprint(projection), head, events, ids_hash),
        )
    return Advance(projection.name, head, events)
