"""Calls answered together: each gets its own, whoever leads, fails or gives up."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain

import pytest

from quantum_forge.eventstore.log.group_commit import Call, Together
from tests.support.campaigns import until

Doubling = Call[int, int]


class Doubler:
    """Answers a number with its double, when it is let; notes the groups."""

    def __init__(self, largest: int = 100) -> None:
        self.groups: list[list[int]] = []
        self.begun = threading.Event()
        self.may_answer = threading.Event()
        self.fails_with: BaseException | None = None
        self.together: Together[int, int] = Together(
            self._answer,
            keys=lambda number: {number % 10},
            size=lambda _: 1,
            largest=largest,
        )

    def _answer(self, group: list[Doubling]) -> None:
        self.groups.append([call.question for call in group])
        self.begun.set()
        assert self.may_answer.wait(30)
        if self.fails_with is not None:
            error, self.fails_with = self.fails_with, None
            raise error
        for call in group:
            if call.question < 0:
                call.error = ValueError(f"{call.question} is negative")
            else:
                call.answer = 2 * call.question

    def gather(self, pool: ThreadPoolExecutor, numbers: list[int]) -> list[Future[int]]:
        """Ask the first, and, once that is on its way, the others, one after the other."""
        asked = [pool.submit(self.together.ask, numbers[0])]
        assert self.begun.wait(30)
        for number in numbers[1:]:
            waiting = len(self.together._waiting)
            asked.append(pool.submit(self.together.ask, number))
            until(partial(self._has_more_than, waiting), "the call waits")
        return asked

    def _has_more_than(self, waiting: int) -> bool:
        return len(self.together._waiting) > waiting


def test_what_comes_while_a_group_is_on_its_way_goes_together_next() -> None:
    """Each call gets its own answer or its own error."""
    doubler = Doubler()
    with ThreadPoolExecutor(8) as pool:
        # Given: three calls that came while the first was on its way
        first, *others = doubler.gather(pool, [1, 2, -3, 4])

        # When: that is answered
        doubler.may_answer.set()

        # Then: they went together, and nobody got what is another's
        assert first.result(30) == 2
        assert others[0].result(30) == 4
        with pytest.raises(ValueError, match="-3"):
            others[1].result(30)
        assert others[2].result(30) == 8
    assert doubler.groups == [[1], [2, -3, 4]]


def test_calls_with_a_key_in_common_go_one_after_the_other_in_order() -> None:
    """Nor does a third overtake a second that it shares a key with."""
    doubler = Doubler()
    with ThreadPoolExecutor(8) as pool:
        asked = doubler.gather(pool, [1, 2, 12, 3, 22])
        doubler.may_answer.set()
        assert [each.result(30) for each in asked] == [2, 4, 24, 6, 44]
    assert doubler.groups == [[1], [2, 3], [12], [22]]


def test_a_group_has_a_largest_size() -> None:
    """What does not fit goes with the next."""
    doubler = Doubler(largest=2)
    with ThreadPoolExecutor(8) as pool:
        asked = doubler.gather(pool, [1, 2, 3, 4])
        doubler.may_answer.set()
        assert [each.result(30) for each in asked] == [2, 4, 6, 8]
    assert doubler.groups == [[1], [2, 3], [4]]


def test_those_who_waited_for_a_leader_that_failed_are_answered_all_the_same() -> None:
    """Ctrl-C strikes the thread that works for the others."""
    doubler = Doubler()
    with ThreadPoolExecutor(8) as pool:
        # Given: a group of three on its way
        first, second, third, fourth = doubler.gather(pool, [1, 2, 3, 4])
        doubler.fails_with = KeyboardInterrupt()
        doubler.may_answer.set()

        # When: its leader is interrupted, then the next one, too
        with pytest.raises(KeyboardInterrupt):
            first.result(30)

        # Then: the others have their answers
        assert [each.result(30) for each in (second, third, fourth)] == [4, 6, 8]
    assert doubler.together.ask(5) == 10


def test_whoever_gives_up_waiting_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C strikes a thread that waits."""
    doubler = Doubler()
    with ThreadPoolExecutor(8) as pool:
        # Given: a call on its way, and a second that is interrupted while it waits
        (first,) = doubler.gather(pool, [1])

        def interrupted(_: Doubling) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Call, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                doubler.together.ask(2)

        # When: the first is answered
        doubler.may_answer.set()
        assert first.result(30) == 2

        # Then: the second was never sent, and a third is answered
        assert doubler.together.ask(3) == 6
    assert doubler.groups == [[1], [3]]


def test_many_threads_lose_no_call() -> None:
    """Whoever leads when, each call is answered once."""
    doubler = Doubler()
    doubler.may_answer.set()

    def ask(start: int) -> list[int]:
        return [doubler.together.ask(number) for number in range(start, 2000, 8)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(chain(*answers)) == [2 * number for number in range(2000)]
    assert sorted(chain(*doubler.groups)) == list(range(2000))
