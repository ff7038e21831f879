"""Replies of any number of rows, and how many of them are sent at once.

Such a reply keeps a transaction for as long as its client takes to read it. So these transactions
have connections of their own, and are counted; the deadline of each part is in middleware.py.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from quantum_forge.web.rest.errors import RestError

RETRY_SECONDS = 5
"""After which a client that found no free export may ask again."""


class Exports:
    """Counts the replies that are being sent, of a process and of each tenant.

    Args:
        most: at the same time. Each tenant has half of them at most, so that another finds one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_tenant = max(1, most // 2)
        self._lock = threading.Lock()
        self._sent: Counter[UUID | None] = Counter()

    @contextmanager
    def one(self, tenant_id: UUID | None) -> Iterator[None]:
        """Count a reply for the length of a `with`.

        Raises:
            RestError: 503 where there are as many as may be.
        """
        with self._lock:
            if self._sent[tenant_id] >= self._most_of_tenant:
                raise _too_many(f"{self._most_of_tenant} of your tenant's")
            if self._sent.total() >= self._most:
                raise _too_many(f"all {self._most}")
            self._sent[tenant_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._sent[tenant_id] -= 1
                self._sent += Counter()  # without the tenants that have none


def _too_many(which: str) -> RestError:
    return RestError(
        503,
        "QF503",
        f"{which} streamed replies are being sent",
        hint="Read or close one, or send the request again later.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
