"""A log as a recorder needs it: a database, or a store that somebody serves."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from quantum_forge.eventstore.base.envelope import NewEvent, Placed
from quantum_forge.eventstore.recording.log_reader import LogReader


class Store(Protocol):
    """Takes appends of one tenant, and answers questions about its log; threads may share it.

    Its errors are those of `Recorder.record_all`: one of `REFUSALS` where the log has decided, one
    of `AWAY` where it did not answer, so that the same append may arrive later. An event id is
    appended once, however often the append is repeated.
    """

    @property
    def where(self) -> str:
        """The address, for messages."""

    def append(
        self,
        events: Sequence[NewEvent],
        *,
        rules: bool,
        by_action: bool = False,
        seconds: float | None = None,
    ) -> list[Placed]:
        """Append events, all or none; on return they survive a crash.

        Args:
            events: of the tenant.
            rules: whether the lifecycle of each entity is checked.
            by_action: whether an action on accounts records them.
            seconds: that this may take; None for as long as it takes.
        """

    def append_spooled(self, wire: bytes, seconds: float) -> None:
        """Append what a spool holds, by the rules if it says so, within so many seconds."""

    def reading(self) -> AbstractContextManager[LogReader]:
        """Return a reader of the log for the length of a `with`."""

    def close(self) -> None:
        """Close the connections; the next call would open others."""
