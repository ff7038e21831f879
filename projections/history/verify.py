"""Proof that a table is what the log says: the events that it consumed, and its rows."""

import time
from contextlib import suppress

import msgspec
from msgspec.structs import replace
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.base.errors import NoPublishedHead, QuantumForgeError
from quantum_forge.eventstore.database.availability.deadline import unlimited
from quantum_forge.eventstore.database.availability.outage import passes, pause_after, reason_of
from quantum_forge.eventstore.database.tenancy import sees_every_tenant
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.compiler.dead_letters import count_parked
from quantum_forge.projections.history.as_of import rows_at
from quantum_forge.projections.history.difference import Difference, difference
from quantum_forge.projections.project.checkpoint import Checkpoint, fingerprint, read_checkpoints
from quantum_forge.projections.project.folding import FoldFailed
from quantum_forge.projections.project.log_range import count_events
from quantum_forge.schema.language.projection import Projection

SAME = Difference(added=0, removed=0, changed=0, examples=[])


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a projection's table was compared with, and what was found.

    position: of the checkpoint; 0 for a projection that never ran. stale: the table is of another
    definition and was not compared. consumed: events that the checkpoint has counted; logged: that
    the log holds up to its position, None when the session sees only one tenant's. same_events:
    whether they are the same ones. beyond_head: whether the checkpoint is beyond the safe head, so
    that events which are appended next would be passed over. parked: of the consumed, how many
    could not be folded and wait for a retry. rows: from the log's to the table's: `added` rows are
    in the table only, `removed` ones are missing there.
    """

    projection: str
    position: Position
    stale: bool
    consumed: int
    logged: int | None
    same_events: bool
    parked: int
    rows: Difference
    beyond_head: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the table is proven to be what the log says."""
        return not self.stale and self.same_events and not self.rows and not self.beyond_head


TRIES = 3
"""Attempts at a comparison that the server ends: it may be a long one, and end the same way."""


class VerificationEnded(QuantumForgeError):
    """The server did not let a comparison come to its end; nothing is known of the table."""

    may_pass = True

    def __init__(self, projection: str, reason: str) -> None:
        self.projection = projection
        self.reason = reason
        super().__init__(
            f"{projection} was not verified: the server ended the comparison ({reason}); "
            "run the command again, with a longer statement_timeout if that is the reason"
        )


def verify(engine: Engine, projection: Projection, *, limit: int = 20) -> Verification:
    """Compare checkpoint and table with the log, in one snapshot, while projectors go on.

    Nothing is locked and nothing leaves the database but `limit` rows that differ. A session that
    sees one tenant only compares that tenant's rows, and counts no events. What may pass, such as a
    lock or a lost connection, is tried again.

    Raises:
        FoldFailed: when the log holds events that cannot be folded.
        VerificationEnded: when the server ends the comparison, for a reason that may pass, TRIES
            times.
    """
    for attempts in range(1, TRIES + 1):
        try:
            found = _verify(unlimited(engine), projection, limit)
            return replace(found, beyond_head=_is_beyond_head(engine, found))
        except Exception as error:
            if not passes(error):
                raise
            last = error
        if attempts < TRIES:
            time.sleep(pause_after(attempts))
    raise VerificationEnded(projection.name, reason_of(last)) from last


def _is_beyond_head(engine: Engine, found: Verification) -> bool:
    """Whether a checkpoint is beyond the head now, which only grows; no for who cannot know."""
    if found.logged is None:
        return False
    with engine.connect() as connection, suppress(NoPublishedHead):
        return found.position > safe_head(connection)
    return False


def _verify(engine: Engine, projection: Projection, limit: int) -> Verification:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # Before the snapshot is taken, or a rebuild could put another table in its place after.
        table = projection.table
        connection.execute(text(f"LOCK TABLE {table.name} IN ACCESS SHARE MODE"))
        # Everything up to a checkpoint was committed before it: who sees one sees the other.
        checkpoint = read_checkpoints(connection).get(projection.name) or Checkpoint(
            projection.name, fingerprint(projection), 0, 0, 0
        )
        parked = count_parked(connection).get(projection.name, 0)
        if checkpoint.fingerprint != fingerprint(projection):
            return _verification(checkpoint, None, True, parked, SAME, stale=True)
        logged, same_events = None, True
        if sees_every_tenant(connection):
            logged, ids_hash = count_events(connection, projection, 0, checkpoint.position)
            same_events = (logged, ids_hash) == (checkpoint.consumed, checkpoint.ids_hash)
        key = [column.name for column in table.primary_key.columns]
        expected = rows_at(projection, checkpoint.position).subquery("expected")
        try:
            rows = difference(connection, expected, table, key, limit=limit)
        except DBAPIError as error:
            if passes(error):
                raise
            raise FoldFailed(projection.name, 0, checkpoint.position, reason_of(error)) from error
        return _verification(checkpoint, logged, same_events, parked, rows)


def _verification(
    checkpoint: Checkpoint,
    logged: int | None,
    same_events: bool,
    parked: int,
    rows: Difference,
    *,
    stale: bool = False,
) -> Verification:
    return Verification(
        projection=checkpoint.projection,
        position=Position(checkpoint.position),
        stale=stale,
        consumed=checkpoint.consumed,
        logged=logged,
        same_events=same_events,
        parked=parked,
        rows=rows,
    )
