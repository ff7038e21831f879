"""Records on behalf of one tenant, one user and one process, whether the database is there or not.

An append goes to the database; where that cannot be reached, or is slower than the deadline, it
goes to this process's segment of the spool, and is in the log as soon as the database is back. What
is spooled goes first then, so that the order within the streams of this process is kept. An append
of which nobody knows whether it arrived is spooled, too: its event ids make a repetition harmless.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID

import sqlalchemy.exc
from sqlalchemy import Engine

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.envelope import (
    ANY_VERSION,
    MUST_NOT_EXIST,
    NewEvent,
    Placed,
    Stream,
)
from quantum_forge.eventstore.base.errors import DatabaseUnreachable, SpoolUnwritable
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.engine import where
from quantum_forge.eventstore.database.outage import UNANSWERED, reason_of
from quantum_forge.eventstore.log.append import append, encode_wire
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.calculation import CalculationRecording, Classify
from quantum_forge.eventstore.spool.drain import (
    Drained,
    SegmentDrain,
    append_in_time,
    refuse_followers,
)
from quantum_forge.eventstore.spool.file import Segment, described, events_of
from quantum_forge.schema.domains.calculations import CalculationStarted
from quantum_forge.schema.language.event import Event

DEADLINE = 2.0
"""Seconds that the database has to take an append."""

SLACK = 0.5
"""Seconds after the deadline for the answer of a server that has cancelled a statement itself."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 8.0
"""Seconds between two tries to reach a database that is away: they double from one to the other."""

AWAY = (*UNANSWERED, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError, TimeoutError)

Answer = TypeVar("Answer")


class Recorder:
    """Makes events of one author and records them, each call as one atomic append.

    Close it, or use it in a `with`; what is in the spool then is anybody's to drain. Threads may
    share it.

    Args:
        engine: of the database.
        tenant_id: who owns what is recorded.
        user_id: who does it; None for the system itself.
        metadata: what every event shall say of its origin: host, service, program versions.
        spool: the directory for what the database does not take now; None: an error says so.
        deadline: seconds that the database has to take an append, where there is a spool.
        on_away: called once when an outage begins, with its reason.
        on_back: called once when it has ended and everything that was spooled is in the log.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tenant_id: UUID,
        user_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        spool: Path | None = None,
        deadline: float = DEADLINE,
        on_away: Callable[[str], None] = lambda _: None,
        on_back: Callable[[Drained], None] = lambda _: None,
    ) -> None:
        self.engine = engine
        self.tenant_id = tenant_id
        self.author = Author(tenant_id=tenant_id, user_id=user_id, more=dict(metadata or {}))
        self._spool = spool
        self._deadline = deadline
        self._on_away = on_away
        self._on_back = on_back
        self._lock = threading.RLock()
        self._drain: SegmentDrain | None = None
        self._spooled = 0
        self._rejected: set[Stream] = set()
        self._is_told = False
        self._reason = ""
        self._pause = FIRST_PAUSE
        self._next_try = 0.0

    @property
    def spooled(self) -> int:
        """How many events of this process wait in the spool, as far as is known."""
        return self._spooled

    def new(
        self, entity_id: UUID, event: Event, *, expected_version: int | None = ANY_VERSION
    ) -> NewEvent:
        """Make an event of this author, now."""
        return self.author.new(entity_id, event, expected_version=expected_version)

    def record(self, *events: NewEvent) -> list[Placed] | None:
        """Record events, all or none; on return they survive a crash of this machine.

        Returns:
            Where they are in the log, in the given order; None while they are in the spool.

        Raises:
            EventRefused, VersionConflict, EventIdReused: as `append` does; of what is in the spool,
                the drain tells.
            SpoolUnwritable: when neither the database nor the spool takes them.
            DatabaseUnavailable: when the database is away and there is no spool.
        """
        if not events:
            return []
        if self._spool is None:
            with self.engine.begin() as connection:
                return append(connection, events)
        wire = encode_wire(events)
        with self._lock:
            if self._rejected:
                refuse_followers(self._rejected, events_of(wire))
            if time.monotonic() >= self._next_try:
                try:
                    if self._emptied(time.monotonic() + self._deadline):
                        return self._append(wire)
                except AWAY as error:
                    self._left(error)
                except SpoolUnwritable:
                    pass  # a rejected append has no place beside the spool, and stays in it
            self._keep(wire)
            if not self._is_told:
                self._is_told = True
                self._on_away(self._reason)
        return None

    def calculation(
        self,
        molecule_id: UUID | None,
        *,
        method: str,
        program: str = "unknown",
        program_version: str = "unknown",
        charge: int | None = None,
        multiplicity: int | None = None,
        solvation_model: str | None = None,
        timeout_seconds: float = 3600.0,
        batch_id: UUID | None = None,
        calculation_id: UUID | None = None,
        expected_version: int | None = MUST_NOT_EXIST,
        attempt: int = 1,
        classify: Classify | None = None,
    ) -> CalculationRecording:
        """Record an attempt at a calculation: begun at the start of a `with`, ended within it.

            with recorder.calculation(molecule_id, method="GFN2-xTB") as calculation:
                calculation.complete(compute())

        A block that raises records a failure, of the type that `classify` says; one that is
        interrupted, or left without an end, records the attempt as lost.

        Args:
            molecule_id: of what is calculated; None where the input is no molecule.
            method: such as GFN2-xTB.
            program: that computes.
            program_version: of it.
            charge: in e.
            multiplicity: 2S + 1.
            solvation_model: such as ALPB(water); None for the gas phase.
            timeout_seconds: in s; after this time anyone may record the attempt as lost.
            batch_id: that it belongs to.
            calculation_id: of an earlier attempt, or a natural id; a new one if None.
            expected_version: of the calculation's stream before this attempt.
            attempt: counts from 1.
            classify: tells what an exception means; without it, that is an unknown error.
        """
        started = CalculationStarted(
            molecule_id=molecule_id,
            batch_id=batch_id,
            attempt=attempt,
            method=method,
            charge=charge,
            multiplicity=multiplicity,
            program=program,
            program_version=program_version,
            timeout_seconds=timeout_seconds,
            solvation_model=solvation_model,
        )
        return CalculationRecording(
            self,
            calculation_id or uuid7(),
            started,
            expected_version=expected_version,
            classify=classify,
        )

    def settle(self) -> None:
        """Bring everything that this process has spooled into the log.

        Raises:
            DatabaseUnreachable: when the database does not take it now; it stays in the spool.
            SpoolUnwritable: when what the database refuses cannot be kept.
        """
        with self._lock:
            try:
                self._emptied(None)
            except AWAY as error:
                self._left(error)
                raise DatabaseUnreachable(
                    where(self.engine.url),
                    f"the spool has {counted(self._spooled, 'event')}: {self._reason}",
                    "run qforge spool drain when the database is back",
                ) from error

    def close(self) -> None:
        """Let go of this process's segment: any drain may have it from now on.

        Raises:
            SpoolUnwritable: when the segment was deleted, and what is in it cannot be written anew.
        """
        with self._lock:
            if self._drain is not None:
                if self._drain.segment.is_lost and not self._drain.is_done:
                    self._rescue(counted(self._spooled, "spooled event"))
                self._drain.segment.close()
                self._drain = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The database

    def _append(self, wire: bytes) -> list[Placed]:
        engine, deadline = self.engine, self._deadline
        placed = within(deadline + SLACK, lambda: append_in_time(engine, wire, seconds=deadline))
        self._answered()
        return placed

    def _answered(self) -> None:
        self._pause = FIRST_PAUSE
        self._next_try = 0.0

    def _emptied(self, until: float | None) -> bool:
        """Drain this process's segment; False when the time is over and something is left."""
        drain = self._drain
        if drain is None:
            return True
        try:
            done = drain.run(self._append, until=until)
        finally:
            self._rejected |= drain.rejected_streams
        if not done:
            return False
        drain.segment.remove()
        self._drain = None
        self._spooled = 0
        self._is_told = False
        self._answered()
        self._on_back(drain.result)
        return True

    def _left(self, error: Exception) -> None:
        """The database did not answer: leave it alone for a while."""
        self._reason = reason_of(error)
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    # The spool

    def _keep(self, wire: bytes) -> None:
        assert self._spool is not None
        if self._drain is None:
            try:
                segment = Segment.create(self._spool)
            except OSError as error:
                reason = error.strerror or str(error)
                raise SpoolUnwritable(self._spool, reason, described(wire)) from error
            self._drain = SegmentDrain(segment)
        self._drain.segment.append(wire)
        # Somebody may delete or move the file while it is written to: no drain would ever find it.
        while self._drain.segment.is_lost:
            self._rescue(described(wire))
        self._spooled += len(events_of(wire))

    def _rescue(self, what: str) -> None:
        """Go on in a new segment, with everything that the lost one holds and the log does not."""
        assert self._spool is not None
        assert self._drain is not None
        try:
            self._drain = self._drain.moved(self._spool)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SpoolUnwritable(self._spool, reason, what) from error


def within(seconds: float, function: Callable[[], Answer]) -> Answer:
    """Call a function in a thread that is left to itself when it takes longer.

    No setting of a connection covers all that can hang: a name look-up, a server that is stopped
    but not gone, a network that swallows packets.

    Raises:
        TimeoutError: when it takes longer; it may still come to its end.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="append", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        if answer.done():
            raise
        raise TimeoutError(f"the database did not answer within {seconds:g} s") from None
