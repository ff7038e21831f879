"""Group commit: the first idle caller sends for every waiting caller.

While one group of calls is being sent, the next one gathers. The leader sends the calls of the
others with its own, then the first caller of the next group leads. A lone thread leads at once and
does not wait.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Call(Generic[Question, Answer]):
    """One call: its question, and its own answer or its own error."""

    __slots__ = ("_told", "answer", "error", "leads", "question")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.leads = False
        # A plain lock wakes a thread in a third of the time that an Event takes.
        self._told = threading.Lock()
        self._told.acquire()

    @property
    def is_settled(self) -> bool:
        """Whether it has its answer or its error."""
        return self.answer is not None or self.error is not None

    def wait(self) -> None:
        """Until it is settled, or is to lead."""
        self._told.acquire()

    def tell(self) -> None:
        """End its wait."""
        self._told.release()


class Together(Generic[Question, Answer]):
    """Has calls of several threads answered in groups, one group at a time.

    Args:
        answer: settles every call of a group. If it raises, those that it left unsettled are tried
            again with the next group, but for the first, whose thread it ran in.
        keys: of a question; calls with a key in common never share a group, and keep their order.
        size: of a question.
        largest: size of a group, unless one question alone is larger.
    """

    def __init__(
        self,
        answer: Callable[[list[Call[Question, Answer]]], None],
        *,
        keys: Callable[[Question], set[Hashable]],
        size: Callable[[Question], int],
        largest: int,
    ) -> None:
        self._answer = answer
        self._keys = keys
        self._size = size
        self._largest = largest
        self._lock = threading.Lock()
        self._is_led = False
        self._waiting: deque[Call[Question, Answer]] = deque()

    def ask(self, question: Question) -> Answer:
        """Its answer; raises its error."""
        call: Call[Question, Answer] = Call(question)
        try:
            with self._lock:
                if self._is_led:
                    self._waiting.append(call)
                else:
                    self._is_led = call.leads = True
            if not call.leads:
                call.wait()
            if not call.is_settled:
                self._lead(call)
        except BaseException:  # Ctrl-C, too: no caller may wait for this thread
            self._withdraw(call)
            raise
        if call.error is not None:
            raise call.error
        assert call.answer is not None
        return call.answer

    def _lead(self, call: Call[Question, Answer]) -> None:
        group = [call]
        try:
            if self._waiting:
                group += self._gathered(call)
            self._answer(group)
        finally:
            with self._lock:
                self._waiting.extendleft(
                    each for each in reversed(group[1:]) if not each.is_settled
                )
                self._hand_over(call)
            for each in group[1:]:
                if each.is_settled:
                    each.tell()

    def _gathered(self, call: Call[Question, Answer]) -> list[Call[Question, Answer]]:
        """Those that wait and can go with `call`, taken out of the queue."""
        keys, size = self._keys(call.question), self._size(call.question)
        group: list[Call[Question, Answer]] = []
        with self._lock:
            left: deque[Call[Question, Answer]] = deque()
            for each in self._waiting:
                its_keys = self._keys(each.question)
                size += self._size(each.question)
                if size <= self._largest and keys.isdisjoint(its_keys):
                    group.append(each)
                else:
                    left.append(each)
                keys |= its_keys
            self._waiting = left
        return group

    def _withdraw(self, call: Call[Question, Answer]) -> None:
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
            elif call.leads:
                self._hand_over(call)

    def _hand_over(self, leader: Call[Question, Answer]) -> None:
        """Let the first that waits lead, under the lock."""
        leader.leads = False
        if self._waiting:
            successor = self._waiting.popleft()
            successor.leads = True
            successor.tell()
        else:
            self._is_led = False
