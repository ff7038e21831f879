"""Writers side by side: processes, or threads of a process that share what they write with."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

Write = Callable[[], int]
"""Appends once, durably, and returns the number of events."""

OpenWriter = Callable[[], AbstractContextManager[Write]]
"""Makes a writer with a connection of its own; called in the process that it writes in."""

LEAD = 0.02
"""Seconds between the signal and the start, so that all start at once."""


class Writers:
    """Processes that stand ready to write for a while, as often as they are told to.

    Args:
        open_writer: makes the writer of a process.
        count: of processes.
        threads: of each process, all of which use its writer at the same time.
    """

    def __init__(self, open_writer: OpenWriter, count: int, *, threads: int = 1) -> None:
        # A fork has the modules already; nothing here has threads or connections at this time.
        context = multiprocessing.get_context("fork")
        self._ends: list[Connection] = []
        self._processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_write, args=(open_writer, threads, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)
        for end in self._ends:
            end.recv()

    def run(self, seconds: float) -> float:
        """Let all of them write for a while; return how many events a second they appended."""
        start = time.monotonic() + LEAD
        for end in self._ends:
            end.send((start, start + seconds))
        written: list[tuple[int, float]] = [end.recv() for end in self._ends]
        return sum(events / elapsed for events, elapsed in written)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for end in self._ends:
            end.send(None)
        for process in self._processes:
            process.join()


def _write(open_writer: OpenWriter, threads: int, commands: Connection) -> None:
    with ExitStack() as stack:
        write = stack.enter_context(open_writer())
        pool = stack.enter_context(ThreadPoolExecutor(threads))

        def write_until(stop: float) -> int:
            events = 0
            while time.monotonic() < stop:
                events += write()
            return events

        for _ in range(5):
            write()  # connections are opened, plans made, modules loaded
        commands.send(None)
        while (window := commands.recv()) is not None:
            start, stop = window
            time.sleep(max(0.0, start - time.monotonic()))
            began = time.monotonic()
            if threads == 1:
                events = write_until(stop)
            else:
                events = sum(pool.map(write_until, [stop] * threads))
            commands.send((events, time.monotonic() - began))
