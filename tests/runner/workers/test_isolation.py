"""Items over which a worker crashes or hangs cost themselves, and nothing else."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from quantum_forge.runner.engines.tasks import Failed, Task
from quantum_forge.runner.workers.isolation import Isolation
from quantum_forge.runner.workers.pool import WorkerPool

MISBEHAVE = "tests.support.runner_functions:misbehave"
ECHO = "tests.support.runner_functions:echo"


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    """Two workers, which other tasks may use, too."""
    with WorkerPool(2, function=MISBEHAVE) as pool:
        yield pool


def results(pool: WorkerPool, isolation: Isolation[str, str], *items: str) -> list[str]:
    """What becomes of items, in order."""
    isolation.give(items)
    found: list[str] = []
    while isolation:
        for outcome in pool.wait(timeout=60):
            assert isolation.heed(outcome)
        found += isolation.taken(3)
    return found


def test_results_come_in_the_order_of_the_items(pool: WorkerPool) -> None:
    """Whichever worker is faster; `taken` gives at most as many as it is asked for."""
    isolation = Isolation[str, str](pool, ECHO, lambda item, _: f"lost {item}", portion=2)
    items = ["slow", *(f"item {number}" for number in range(9))]

    assert results(pool, isolation, *items) == items


def test_an_item_that_ends_its_worker_costs_only_itself(pool: WorkerPool) -> None:
    """A crash, an endless loop, a lack of memory and an exception, in one portion of good ones."""
    isolation = Isolation[str, str](
        pool, ECHO, lambda item, reason: f"{item}: {reason}", portion=10, timeout_s=3.0
    )

    found = results(pool, isolation, "a", "crash", "b", "hang", "c", "memory", "raise", "d")

    assert [each for each in found if ":" not in each] == ["a", "b", "c", "d"]
    assert found[1] == "crash: the worker crashed (SIGSEGV)"
    assert found[3] == "hang: it took longer than 3 s"
    assert found[5].startswith("memory: ")
    assert found[6] == "raise: the item said so"


def test_other_tasks_of_the_pool_are_left_to_their_owner(pool: WorkerPool) -> None:
    """A pool may be shared: what `heed` refuses is of somebody else."""
    isolation = Isolation[str, str](pool, ECHO, lambda *_: "lost")
    own = Task(id=uuid4(), smiles="ok")
    pool.submit(own)
    isolation.give(["item"])

    others: list[object] = []
    while isolation or not others:
        others += [each for each in pool.wait(timeout=60) if not isolation.heed(each)]
        isolation.taken(1)

    (outcome,) = others
    assert isinstance(outcome, Failed)
    assert outcome.task_id == own.id


def test_a_limit_of_memory_ends_with_the_portion() -> None:
    """A calculation in the same process may need more than the molecules before it."""
    with WorkerPool(1, function=MISBEHAVE) as pool:
        isolation = Isolation[str, str](
            pool, "tests.support.runner_functions:memory_limit", lambda *_: ""
        )
        (within,) = results(pool, isolation, "item")
        pool.submit(Task(id=uuid4(), smiles="limit"))
        (after,) = pool.wait(timeout=60)

    assert 0 < int(within) < 2**40
    assert isinstance(after, Failed)
    assert after.failure.message == "the limit is -1"
