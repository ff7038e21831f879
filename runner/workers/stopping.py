"""Ctrl-C, SIGTERM and the end of the terminal as a question that is asked between two steps."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Self

from quantum_forge.eventstore.base.stop_signals import leave_closed_terminal, stopping_signals

ATTENTION_SECONDS = 0.2
"""Seconds between two checks for a request to stop while workers calculate."""

INSISTENCE = 2.0
"""Seconds after which a second signal no longer waits for the present step to end."""


class StopRequest:
    """Whether somebody wants this process to stop; within a `with`, which restores the handlers.

    A step such as an append is never cut in two. Only who repeats the signal INSISTENCE s later, as
    when the database hangs, gets a KeyboardInterrupt at once. Outside the main thread, where Python
    delivers no signals, nobody ever asks.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._since = 0.0
        self._before: dict[int, object] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self) -> None:
        """Ask this process to stop, as SIGTERM does: somebody has asked from elsewhere."""
        if self.signal is None:
            self.signal = signal.SIGTERM
            self._since = time.monotonic()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in stopping_signals():
                self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            leave_closed_terminal()
        if self.signal is None:
            self.signal = number
            self._since = time.monotonic()
        elif time.monotonic() - self._since >= INSISTENCE:
            raise KeyboardInterrupt
