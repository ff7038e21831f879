"""Answers of the log that are trusted for some seconds."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

TRUSTED_FOR = 5.0
"""Seconds after which the log is asked again whether a key, session or account still lets in."""

MARGIN = 0.5
"""Seconds before that in which an answer is not `peek`ed at: it may be too old when it is used."""

_MOST = 10_000

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Remembered(Generic[_Key, _Value]):
    """Answers that are trusted for `TRUSTED_FOR` seconds, a bounded number of them."""

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[float, _Value]] = {}
        self._lock = threading.Lock()

    def get(
        self,
        key: _Key,
        read: Callable[[], _Value],
        *,
        unless: Callable[[_Value], bool] = lambda _: False,
    ) -> _Value:
        """Return the answer for a key, which is read when it is unknown or too old.

        `unless` says which answers are not remembered.
        """
        now = time.monotonic()
        with self._lock:
            known = self._known.get(key)
        if known is not None and now - known[0] < TRUSTED_FOR:
            return known[1]
        value = read()
        if unless(value):
            return value
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (now, value)
        return value

    def peek(self, key: _Key) -> _Value | None:
        """Return the answer for a key if it is known, and will be for a while; reads nothing."""
        with self._lock:
            known = self._known.get(key)
        if known is None or time.monotonic() - known[0] >= TRUSTED_FOR - MARGIN:
            return None
        return known[1]

    def forget(self, key: _Key) -> None:
        """Read the answer for a key again when it is next wanted."""
        with self._lock:
            self._known.pop(key, None)
