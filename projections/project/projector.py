"""Keeps read models up to date: folds what was appended since the checkpoint, batch by batch."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base import tracing
from quantum_forge.eventstore.base.errors import ConnectionLost, QuantumForgeError
from quantum_forge.eventstore.database.availability import outage
from quantum_forge.eventstore.database.availability.standby import publish_head
from quantum_forge.eventstore.log.partitions import make_partitions
from quantum_forge.projections.project.batch_size import BatchSize
from quantum_forge.projections.project.checkpoint import (
    CheckpointDiverged,
    create_checkpoints,
    diverged,
    fingerprint,
    lock_checkpoints,
    move_checkpoints,
    read_checkpoints,
)
from quantum_forge.projections.project.folding import FoldFailed, fold, fold_few, tune
from quantum_forge.projections.project.log_range import Contents, count_events, look
from quantum_forge.projections.project.poison import fold_around
from quantum_forge.schema.language.projection import Projection

LOSSES = 5
"""Connections that may be lost one after the other, without a batch between them."""

SHARED_EVENTS = 1_000
"""Events of a projection up to which its batch shares a transaction with those of others."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Seconds for which a projection is left alone after the database refused its events."""

POISON_SECONDS = 1.0
"""Seconds after which the search for events that cannot be folded is committed as far as it is."""

PARTITIONS_EVERY = 10_000
"""Positions after which it is looked again whether the log needs partitions."""

PARTITIONS_PAUSE = 30.0
"""Seconds after a failed attempt at partitions, at most: each may hold up appends for 0.05 s."""


_TRACEPARENTS = text("""
    SELECT DISTINCT metadata->>'traceparent' AS traceparent
      FROM event_logs
     WHERE id > :after AND id <= :upto AND jsonb_typeof(metadata->'traceparent') = 'string'
     LIMIT :most
""")


class RebuildNeeded(QuantumForgeError):
    """A table was filled by another definition than the code's."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        what = ", ".join(self.names)
        super().__init__(
            f"the definition of {what} has changed: run `qforge rebuild {' '.join(self.names)}`"
        )


class Advance(msgspec.Struct, frozen=True):
    """Effect of one batch on one projection.

    events: of its types. parked: how many of them could not be folded, and are left out.
    """

    projection: str
    position: int
    events: int
    parked: int = 0


class Pass(msgspec.Struct, frozen=True):
    """Outcome of one pass that brings projections up to the safe head.

    folded: events, each counted once for every projection that reads it. stale: what another
    definition filled, and was left as it is. diverged: what was filled from another log, and was
    left as it is. failures: what the database refused.
    """

    folded: int
    stale: list[str]
    failures: list[FoldFailed]
    diverged: list[CheckpointDiverged] = []


class _Pause(msgspec.Struct, frozen=True):
    failure: FoldFailed
    attempts: int
    until: float


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
    batch: int | None = None,
    on_advance: Callable[[Advance], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> int:
    """Fold everything up to the present safe head, in batches that each commit.

    A projection that another process holds at the moment is left to that process. Events that the
    database refuses to fold are set aside (`quantum_forge.projections.compiler.dead_letters`), and
    the others go on.

    Args:
        engine: of the database.
        projections: what to bring up to date.
        batch: positions that one transaction folds; as many as are quick unless given.
        on_advance: called after each commit.
        stop: set it to end after the present batch.

    Returns:
        How many events were folded, each counted once for every projection that reads it.

    Raises:
        RebuildNeeded: when a definition has changed; the others are brought up to date first.
        CheckpointDiverged: when a table was filled from another log; likewise.
        FoldFailed: when the server cannot fold events, be they good or bad; the others are brought
            up to date first.
    """
    done = Projector(engine, projections, batch=batch, on_advance=on_advance, stop=stop).catch_up()
    if (trouble := trouble_of(done)) is not None:
        raise trouble
    return done.folded


def trouble_of(done: Pass) -> QuantumForgeError | None:
    """Return the error that says why a pass left read models behind; None when it left none."""
    if done.failures:
        return done.failures[0]
    if done.diverged:
        return done.diverged[0]
    return RebuildNeeded(done.stale) if done.stale else None


class Projector:
    """Brings projections up to the safe head, again and again; arguments are those of `catch_up`.

    Projections that are equally far share one look at the log's next range, which says how many
    events of which type there are: so a projection that none of them concerns costs nothing.
    """

    def __init__(
        self,
        engine: Engine,
        projections: Iterable[Projection],
        *,
        batch: int | None = None,
        on_advance: Callable[[Advance], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> None:
        self._engine = engine
        self._projections = list(projections)
        self._size = BatchSize(batch)
        self._on_advance = on_advance
        self._stop = stop or threading.Event()
        self._partitions_from = 0
        self._partitions_wait = 0.0
        self._head = 0
        self._positions: dict[str, int] = {}
        self._folded = 0
        self._losses = 0
        self._paused: dict[str, _Pause] = {}
        self._diverged: list[CheckpointDiverged] = []

    def catch_up(self) -> Pass:
        """Fold everything up to the present safe head, and say what was left undone."""
        self._folded = self._losses = 0
        stale = self._first_look()
        while not self._stop.is_set() and (groups := self._behind()):
            ends = [*(after for after, _ in groups[1:]), self._head]
            for (after, group), end in zip(groups, ends, strict=True):
                if self._stop.is_set() or not self._attempt(group, after, end):
                    break
            if self._folded:
                self._make_partitions()
        if self._partitions_wait:
            self._make_partitions()
        failures = [pause.failure for pause in self._paused.values()]
        return Pass(self._folded, stale, failures, self._diverged)

    def _make_partitions(self) -> None:
        """Make partitions of the log ahead, now and then; what is in the way stops nothing.

        `qforge status` and the doctor tell where few are left, and without any the default
        partition takes the events.
        """
        if self._head < self._partitions_from or time.monotonic() < self._partitions_wait:
            return
        try:
            make_partitions(self._engine)
        except (QuantumForgeError, DBAPIError):
            pause = outage.pause_after(1, first=PARTITIONS_PAUSE, longest=PARTITIONS_PAUSE)
            self._partitions_wait = time.monotonic() + pause
        else:
            self._partitions_from = self._head + PARTITIONS_EVERY
            self._partitions_wait = 0.0

    def _first_look(self) -> list[str]:
        """Look at the checkpoints, again where the connection was lost over it."""
        while True:
            try:
                return self._look_at_checkpoints()
            except ConnectionLost as error:
                self._count_loss(error)

    def _attempt(self, group: Sequence[Projection], after: int, end: int) -> bool:
        """Fold one batch; false when its connection was lost, so that it must be tried again.

        The server ends a batch that stands still, which a busy machine can also be the cause of.
        """
        try:
            self._advance(group, after, end)
        except ConnectionLost as error:
            self._count_loss(error)
            return False
        return True

    def _count_loss(self, error: ConnectionLost) -> None:
        self._losses += 1
        if self._losses > LOSSES:
            raise error

    def _look_at_checkpoints(self) -> list[str]:
        """Where everybody is, and the head; returns whose table another definition filled."""
        # The server commits by itself: the row's lock must not outlast a client that is cut off.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as alone:
            # Before anything is folded, so that no checkpoint is beyond the published head.
            self._head = publish_head(alone)
        with self._engine.begin() as connection:
            checkpoints = read_checkpoints(connection)
            if missing := [each for each in self._projections if each.name not in checkpoints]:
                tune(connection)
                create_checkpoints(connection, missing)
                checkpoints = read_checkpoints(connection)
            self._diverged = diverged(connection, [each.name for each in self._projections])
        foreign = {name for error in self._diverged for name in error.names}
        self._positions = {}
        stale = []
        for projection in self._projections:
            checkpoint = checkpoints[projection.name]
            if checkpoint.fingerprint != fingerprint(projection):
                stale.append(projection.name)
            elif projection.name not in foreign:
                self._positions[projection.name] = checkpoint.position
        now = time.monotonic()
        for name, pause in self._paused.items():
            if now < pause.until:
                self._positions.pop(name, None)
        return stale

    def _behind(self) -> list[tuple[int, list[Projection]]]:
        """Who is behind the head and not left alone, by position; the equally far together."""
        groups: dict[int, list[Projection]] = {}
        for projection in self._projections:
            position = self._positions.get(projection.name, self._head)
            if position < self._head:
                groups.setdefault(position, []).append(projection)
        return sorted(groups.items(), key=lambda item: item[0])

    def _advance(self, group: Sequence[Projection], after: int, end: int) -> None:
        """Fold one batch for projections that all are at `after`."""
        upto = min(after + self._size.positions, end)
        with self._engine.connect() as connection:
            found = look(connection, after, upto)
        contents = {each.name: found.of(each.reads) for each in group}
        with tracing.span(
            "project",
            {"qforge.after": after, "qforge.upto": upto, "qforge.projections": len(group)},
            links=self._appends(after, upto) if tracing.is_on() else (),
        ):
            self._fold_all(group, contents, after, upto)

    def _appends(self, after: int, upto: int) -> list[str]:
        """The traceparents of what appended the events of a batch, as many as a span may link."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                _TRACEPARENTS, {"after": after, "upto": upto, "most": tracing.MOST_LINKS}
            )
            return [row.traceparent for row in rows]

    def _fold_all(
        self, group: Sequence[Projection], contents: dict[str, Contents], after: int, upto: int
    ) -> None:
        alone = [each for each in group if contents[each.name].events > SHARED_EVENTS]
        shared = [each for each in group if each not in alone]
        began = time.monotonic()
        try:
            for part in [shared, *([each] for each in alone)]:
                if part:
                    self._fold(part, contents, after, upto)
        finally:
            # What took too long is tried again as a smaller batch.
            self._size.took(upto - after, (time.monotonic() - began) / (len(alone) or 1))

    def _fold(
        self, part: Sequence[Projection], contents: dict[str, Contents], after: int, upto: int
    ) -> None:
        try:
            moved = self._commit(part, contents, after, upto)
        except FoldFailed as failure:
            if len(part) == 1:
                self._fold_around(part[0], failure, after, upto)
                return
            # One of several: each for itself.
            busy = [each for each in part if contents[each.name].events]
            idle = [each for each in part if each not in busy]
            for alone in [idle, *([each] for each in busy)]:
                if alone:
                    self._fold(alone, contents, after, upto)
            return
        for name in moved:
            self._moved(Advance(name, upto, contents[name].events))

    def _moved(self, advance: Advance) -> None:
        self._positions[advance.projection] = advance.position
        self._paused.pop(advance.projection, None)
        self._losses = 0
        self._folded += advance.events
        self._on_advance(advance)

    def _fold_around(
        self, projection: Projection, failure: FoldFailed, after: int, upto: int
    ) -> None:
        """Fold what can be folded, if it was an event that was refused."""
        try:
            if not failure.is_poison:
                raise failure
            with self._engine.begin() as connection:
                tune(connection)
                if not self._hold([projection], connection, after):
                    return
                around = fold_around(
                    connection, projection, after=after, upto=upto, seconds=POISON_SECONDS
                )
                contents = Contents(*count_events(connection, projection, after, around.reached))
                move_checkpoints(connection, {projection.name: contents}, around.reached)
        except FoldFailed as refused:
            self._pause(refused)
        else:
            self._moved(Advance(projection.name, around.reached, contents.events, around.parked))

    def _pause(self, failure: FoldFailed) -> None:
        """Leave a projection alone for a while, longer after every failure in a row."""
        name = failure.projection
        self._positions.pop(name, None)
        before = self._paused.get(name)
        longest = outage.LONGEST_PAUSE if failure.may_pass else LONGEST_PAUSE
        attempts = 1 if before is None else before.attempts + 1
        seconds = outage.pause_after(attempts, first=SHORTEST_PAUSE, longest=longest)
        self._paused[name] = _Pause(failure, attempts, time.monotonic() + seconds)

    def _commit(
        self, part: Sequence[Projection], contents: dict[str, Contents], after: int, upto: int
    ) -> list[str]:
        """Fold a range into the tables and move the checkpoints; say whose were moved."""
        few = all(contents[each.name].events <= SHARED_EVENTS for each in part)
        with self._engine.begin() as connection:
            tune(connection, few=few)
            ready = self._hold(part, connection, after)
            for projection in ready:
                if contents[projection.name].events:
                    (fold_few if few else fold)(connection, projection, after=after, upto=upto)
            moved = {each.name: contents[each.name] for each in ready}
            if moved:
                move_checkpoints(connection, moved, upto)
        return list(moved)

    def _hold(
        self, part: Sequence[Projection], connection: Connection, after: int
    ) -> list[Projection]:
        """Lock checkpoints for this transaction; those that still are where they were."""
        held = lock_checkpoints(connection, [each.name for each in part])
        ready = []
        for projection in part:
            checkpoint = held.get(projection.name)
            if checkpoint is None or checkpoint.fingerprint != fingerprint(projection):
                # Left to the process that has it, or that has rebuilt it.
                self._positions.pop(projection.name, None)
            elif checkpoint.position != after:
                self._positions[projection.name] = checkpoint.position
            else:
                ready.append(projection)
        return ready
