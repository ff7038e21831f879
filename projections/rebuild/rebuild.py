"""The rebuild of a read model, from its first row to the swap; a killed one is gone on with."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
from sqlalchemy import Engine, func, select

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.advisory_locks import Purpose, refuse_foreign
from quantum_forge.eventstore.database.availability.deadline import unlimited
from quantum_forge.projections.history.difference import Difference
from quantum_forge.projections.project.folding import FoldFailed
from quantum_forge.projections.rebuild.errors import RebuildRunning, RebuildStopped
from quantum_forge.projections.rebuild.filling import (
    BATCH,
    Filling,
    Watch,
    discard,
    examine,
    goal_of_comparison,
)
from quantum_forge.projections.rebuild.shadow import tune_rebuild
from quantum_forge.projections.rebuild.swap import persistently, swap_in_kept
from quantum_forge.schema.language.projection import Projection

PATIENCE = 600.0
"""Seconds to wait for a moment at which nobody is in the swap's way."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a rebuild.

    events: of its types, in the new table. compared_at: the position of the live table when the new
    one was compared with it, brought to the same one; 0 where the live one was never filled.
    new_columns, lost_columns: by which the shapes differ; they are not compared.
    """

    projection: str
    position: int
    events: int
    compared_at: int
    difference: Difference
    new_columns: list[str]
    lost_columns: list[str]
    swapped: bool
    kept: bool


class RebuildsFailed(QuantumForgeError):
    """Several projections could not be rebuilt; the others were."""

    def __init__(self, errors: Iterable[QuantumForgeError]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(str(error) for error in self.errors))


def rebuild(
    engine: Engine,
    projection: Projection,
    *,
    dry_run: bool = False,
    keep: bool = False,
    batch: int = BATCH,
    patience: float = PATIENCE,
    on_progress: Watch = lambda _: None,
    stop: threading.Event | None = None,
) -> Rebuilt:
    """Fill a new table from the log, compare it with the live one, and put it in its place.

    Readers and projectors go on with the live table, until they find the new one under its name.
    If a rebuild of the same definition was killed, goes on with what it had done.

    Args:
        engine: of the tables' owner.
        projection: what to rebuild.
        dry_run: compare, and drop the new table.
        keep: the old table, for `roll_back`, until the next rebuild.
        batch: positions that one transaction folds.
        patience: seconds to wait for those who are in the way of the swap.
        on_progress: called between two transactions.
        stop: set it to end between two transactions; what was done is kept.

    Raises:
        RebuildRunning: another process does it.
        FoldFailed: the database refuses an event, or a row; the new table is dropped.
        SwapBlocked: somebody was in the way of the swap for too long; the new table is kept.
        SwapImpossible: something hangs on the live table that cannot be moved.
        RebuildStopped: as told.
    """
    engine = unlimited(engine)
    with _alone(engine, projection):
        filling = Filling(engine, projection, batch, on_progress, stop or threading.Event())
        try:
            filling.begin()
            filling.fill(goal_of_comparison)
            filling.index(all_of_them=not dry_run)
            compared_at, found, new, lost = filling.compare()
            if not dry_run:
                filling.swap(keep=keep, patience=patience)
        except FoldFailed:
            discard(engine, projection)
            raise
        if dry_run:
            discard(engine, projection)
        return Rebuilt(
            projection=projection.name,
            position=filling.copy.position,
            events=filling.copy.consumed,
            compared_at=compared_at,
            difference=found,
            new_columns=new,
            lost_columns=lost,
            swapped=not dry_run,
            kept=keep and not dry_run,
        )


def rebuild_all(
    engine: Engine,
    projections: Iterable[Projection],
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    keep: bool = False,
    on_progress: Watch = lambda _: None,
    on_rebuilt: Callable[[Rebuilt], object] = lambda _: None,
    stop: threading.Event | None = None,
) -> list[Rebuilt]:
    """Rebuild several projections, `jobs` of them at a time: as many as there are cores by default.

    The callbacks are called from the threads that do it. One that fails does not stop the others.

    Raises:
        RebuildsFailed: when several could not be rebuilt; a lone error as it is.
    """
    stop = stop or threading.Event()

    def one(projection: Projection) -> Rebuilt:
        if stop.is_set():
            raise RebuildStopped(projection.name)
        rebuilt = rebuild(
            engine, projection, dry_run=dry_run, keep=keep, on_progress=on_progress, stop=stop
        )
        on_rebuilt(rebuilt)
        return rebuilt

    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        done: list[Rebuilt] = []
        errors: list[QuantumForgeError] = []
        try:
            for future in [pool.submit(one, projection) for projection in projections]:
                try:
                    done.append(future.result())
                except QuantumForgeError as error:
                    errors.append(error)
        except BaseException:
            stop.set()
            raise
    if len(errors) > 1:
        raise RebuildsFailed(errors)
    if errors:
        raise errors[0]
    return done


def roll_back(
    engine: Engine, projection: Projection, *, keep: bool = False, patience: float = PATIENCE
) -> int:
    """Put the table that a rebuild kept in the place of the live one, with its own checkpoint.

    Projectors go on from there. `keep` keeps the present table in its turn.

    Returns:
        The position of that checkpoint.

    Raises:
        NothingKept, RebuildRunning, SwapBlocked, SwapImpossible
    """
    with _alone(engine, projection):
        examine(engine, projection)
        live = persistently(
            engine,
            projection,
            lambda connection: swap_in_kept(connection, projection, keep=keep),
            patience=patience,
        )
    return live.position


@contextmanager
def _alone(engine: Engine, projection: Projection) -> Iterator[None]:
    """Keep other rebuilds of the projection away.

    By a lock of a transaction that stays open, which a transaction pooler leaves in one session. It
    is a courtesy: two rebuilds at once would wait for each other's steps and do no harm.
    """
    with engine.connect() as connection:
        tune_rebuild(connection)
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        # Of two numbers: a single one could be taken for an append's.
        locked = select(
            func.pg_try_advisory_xact_lock(func.hashtext("rebuild"), func.hashtext(projection.name))
        )
        if not connection.scalar(locked):
            refuse_foreign(connection, Purpose.REBUILDS)
            raise RebuildRunning(projection.name)
        yield
        connection.rollback()
