"""Keeps read models up to date: folds what was appended since the checkpoint, batch by batch."""

import threading
from collections.abc import Callable, Iterable

import msgspec
from sqlalchemy import BigInteger, Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from eventstore.errors import QuantumForgeError
from eventstore.partitions import make_partitions
from eventstore.read import safe_head
from projections import compiler
from projections.checkpoint import (
    Checkpoint,
    create_checkpoint,
    fingerprint,
    lock_checkpoint,
    move_checkpoint,
    read_checkpoints,
)
from projections.projection import Projection
from schema.tables import event_logs

BATCH = 10_000
"""Positions that one transaction folds: large enough that its overhead vanishes."""

POLL_SECONDS = 0.25

_WORK_MEMORY = text("SET LOCAL work_mem = '64MB'")
"""What a batch is sorted in; the default of 4 MB would sort it on disk."""


class RebuildNeeded(QuantumForgeError):
    """A table was filled by another definition than the code's."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        what = ", ".join(self.names)
        super().__init__(
            f"the definition of {what} has changed: run `qforge rebuild {' '.join(self.names)}`"
        )


class FoldFailed(QuantumForgeError):
    """The database refused to fold a range of events; the checkpoint stays before it."""

    def __init__(self, projection: str, after: int, upto: int, reason: str) -> None:
        self.projection = projection
        self.after = after
        self.upto = upto
        super().__init__(f"{projection} stopped: events {after + 1} to {upto}: {reason}")


class Advance(msgspec.Struct, frozen=True):
    """What one batch did to one projection."""

    projection: str
    position: int
    events: int


def stale(connection: Connection, projections: Iterable[Projection]) -> list[Projection]:
    """The projections whose table was filled by another definition than the code's."""
    checkpoints = read_checkpoints(connection)
    return [
        projection
        for projection in projections
        if (checkpoint := checkpoints.get(projection.name)) is not None
        and checkpoint.fingerprint != fingerprint(projection)
    ]


def catch_up(
    engine: Engine,
    projections: Iterable[Projection],
    *,
    batch: int = BATCH,
    on_advance: Callable[[Advance], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> int:
    """Fold everything up to the present safe head, in batches that each commit.

    A projection that another process holds at the moment is left to that process.

    Returns:
        How many events were folded, each counted once for every projection that reads it.

    Raises:
        RebuildNeeded: when a definition has changed; the others are brought up to date first.
        FoldFailed: when events cannot be folded; the others are brought up to date first.
    """
    projections = list(projections)
    with engine.begin() as connection:
        for projection in projections:
            create_checkpoint(connection, projection)
    with engine.connect() as connection:
        changed = {projection.name for projection in stale(connection, projections)}
        head = safe_head(connection)
    folded = 0
    failure: FoldFailed | None = None
    for projection in projections:
        if projection.name in changed:
            continue
        while not (stop is not None and stop.is_set()):
            try:
                advance = _advance(engine, projection, head, batch)
            except FoldFailed as error:
                failure = failure or error
                break
            if advance is None:
                break
            folded += advance.events
            on_advance(advance)
    if folded:
        make_partitions(engine)
    if failure is not None:
        raise failure
    if changed:
        raise RebuildNeeded(sorted(changed))
    return folded


def follow(
    engine: Engine,
    projections: Iterable[Projection],
    stop: threading.Event,
    *,
    on_advance: Callable[[Advance], None] = lambda _: None,
) -> None:
    """Keep the projections up to date until `stop` is set; the current batch is finished first."""
    projections = list(projections)
    while not stop.is_set():
        if not catch_up(engine, projections, on_advance=on_advance, stop=stop):
            stop.wait(POLL_SECONDS)


def count_events(
    connection: Connection, projection: Projection, after: int, upto: int
) -> tuple[int, int]:
    """How many events of its types a range holds, and the XOR of the hashes of their positions."""
    hashes = func.bit_xor(func.hashint8extended(event_logs.c.id, 0, type_=BigInteger))
    query = select(func.count(), func.coalesce(hashes, 0)).where(
        event_logs.c.id > after,
        event_logs.c.id <= upto,
        event_logs.c.event_type.in_(list(projection.events)),
    )
    events, ids_hash = connection.execute(query).one()
    return events, ids_hash


def _advance(engine: Engine, projection: Projection, head: int, batch: int) -> Advance | None:
    """Fold one batch; None when there is nothing to do, or another process is at it."""
    with engine.begin() as connection:
        checkpoint = lock_checkpoint(connection, projection, wait=False)
        if checkpoint is None or checkpoint.position >= head:
            return None
        if checkpoint.fingerprint != fingerprint(projection):
            return None
        upto = min(checkpoint.position + batch, head)
        events, ids_hash = count_events(connection, projection, checkpoint.position, upto)
        if events:
            fold(connection, projection, after=checkpoint.position, upto=upto)
        move_checkpoint(
            connection,
            Checkpoint(
                projection.name,
                checkpoint.fingerprint,
                upto,
                checkpoint.consumed + events,
                checkpoint.ids_hash ^ ids_hash,
            ),
        )
    return Advance(projection.name, upto, events)


def fold(connection: Connection, projection: Projection, *, after: int, upto: int) -> None:
    """Fold the events above `after` up to `upto` into the table; does not move the checkpoint.

    Raises:
        FoldFailed: when the database refuses.
    """
    bounds = {"after": after, "upto": upto}
    try:
        connection.execute(_WORK_MEMORY)
        ended = compiler.delete_ended(projection)
        if ended is not None:
            connection.execute(ended, bounds)
        connection.execute(compiler.upsert(projection), bounds)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        reason = str(error.orig).splitlines()[0]
        raise FoldFailed(projection.name, after, upto, reason) from error
