"""Refolding of dead letters: the rows that they concern, as if they had never been left out."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, FromClause, delete, select
from sqlalchemy.dialects.postgresql import insert

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.availability import outage
from quantum_forge.eventstore.log.read import EVERYTHING, fetch, matching
from quantum_forge.projections.compiler.dead_letters import list_dead_letters, note_retry, take_back
from quantum_forge.projections.compiler.reference import Reference
from quantum_forge.projections.history.as_of import folded_at
from quantum_forge.projections.project.checkpoint import fingerprint, lock_checkpoint
from quantum_forge.projections.project.folding import FoldFailed, as_fold_failure, fold, tune
from quantum_forge.projections.project.poison import refusal_of
from quantum_forge.projections.project.projector import RebuildNeeded
from quantum_forge.projections.rebuild.copy import lock_copy, onto
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs
from quantum_forge.schema.tables.log import CopyKind

PATIENCE_SECONDS = 30.0
"""Seconds for which an event is tried again after a temporary failure of the database."""


class NotParked(QuantumForgeError):
    """A projection leaves no such event out."""

    exit_status = 2

    def __init__(self, projection: str, positions: Collection[int]) -> None:
        self.projection = projection
        self.positions = sorted(positions)
        what = ", ".join(map(str, self.positions))
        super().__init__(
            f"{projection} does not leave out the event at {what}; see: qforge dead-letters list"
        )


class Refolded(msgspec.Struct, frozen=True):
    """An event that was folded again; reason: why it was refused once more, None if it was not."""

    projection: str
    position: int
    reason: str | None


def refold(
    engine: Engine, projection: Projection, positions: Collection[int] = ()
) -> list[Refolded]:
    """Fold events that the live table leaves out, in order of position, each in a transaction.

    The rows that an event concerns are folded anew from the log, at the table's position, with the
    event in its place among the others: the outcome is what it would have been without a failure,
    and what a rebuild gives. What is refused again stays left out, and waits.

    Args:
        engine: of a user who may project.
        projection: whose dead letters.
        positions: which; those that wait unless given. Discarded ones can be named.

    Raises:
        NotParked: when a position is not left out; nothing was tried.
        RebuildNeeded: when the table is of another definition.
        FoldFailed: for another reason than the event.
    """
    with engine.connect() as connection:
        letters = list_dead_letters(connection, [projection.name], discarded=bool(positions))
    known = [letter.position for letter in letters]
    if unknown := set(positions) - set(known):
        raise NotParked(projection.name, unknown)
    tried = []
    for position in known:
        if not positions or position in positions:
            # The server ends a transaction that stands still, also on a busy machine. What was
            # committed without an answer is found folded by the next attempt.
            attempt = partial(_refold, engine, projection, position)
            reason = outage.Patience(PATIENCE_SECONDS).persist(attempt)
            tried.append(Refolded(projection.name, position, reason))
    return tried


def _refold(engine: Engine, projection: Projection, position: int) -> str | None:
    with engine.begin() as connection:
        tune(connection)
        return _refold_locked(connection, projection, position)


def _refold_locked(connection: Connection, projection: Projection, position: int) -> str | None:
    # In the order in which a swap takes them.
    shadow = lock_copy(connection, projection.name, CopyKind.SHADOW)
    checkpoint = lock_checkpoint(connection, projection)
    if checkpoint is None or checkpoint.fingerprint != fingerprint(projection):
        raise RebuildNeeded([projection.name])
    targets = [(projection, checkpoint.position)]
    if shadow is not None and shadow.fingerprint == checkpoint.fingerprint:
        # Or the swap would undo it.
        targets.append((onto(projection, CopyKind.SHADOW), shadow.position))
    (event,) = fetch(connection, matching(EVERYTHING).where(event_logs.c.id == position))
    reasons = []
    for target, at in targets:

        def attempt(target: Projection = target, at: int = at) -> None:
            _refold_rows(connection, target, event, at)

        reason = refusal_of(connection, attempt)
        if reason is not None:
            note_retry(connection, target, position, reason)
        reasons.append(reason)
    return reasons[0]


def _refold_rows(connection: Connection, target: Projection, event: RecordedEvent, at: int) -> None:
    """Fold the rows that an event concerns anew, with the event."""
    if not take_back(connection, target, event.position):
        return
    concerned = _concerned(target, event)
    if not concerned:
        # It gives no row; but a fold of the log would still fail where SQL cannot read it.
        fold(connection, target, after=event.position - 1, upto=event.position)
        return
    with as_fold_failure(target, event.position - 1, event.position):
        connection.execute(delete(target.table).where(*_among(target.table, concerned)))
        folded = folded_at(target, at).subquery("folded")
        columns = [str(column.name) for column in folded.c]
        query = select(folded).where(*_among(folded, concerned))
        connection.execute(insert(target.table).from_select(columns, query))


def _concerned(target: Projection, event: RecordedEvent) -> dict[str, list[Any]]:
    """Key columns with values such that every row that the event concerns has one in each.

    Others can have, too, which are folded anew without a change.
    """
    try:
        keys = Reference(target).keys_of(event)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = f"its key cannot be read: {error}"
        raise FoldFailed(
            target.name, event.position - 1, event.position, reason, "22000"
        ) from error
    return {name: list({key[name] for key in keys}) for name in keys[0]} if keys else {}


def _among(source: FromClause, concerned: Mapping[str, list[Any]]) -> list[ColumnElement[bool]]:
    return [source.c[name].in_(values) for name, values in concerned.items()]
