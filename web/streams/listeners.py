"""How many clients follow the log at the same time, of a process, a tenant, and a user."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from quantum_forge.web.rest.errors import RestError

RETRY_SECONDS = 10
"""After which a client that found no place may ask again."""


class Listeners:
    """Counts the streams of events that are open.

    Args:
        most: at the same time. A tenant has half of them at most, and a user a fifth, so that
            others find one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_tenant = max(1, most // 2)
        self._most_of_user = max(1, most // 5)
        self._lock = threading.Lock()
        self._tenants: Counter[UUID] = Counter()
        self._users: Counter[tuple[UUID, UUID | str]] = Counter()

    @property
    def number(self) -> int:
        """How many there are."""
        with self._lock:
            return self._tenants.total()

    @contextmanager
    def one(self, tenant_id: UUID, who: UUID | str) -> Iterator[None]:
        """Count a stream for the length of a `with`.

        Args:
            tenant_id: whose events.
            who: follows them: a user, or a token that stands for none.

        Raises:
            RestError: 429 where this user has as many as may be, else 503.
        """
        with self._lock:
            if self._users[tenant_id, who] >= self._most_of_user:
                raise _too_many(429, f"{self._most_of_user} of yours")
            if self._tenants[tenant_id] >= self._most_of_tenant:
                raise _too_many(503, f"{self._most_of_tenant} of your tenant's")
            if self._tenants.total() >= self._most:
                raise _too_many(503, f"all {self._most}")
            self._users[tenant_id, who] += 1
            self._tenants[tenant_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._users[tenant_id, who] -= 1
                self._tenants[tenant_id] -= 1
                self._users += Counter()  # without those that have none
                self._tenants += Counter()


def _too_many(status: int, which: str) -> RestError:
    return RestError(
        status,
        f"QF{status}",
        f"{which} streams of events are open",
        hint="Close one, or send the request again later.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
