"""A limit on failures to come in, by the address that they come from."""

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from quantum_forge.web.rest.errors import RestError

MOST_FAILURES = 30
FAILURES_COUNT_FOR = 900.0
"""Failures from one address, within these seconds, after which it has to wait."""

MOST_ADDRESSES = 10_000
"""Addresses that are remembered; beyond them, the one whose last failure is longest ago is not."""

_NETWORK = 64
"""Bits of an IPv6 address that stand for one client, which chooses the others as it likes."""


class Throttle:
    """Counts failures; threads may share it.

    Args:
        what: failed, for the message, such as "failed logins".
        most: failures of an address that are answered.
        clock: what time it is, in s.
    """

    def __init__(
        self,
        what: str,
        *,
        most: int = MOST_FAILURES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._most = most
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, address: str | None) -> None:
        """Count a failure, or an attempt that may become one: see `forgive`.

        Raises:
            RestError: 429 when there were too many before; this one is not counted.
        """
        client, now = _client(address), self._clock()
        with self._lock:
            failures = self._failures.setdefault(client, deque())
            while failures and now - failures[0] > FAILURES_COUNT_FOR:
                failures.popleft()
            if len(failures) >= self._most:
                wait = max(1, round(FAILURES_COUNT_FOR - (now - failures[0])))
                raise RestError(
                    429,
                    "QF429",
                    f"too many {self._what} from this address",
                    headers={"Retry-After": str(wait)},
                )
            failures.append(now)
            self._failures.move_to_end(client)
            if len(self._failures) > MOST_ADDRESSES:
                self._failures.popitem(last=False)

    def forgive(self, address: str | None) -> None:
        """Take back what was counted last of an address: the attempt was no failure."""
        client = _client(address)
        with self._lock:
            if failures := self._failures.get(client):
                failures.pop()
                if not failures:
                    del self._failures[client]


def _client(address: str | None) -> str:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _NETWORK), strict=False).network_address)
