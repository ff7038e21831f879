"""The rebuild of a read model, from its first row to the swap; a killed one is gone on with."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import msgspec
from sqlalchemy import Column, Connection, Engine, MetaData, Table, func, select, text

from quantum_forge.eventstore.base.errors import NotAllowed, QuantumForgeError
from quantum_forge.eventstore.database.advisory_locks import Purpose, refuse_foreign
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.history.difference import Difference, difference
from quantum_forge.projections.project.checkpoint import (
    fingerprint,
    lock_checkpoint,
    read_checkpoints,
)
from quantum_forge.projections.project.folding import FoldFailed, refusal
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import attached
from quantum_forge.projections.rebuild.copy import Copy, Kind, Stage, enter_stage, lock_copy, onto
from quantum_forge.projections.rebuild.errors import RebuildRunning, RebuildStopped
from quantum_forge.projections.rebuild.shadow import (
    add_key,
    create_shadow,
    drop_shadow,
    fill,
    missing_indexes,
    shadow_name,
    tune,
)
from quantum_forge.projections.rebuild.swap import (
    persistently,
    swap_in_kept,
    swap_in_shadow,
    wait_for_snapshots,
)
from quantum_forge.schema.language.projection import Projection

BATCH = 2_000_000
"""Positions that one transaction folds, and that a kill costs: some seconds. Most logs take one
statement, which is as fast as SQL can be; from the second on, rows are looked up and updated."""

NEAR = 20_000
"""Positions that may be left for the swap's own transaction, a fraction of a second."""

PATIENCE = 600.0
"""Seconds to wait for a moment at which nobody is in the swap's way."""

EXAMPLES = 5


class Progress(msgspec.Struct, frozen=True):
    """Where a rebuild is: every event up to `position` is in the new table, of those to `goal`."""

    projection: str
    stage: Stage
    position: int
    goal: int


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did.

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


Watch = Callable[[Progress], object]


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
    with _alone(engine, projection):
        filling = _Filling(engine, projection, batch, on_progress, stop or threading.Event())
        try:
            filling.begin()
            filling.fill(_goal_of_comparison)
            filling.index(all_of_them=not dry_run)
            compared_at, found, new, lost = filling.compare()
            if not dry_run:
                filling.swap(keep=keep, patience=patience)
        except FoldFailed:
            _discard(engine, projection)
            raise
        if dry_run:
            _discard(engine, projection)
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
        _examine(engine, projection)
        live = persistently(
            engine,
            projection,
            lambda connection: swap_in_kept(connection, projection, keep=keep),
            patience=patience,
        )
    return live.position


class _Filling:
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
        live = _examine(self.engine, self.projection)
        with self._step() as connection:
            found = lock_copy(connection, self.projection.name, Kind.SHADOW)
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
            shadow = lock_copy(connection, self.projection.name, Kind.SHADOW)
            assert shadow is not None
            if shadow.position < upto:
                shadow = fill(connection, self.projection, shadow, upto)
        self.copy = shadow

    def index(self, *, all_of_them: bool) -> None:
        """Make what indexes are missing, each in a transaction of its own."""
        self._enter(Stage.INDEXING)
        self._report(Stage.INDEXING, self.copy.position)
        live = _examine(self.engine, self.projection)
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
        with refusal(self.projection, 0, self.copy.position), self._step() as connection:
            lock_copy(connection, self.projection.name, Kind.SHADOW)
            yield connection

    def compare(self) -> tuple[int, Difference, list[str], list[str]]:
        """Compare the new table with the live one, both at the live one's position."""
        self.fill(_goal_of_comparison)
        self._bring_live_up()
        self._enter(Stage.COMPARING)
        self._report(Stage.COMPARING, self.copy.position)
        snapshot = self.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with snapshot, self.engine.connect() as holding:
            # No projector moves the live table until the snapshot is taken.
            checkpoint = lock_checkpoint(holding, self.projection)
            position = 0 if checkpoint is None else checkpoint.position
            if position > self.copy.position:
                self._fold(position)
            tune(snapshot)
            columns = _columns(snapshot, self.projection)
            holding.rollback()
            return (position, *_compare(snapshot, self.projection, *columns))

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
            tune(connection)
            yield connection

    def _enter(self, stage: Stage) -> None:
        with self.engine.begin() as connection:
            enter_stage(connection, self.projection.name, stage)

    def _report(self, stage: Stage, goal: int) -> None:
        self.watch(Progress(self.projection.name, stage, self.copy.position, goal))


@contextmanager
def _alone(engine: Engine, projection: Projection) -> Iterator[None]:
    """Keep other rebuilds of the projection away.

    By a lock of a transaction that stays open, which a transaction pooler leaves in one session. It
    is a courtesy: two rebuilds at once would wait for each other's steps and do no harm.
    """
    with engine.connect() as connection:
        tune(connection)
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


def _examine(engine: Engine, projection: Projection) -> int:
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


def _discard(engine: Engine, projection: Projection) -> None:
    with engine.begin() as connection:
        lock_copy(connection, projection.name, Kind.SHADOW)
        drop_shadow(connection, projection)


def _goal_of_comparison(connection: Connection, projection: Projection) -> int:
    """Where the live table is, which stands still while nobody projects; else the head."""
    checkpoint = read_checkpoints(connection).get(projection.name)
    return checkpoint.position if checkpoint and checkpoint.position else safe_head(connection)


def _head(connection: Connection, projection: Projection) -> int:  # noqa: ARG001
    return safe_head(connection)


def _columns(snapshot: Connection, projection: Projection) -> tuple[dict[str, str], dict[str, str]]:
    """The columns of the live and of the new table, with their types."""
    query = text(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    live, new = (
        {row.attname: row.type for row in snapshot.execute(query, {"name": name})}
        for name in (projection.name, shadow_name(projection))
    )
    return live, new


def _compare(
    snapshot: Connection, projection: Projection, live: dict[str, str], new: dict[str, str]
) -> tuple[Difference, list[str], list[str]]:
    """How the new table differs from the live one, and by which columns their shapes do."""
    common = [name for name in new if live.get(name) == new[name]]
    gained = [name for name in new if name not in common]
    lost = [name for name in live if name not in common]
    shadow = onto(projection, Kind.SHADOW).table
    before = Table(
        projection.name,
        MetaData(),
        *(Column(name, projection.table.c[name].type) for name in common),
    )
    after = select(*(shadow.c[name] for name in common)).subquery("after")
    key = [column.name for column in projection.table.primary_key]
    is_filled = snapshot.scalar(text(f"SELECT EXISTS (SELECT FROM {projection.name})"))
    if is_filled and not set(key) - set(common):
        return difference(snapshot, before, after, key, limit=EXAMPLES), gained, lost
    # Nothing to compare row by row: the old rows go, the new ones come.
    added, removed = (
        snapshot.scalar(select(func.count()).select_from(text(name)))
        for name in (shadow_name(projection), projection.name)
    )
    return (
        Difference(added=added or 0, removed=removed or 0, changed=0, examples=[]),
        gained,
        lost,
    )
