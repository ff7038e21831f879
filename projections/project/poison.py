"""Bisection of batches around events that cannot be folded."""

import time
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, select

from quantum_forge.projections.compiler.dead_letters import park
from quantum_forge.projections.project.folding import FoldFailed, fold
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs

CHUNK = 100_000
"""Positions whose events are held in memory at a time."""


class Around(msgspec.Struct, frozen=True):
    """Up to where events were folded or left out, and how many were left out."""

    reached: int
    parked: int


def fold_around(
    connection: Connection,
    projection: Projection,
    *,
    after: int,
    upto: int,
    seconds: float | None = None,
) -> Around:
    """Fold the events in (`after`, `upto`] in order, without those that the database refuses.

    An event is refused when it cannot be folded by itself onto what those before it have left. It
    is parked, and the next ones are folded as if it were not there. Neither commits nor moves the
    checkpoint.

    Args:
        connection: in a transaction, in which savepoints are made.
        projection: onto the table that is filled.
        after: position above which to fold.
        upto: position up to which.
        seconds: after which it may end before `upto`; None for as long as it takes.

    Raises:
        FoldFailed: for another reason than an event.
    """
    deadline = time.monotonic() + seconds if seconds is not None else None
    parked = 0
    reached = after
    while reached < upto:
        end = min(reached + CHUNK, upto)
        # Ranges of events still to be folded, the earliest last.
        ranges = [_positions(connection, projection, reached, end)]
        while ranges:
            if parked and deadline is not None and time.monotonic() > deadline:
                end = upto = reached
                break
            part = ranges.pop()
            if not part:
                continue
            reason = _refusal(connection, projection, part[0] - 1, part[-1])
            if reason is not None and len(part) > 1:
                middle = len(part) // 2
                ranges += [part[middle:], part[:middle]]
                continue
            if reason is not None:
                park(connection, projection, part[0], reason)
                parked += 1
            reached = part[-1]
        reached = end
    return Around(reached, parked)


def _positions(connection: Connection, projection: Projection, after: int, upto: int) -> list[int]:
    query = (
        select(event_logs.c.id)
        .where(
            event_logs.c.id > after,
            event_logs.c.id <= upto,
            event_logs.c.event_type.in_(projection.reads),
        )
        .order_by(event_logs.c.id)
    )
    if projection.left_out is not None:
        query = query.where(event_logs.c.id.not_in(projection.left_out))
    return list(connection.scalars(query))


def _refusal(connection: Connection, projection: Projection, after: int, upto: int) -> str | None:
    """Why a range cannot be folded; None when it has been."""
    return refusal_of(connection, lambda: fold(connection, projection, after=after, upto=upto))


def refusal_of(connection: Connection, attempt: Callable[[], object]) -> str | None:
    """Why the database refuses what is attempted, which then has left no trace; None when it does.

    Raises:
        FoldFailed: for another reason than an event.
    """
    savepoint = connection.begin_nested()
    try:
        attempt()
    except FoldFailed as failure:
        savepoint.rollback()
        if not failure.is_poison:
            raise
        return failure.reason
    savepoint.commit()
    return None
