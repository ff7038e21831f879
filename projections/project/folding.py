"""Folds a range of the log into a projection's table."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability.deadline import DEADLINE
from quantum_forge.eventstore.database.availability.outage import is_passing
from quantum_forge.eventstore.database.engine import is_direct
from quantum_forge.projections import compiler
from quantum_forge.projections.project.prepared import run_prepared
from quantum_forge.schema.language.projection import Projection

PAUSE_SECONDS = 1.5
"""Seconds for which a batch may be idle between two statements: then its process was paused or cut
off, and the server ends the transaction, so that another process can go on."""

_TUNED = (
    f"SET LOCAL idle_in_transaction_session_timeout = {PAUSE_SECONDS * 1000:.0f};"
    # What a batch is sorted in; the default of 4 MB would sort it on disk.
    " SET LOCAL work_mem = '64MB'"
)


# One plan for every range, by indexes, however many events there were when it was made.
_FEW = (
    "; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;"
    " SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
)

POISON = frozenset({"21", "22", "23", "54", "P0"})
"""Classes of SQLSTATE that are due to what is folded: cardinality, data, constraints, the limits of
the program, errors that triggers raise. All others are due to the server or the schema."""


class FoldFailed(QuantumForgeError):
    """The database refused to fold a range of events; the checkpoint stays before it.

    is_poison: whether that is due to an event, which can be left out, and not to the server.
    may_pass: whether it is due to a lock, a cancel or the like.
    """

    def __init__(
        self, projection: str, after: int, upto: int, reason: str, sqlstate: str | None = None
    ) -> None:
        self.projection = projection
        self.after = after
        self.upto = upto
        self.reason = reason
        self.is_poison = (sqlstate or "")[:2] in POISON
        self.may_pass = is_passing(sqlstate)
        super().__init__(f"{projection} stopped: events {after + 1} to {upto}: {reason}")


@contextmanager
def as_fold_failure(projection: Projection, after: int, upto: int) -> Iterator[None]:
    """Raise what the database refuses as `FoldFailed`."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        reason = str(error.orig).splitlines()[0]
        sqlstate = getattr(error.orig, "sqlstate", None)
        raise FoldFailed(projection.name, after, upto, reason, sqlstate) from error


def tune(connection: Connection, *, few: bool = False) -> None:
    """Prepare a transaction that is to fold a batch; `few`: with `fold_few`."""
    statement = _TUNED + _FEW if few else _TUNED
    if (deadline := connection.get_execution_options().get(DEADLINE)) is not None:
        # Before the client gives up: the locks of a statement that goes on would stop the others.
        statement += f"; SET LOCAL statement_timeout = {max(1, round(deadline * 900))}"
    connection.exec_driver_sql(statement)


def fold(connection: Connection, projection: Projection, *, after: int, upto: int) -> None:
    """Fold the events above `after` up to `upto` into the table; does not move the checkpoint.

    Raises:
        FoldFailed: when the database refuses.
    """
    bounds = {"after": after, "upto": upto}
    with as_fold_failure(projection, after, upto):
        trimmed = compiler.delete_trimmed(projection)
        if trimmed is not None:
            connection.execute(trimmed, bounds)
        ended = compiler.delete_ended(projection)
        if ended is not None:
            connection.execute(ended, bounds)
        connection.execute(compiler.upsert(projection), bounds)


def fold_few(connection: Connection, projection: Projection, *, after: int, upto: int) -> None:
    """As `fold`, for some hundred events: planned once per connection, where that is possible."""
    if not is_direct(connection):
        fold(connection, projection, after=after, upto=upto)
        return
    with as_fold_failure(projection, after, upto):
        run_prepared(connection, projection, after, upto)
