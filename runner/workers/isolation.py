"""A function applied to many items in worker processes, where one item may crash or never end."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, cast
from uuid import UUID

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.runner.engines.tasks import Failed, Lost, Outcome, Portion, PortionDone, Task
from quantum_forge.runner.workers.pool import WorkerPool

Item = TypeVar("Item")
Result = TypeVar("Result")

PORTION = 25
"""Items that a worker takes at once: sending one costs as much as identifying a small molecule."""

TIMEOUT_SECONDS = 60.0
"""For a portion, and for one item that is run again alone. The largest molecules that the limits
allow take 5 s; what takes longer is a search without end."""

MEMORY_BYTES = 2 * 2**30
"""Bytes of memory for a portion; the largest molecules need less than 200 MB."""


class _Slot(Generic[Item, Result]):
    """An item, and what became of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: list[Result] = []


class Isolation(Generic[Item, Result]):
    """Items in, results out, in the same order; each item costs at most itself.

    Portions of items run in the workers of a pool, which may run other tasks, too. When a worker
    crashes, takes too long, or the function raises, the items of its portion are run again one by
    one, so that the failure is that of one item.

    Args:
        function: item → result, as `module:name`, which the workers import.
        blame: item, reason → result: the result of an item that ended its worker.
        portion: how many items a worker takes at once.
        timeout_s: for a portion, and for one item.
    """

    def __init__(
        self,
        pool: WorkerPool,
        function: str,
        blame: Callable[[Item, str], Result],
        *,
        portion: int = PORTION,
        timeout_s: float = TIMEOUT_SECONDS,
    ) -> None:
        self._pool = pool
        self._function = function
        self._blame = blame
        self._portion = portion
        self._timeout = timeout_s
        self._slots: deque[_Slot[Item, Result]] = deque()
        self._running: dict[UUID, list[_Slot[Item, Result]]] = {}

    def __len__(self) -> int:
        """How many items were given whose results were not taken."""
        return len(self._slots)

    def give(self, items: Iterable[Item]) -> None:
        """Queue items."""
        slots = [_Slot[Item, Result](item) for item in items]
        self._slots += slots
        for start in range(0, len(slots), self._portion):
            self._submit(slots[start : start + self._portion])

    def heed(self, outcome: object) -> bool:
        """Take note of an outcome of the pool; False where it is of another task."""
        ended = cast("Outcome | PortionDone", outcome)
        slots = self._running.pop(ended.task_id, None)
        if slots is None:
            return False
        if isinstance(ended, PortionDone):
            for slot, result in zip(slots, ended.results, strict=True):
                slot.results.append(cast(Result, result))
        elif len(slots) > 1:
            for slot in slots:
                self._submit([slot])
        else:
            (slot,) = slots
            slot.results.append(self._blame(slot.item, self._reason(ended)))
        return True

    def taken(self, most: int) -> list[Result]:
        """Remove and return the first results, as far as they are there, at most so many."""
        results: list[Result] = []
        while self._slots and self._slots[0].results and len(results) < most:
            results += self._slots.popleft().results
        return results

    def _submit(self, slots: list[_Slot[Item, Result]]) -> None:
        portion = Portion(
            id=uuid7(),
            function=self._function,
            items=tuple(slot.item for slot in slots),
            memory_bytes=MEMORY_BYTES,
            timeout_s=self._timeout,
        )
        self._running[portion.id] = slots
        # A pool runs anything that has an id and a timeout.
        self._pool.submit(cast(Task, portion))

    def _reason(self, outcome: Outcome) -> str:
        match outcome:
            case Failed(failure=failure) if failure.error_code == "TIMEOUT":
                return f"it took longer than {self._timeout:g} s"
            case Failed(failure=failure) | Lost(failure=failure):
                return failure.message
        raise AssertionError(f"a portion cannot end as {outcome}")
