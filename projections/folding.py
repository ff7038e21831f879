"""Folds a range of the log into a projection's table."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from eventstore.errors import QuantumForgeError
from projections import compiler
from projections.projection import Projection

PAUSE_SECONDS = 1
"""For how long a batch may stand still between two statements: then its process was paused or cut
off, and the server ends the transaction, so that another process can go on."""

_TUNED = (
    f"SET LOCAL idle_in_transaction_session_timeout = '{PAUSE_SECONDS}s';"
    # What a batch is sorted in; the default of 4 MB would sort it on disk.
    " SET LOCAL work_mem = '64MB'"
)


class FoldFailed(QuantumForgeError):
    """The database refused to fold a range of events; the checkpoint stays before it."""

    def __init__(self, projection: str, after: int, upto: int, reason: str) -> None:
        self.projection = projection
        self.after = after
        self.upto = upto
        super().__init__(f"{projection} stopped: events {after + 1} to {upto}: {reason}")


def tune(connection: Connection) -> None:
    """Prepare a transaction that is to fold a batch."""
    connection.exec_driver_sql(_TUNED)


def fold(connection: Connection, projection: Projection, *, after: int, upto: int) -> None:
    """Fold the events above `after` up to `upto` into the table; does not move the checkpoint.

    Raises:
        FoldFailed: when the database refuses.
    """
    bounds = {"after": after, "upto": upto}
    try:
        trimmed = compiler.delete_trimmed(projection)
        if trimmed is not None:
            connection.execute(trimmed, bounds)
        ended = compiler.delete_ended(projection)
        if ended is not None:
            connection.execute(ended, bounds)
        connection.execute(compiler.upsert(projection), bounds)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        reason = str(error.orig).splitlines()[0]
        raise FoldFailed(projection.name, after, upto, reason) from error
