"""Delivery: what is recorded reaches the log, by way of the spool while the database is away.

An append goes to the database; where that cannot be reached, or is slower than the deadline, it
goes to this process's segment of the spool, and is in the log as soon as the database is back. What
is spooled goes first then, so that the order within the streams of this process is kept. An append
of which nobody knows whether it arrived is spooled, too: its event ids make a repetition harmless.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import DatabaseUnavailable, SpoolUnwritable
from quantum_forge.eventstore.database.availability.outage import (
    AWAY,
    asked_pause,
    pause_after,
    reason_of,
)
from quantum_forge.eventstore.spool.entries import described, events_of
from quantum_forge.eventstore.spool.segment import Segment
from quantum_forge.eventstore.spool.segment_drain import Drained, SegmentDrain, refuse_followers

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 8.0
"""Seconds between two tries to reach a database that is away: they double from one to the other."""


class Delivery:
    """The spool of one process in front of the log; threads may share it.

    Args:
        spool: the directory for what the database does not take now.
        deadline: seconds that the database has to take an append.
        drain: appends what was spooled, within so many seconds.
        on_away: called once when an outage begins, with its reason.
        on_back: called once when it has ended and everything that was spooled is in the log.
    """

    def __init__(
        self,
        spool: Path,
        deadline: float,
        drain: Callable[[bytes, float], object],
        *,
        on_away: Callable[[str], None],
        on_back: Callable[[Drained], None],
    ) -> None:
        self._spool = spool
        self._deadline = deadline
        self._append = drain
        self.on_away = on_away
        self.on_back = on_back
        self._lock = threading.RLock()
        self._drain: SegmentDrain | None = None
        self.spooled = 0
        """How many events of this process wait in the spool, as far as is known."""
        self._rejected: set[Stream] = set()
        self._is_announced = False
        self.reason = ""
        """Why the database did not answer the last time."""
        self.refused: Exception | None = None
        """What the database said the last time, where that lasts until somebody changes it."""
        self._failures = 0
        self.next_try = 0.0
        """Until then the database is left alone, by `time.monotonic`."""

    def deliver(
        self,
        events: Sequence[NewEvent],
        append: Callable[[float], list[Placed]],
        frame: Callable[[], bytes],
    ) -> list[Placed] | None:
        """Append events, or else spool them; on return they survive a crash of this machine.

        Args:
            events: to be recorded.
            append: appends them, within so many seconds.
            frame: their JSON, for the spool.

        Returns:
            What `append` returned; None while they are in the spool.

        Raises:
            VersionConflict: when they follow an append of this process that was rejected.
            SpoolUnwritable: when neither the database nor the spool takes them.
        """
        if self._rejected:
            refuse_followers(self._rejected, events)
        if self._drain is None and time.monotonic() >= self.next_try:
            # Nothing waits: threads append side by side.
            try:
                placed = append(self._deadline)
            except AWAY as error:
                with self._lock:
                    self._left(error)
                    self._keep(frame())
                return None
            self._answered()
            return placed
        with self._lock:
            if self._rejected:
                refuse_followers(self._rejected, events)
            if time.monotonic() >= self.next_try:
                try:
                    if self._emptied(time.monotonic() + self._deadline):
                        placed = append(self._deadline)
                        self._answered()
                        return placed
                except AWAY as error:
                    self._left(error)
                except SpoolUnwritable:
                    pass  # a rejected append has no place beside the spool, and stays in it
            self._keep(frame())
        return None

    def settle(self) -> None:
        """Bring everything that this process has spooled into the log.

        Raises:
            Exception: one of `AWAY`, when the database does not take it now; it stays in the spool.
            SpoolUnwritable: when what the database refuses cannot be kept.
        """
        with self._lock:
            try:
                self._emptied(None)
            except AWAY as error:
                self._left(error)
                raise

    def close(self) -> None:
        """Let go of this process's segment: any drain may have it from now on.

        Raises:
            SpoolUnwritable: when the segment was deleted, and what is in it cannot be written anew.
        """
        with self._lock:
            if self._drain is not None:
                if self._drain.segment.is_lost and not self._drain.is_done:
                    self._rescue(counted(self.spooled, "spooled event"))
                self._drain.segment.close()
                self._drain = None

    # The database

    def _answered(self) -> None:
        self._failures = 0
        self.next_try = 0.0
        self.refused = None

    def _emptied(self, until: float | None) -> bool:
        """Drain this process's segment; False when the time is over and something is left."""
        drain = self._drain
        if drain is None:
            return True
        try:
            done = drain.run(lambda wire: self._append(wire, self._deadline), until=until)
        finally:
            self._rejected |= drain.rejected_streams
        if not done:
            return False
        drain.segment.remove()
        self._drain = None
        self.spooled = 0
        self._is_announced = False
        self._answered()
        self.on_back(drain.result)
        return True

    def _left(self, error: Exception) -> None:
        """The database did not answer: leave it alone for a while."""
        self.reason = reason_of(error)
        known = error if isinstance(error, DatabaseUnavailable) else None
        self.refused = known if known is not None and known.is_lasting else None
        self._failures += 1
        pause = pause_after(self._failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE, random_part=0)
        self.next_try = time.monotonic() + max(pause, asked_pause(error))

    # The spool

    def _keep(self, wire: bytes) -> None:
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
        self.spooled += len(events_of(wire))
        if not self._is_announced:
            self._is_announced = True
            self.on_away(self.reason)

    def _rescue(self, what: str) -> None:
        """Go on in a new segment, with everything that the lost one holds and the log does not."""
        assert self._drain is not None
        try:
            self._drain = self._drain.moved(self._spool)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SpoolUnwritable(self._spool, reason, what) from error
