"""One rebuild on its way: the new table filled, indexed, compared and swapped, step by step."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.log.read import last_assigned, safe_head
from quantum_forge.projections.history.difference import Difference
from quantum_forge.projections.project.checkpoint import (
    fingerprint,
    lock_checkpoint,
    read_checkpoints,
)
from quantum_forge.projections.project.folding import FoldFailed, as_fold_failure
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import attached
from quantum_forge.projections.rebuild.comparison import compare_tables, read_columns
from quantum_forge.projections.rebuild.copy import Copy, enter_stage, lock_copy
from quantum_forge.projections.rebuild.errors import RebuildStopped
from quantum_forge.projections.rebuild.shadow import (
    add_key,
    create_shadow,
    drop_shadow,
    fill,
    missing_indexes,
    shadow_name,
    tune_rebuild,
)
from quantum_forge.projections.rebuild.swap import persistently, swap_in_shadow, wait_for_snapshots
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables.log import CopyKind, Stage

BATCH = 2_000_000
"""Positions that one transaction folds, and that a kill costs: some seconds. Most logs take one
statement, which is as fast as SQL can be; from the second on, rows are looked up and updated."""

NEAR = 20_000
"""Positions that may be left for the swap's own transaction, a fraction of a second."""


class Progress(msgspec.Struct, frozen=True):
    """Where a rebuild is: every event up to `position` is in the new table, of those to `goal`."""

    projection: str
    stage: Stage
    position: int
    goal: int


Watch = Callable[[Progress], object]


class Filling:
    """One rebuild on its way."""

    def __init__(
        self,
        engine: Engine,
        projection: Projection,
        batch: int,
        watch: Watch,
        stop: threading.Event,
    ) -> None:
        self.engine = engine
        self.projection = projection
        self.batch = batch
        self.watch = watch
        self.stop = stop
        self.copy: Copy

    def begin(self) -> None:
        """Find what a killed rebuild of this definition left, or begin at the start of the log."""
        live = examine(self.engine, self.projection)
        with self._step() as connection:
            found = lock_copy(connection, self.projection.name, CopyKind.SHADOW)
            if found is None or found.fingerprint != fingerprint(self.projection):
                found = create_shadow(connection, self.projection, live)
        self.copy = found

    def fill(self, goal_of: Callable[[Connection, Projection], int]) -> None:
        """Fold batch after batch up to a goal that may move on meanwhile, until it is near."""
        self._enter(Stage.FILLING)
        while True:
            with self.engine.connect() as connection:
                goal = goal_of(connection, self.projection)
            left = goal - self.copy.position
            while self.copy.position < goal:
                self._report(Stage.FILLING, goal)
                self._fold(min(self.copy.position + self.batch, goal))
            if left <= NEAR:
                self._report(Stage.FILLING, goal)
                return

    def _fold(self, upto: int) -> None:
        with self._step() as connection:
            shadow = lock_copy(connection, self.projection.name, CopyKind.SHADOW)
            assert shadow is not None
            if shadow.position < upto:
                shadow = fill(connection, self.projection, shadow, upto)
        self.copy = shadow

    def index(self, *, all_of_them: bool) -> None:
        """Make what indexes are missing, each in a transaction of its own."""
        self._enter(Stage.INDEXING)
        self._report(Stage.INDEXING, self.copy.position)
        live = examine(self.engine, self.projection)
        with self._indexing() as connection:
            add_key(connection, self.projection)
        if not all_of_them:
            return
        with self.engine.connect() as connection:
            statements = missing_indexes(connection, self.projection, live)
        # Without statistics, the first queries after the swap would be planned for no rows.
        statements.append(f"ANALYZE {shadow_name(self.projection)}")
        # Each in its own transaction, so that a kill costs one; of a small table all in one.
        small = self.copy.consumed < NEAR
        for part in [statements] if small else [[statement] for statement in statements]:
            self._report(Stage.INDEXING, self.copy.position)
            with self._indexing() as connection:
                attached.run(connection, part)

    @contextmanager
    def _indexing(self) -> Iterator[Connection]:
        with as_fold_failure(self.projection, 0, self.copy.position), self._step() as connection:
            lock_copy(connection, self.projection.name, CopyKind.SHADOW)
            yield connection

    def compare(self) -> tuple[int, Difference, list[str], list[str]]:
        """Compare the new table with the live one, both at the live one's position."""
        self.fill(goal_of_comparison)
        self._bring_live_up()
        self._enter(Stage.COMPARING)
        self._report(Stage.COMPARING, self.copy.position)
        snapshot = self.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with snapshot, self.engine.connect() as holding:
            # No projector moves the live table until the snapshot is taken.
            checkpoint = lock_checkpoint(holding, self.projection)
            position = 0 if checkpoint is None else _within_log(holding, checkpoint.position)
            if position > self.copy.position:
                self._fold(position)
            tune_rebuild(snapshot)
            columns = read_columns(snapshot, self.projection)
            holding.rollback()
            return (position, *compare_tables(snapshot, self.projection, *columns))

    def _bring_live_up(self) -> None:
        """Project as any projector would, if a killed rebuild had come further than those have."""
        with self.engine.connect() as connection:
            checkpoint = read_checkpoints(connection).get(self.projection.name)
        if (
            checkpoint is not None
            and 0 < checkpoint.position < self.copy.position
            and checkpoint.fingerprint == self.copy.fingerprint
        ):
            with suppress(FoldFailed):
                catch_up(self.engine, [self.projection])

    def swap(self, *, keep: bool, patience: float) -> None:
        """Bring the new table to the head and put it in the place of the live one."""
        self.fill(_head)
        self._enter(Stage.SWAPPING)
        self._report(Stage.SWAPPING, self.copy.position)
        wait_for_snapshots(self.engine, self.projection, patience=patience)
        self.copy = persistently(
            self.engine,
            self.projection,
            lambda connection: swap_in_shadow(connection, self.projection, keep=keep),
            patience=patience,
            between=lambda: self.fill(_head),
        )
        self._report(Stage.DONE, self.copy.position)

    @contextmanager
    def _step(self) -> Iterator[Connection]:
        if self.stop.is_set():
            raise RebuildStopped(self.projection.name)
        with self.engine.begin() as connection:
            tune_rebuild(connection)
            yield connection

    def _enter(self, stage: Stage) -> None:
        with self.engine.begin() as connection:
            enter_stage(connection, self.projection.name, stage)

    def _report(self, stage: Stage, goal: int) -> None:
        self.watch(Progress(self.projection.name, stage, self.copy.position, goal))


def examine(engine: Engine, projection: Projection) -> int:
    """Refuse what could not be swapped in the end; returns the live table."""
    with engine.connect() as connection:
        live = attached.oid_of(connection, projection.name)
        assert live is not None, f"the table {projection.name} is missing"
        owner = text(
            "SELECT pg_get_userbyid(relowner), pg_has_role(relowner, 'USAGE') AS is_ours"
            " FROM pg_class WHERE oid = :live"
        )
        name, is_ours = connection.execute(owner, {"live": live}).one()
        if not is_ours:
            raise NotAllowed(f"only {name}, who owns {projection.name}, can rebuild it")
        attached.refuse_immovable(connection, projection.name, live)
    return live


def discard(engine: Engine, projection: Projection) -> None:
    """Drop the new table."""
    with engine.begin() as connection:
        lock_copy(connection, projection.name, CopyKind.SHADOW)
        drop_shadow(connection, projection)


def goal_of_comparison(connection: Connection, projection: Projection) -> int:
    """Where the live table is, which stands still while nobody projects; else the head."""
    checkpoint = read_checkpoints(connection).get(projection.name)
    if checkpoint is None or not checkpoint.position:
        return safe_head(connection)
    return _within_log(connection, checkpoint.position)


def _within_log(connection: Connection, position: int) -> int:
    """A position of a checkpoint, or the end of the log where the checkpoint is beyond it.

    The new table does not go there: it would not fold what is appended up to it.
    """
    return min(position, last_assigned(connection))


def _head(connection: Connection, projection: Projection) -> int:  # noqa: ARG001
    return safe_head(connection)
