"""Duration of an outage of the database, and the time of the next attempt."""

import time
from collections.abc import Callable

from quantum_forge.eventstore.base.errors import DatabaseUnavailable
from quantum_forge.eventstore.database.availability.outage import asked_pause, pause_after
from quantum_forge.runner.errors import DatabaseStayedAway


class LookupOutage:
    """Whether look-ups are impossible, and for how long they have been.

    Args:
        patience: seconds after which an outage is too long.
        on_wait: called once when an outage begins, with its reason.
    """

    def __init__(self, patience: float, on_wait: Callable[[str], None]) -> None:
        self._patience = patience
        self._on_wait = on_wait
        self._since: float | None = None
        self._attempts = 0
        self._next_try = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the last look-up was impossible."""
        return self._since is not None

    @property
    def is_too_early(self) -> bool:
        """Whether another try should wait."""
        return self.is_on and time.monotonic() < self._next_try

    def over(self) -> None:
        """A look-up was answered."""
        self._since = None
        self._attempts = 0

    def goes_on(self, error: Exception, *, may_end: bool) -> None:
        """A look-up was not answered.

        Raises:
            DatabaseStayedAway: when this has been so for too long, if it `may_end` the run.
            DatabaseUnavailable: the error itself, when waiting is of no use, if it `may_end` it.
        """
        if may_end and isinstance(error, DatabaseUnavailable) and error.is_lasting:
            raise error
        now = time.monotonic()
        self._attempts += 1
        self._next_try = now + max(pause_after(self._attempts), asked_pause(error))
        if self._since is None:
            self._since = now
            self._on_wait(str(error))
        if may_end and now - self._since >= self._patience:
            raise DatabaseStayedAway(now - self._since, str(error)) from error
