"""A cache of pages that several processes share: Redis or Valkey, where QFORGE_CACHE_URL names one.

Nothing depends on it: while it is away, requests are answered from the database, and it is asked
again after a pause. Whoever may write to it decides what is read from it, so it belongs to the
server alone.
"""

import hashlib
import sys
import threading
import time
from typing import Any

from sqlalchemy import Connection, text

from quantum_forge.eventstore.base.errors import InvalidSetting, MissingLibrary
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.availability.outage import pause_after

VARIABLE = "QFORGE_CACHE_URL"

TIMEOUT = 0.1
"""Seconds that the cache may take for each step of an answer; a database is that fast, too."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds for which a cache that did not answer is not asked."""

LARGEST = 2**20
"""Bytes of a page that is kept."""

_IDENTITY = text("""
    SELECT concat_ws(':', s.system_identifier, d.oid)
      FROM pg_control_system() AS s, pg_database AS d WHERE d.datname = current_database()
""")


class SharedPages:
    """Pages by key; threads may share it.

    Args:
        url: redis://, rediss:// or unix://, with the password of the cache.
        identity: of the database, so that several can share a cache.
        seconds: for which a page is kept.

    Raises:
        MissingLibrary: when redis is not installed.
        InvalidSetting: when it is not such a URL.
    """

    def __init__(self, url: Secret, identity: str, seconds: int) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingLibrary(VARIABLE, error.name or "redis", "cache") from None
        try:
            self._redis: Any = redis.Redis.from_url(
                url.reveal(),
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise InvalidSetting(
                VARIABLE, "must be redis://HOST:6379/0, rediss://… or unix:///PATH"
            ) from None
        self._away = redis.RedisError
        self._prefix = f"qforge:{identity}:"
        self._seconds = seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    def get(self, key: str) -> bytes | None:
        """Return the page with a key; None where there is none, or the cache is away."""
        found = self._asked(lambda: self._redis.get(self._prefix + key))
        return found if isinstance(found, bytes) else None

    def put(self, key: str, page: bytes) -> None:
        """Keep a page, unless it is large or the cache is away."""
        if len(page) <= LARGEST:
            self._asked(lambda: self._redis.set(self._prefix + key, page, ex=self._seconds))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _asked(self, ask: Any) -> object:
        if time.monotonic() < self._until:
            return None
        try:
            answer = ask()
        except (self._away, OSError) as error:
            self._failed(type(error).__name__)
            return None
        if self._failures:
            with self._lock:
                self._failures, self._until = 0, 0.0
            _say("the cache answers again")
        return answer

    def _failed(self, name: str) -> None:
        with self._lock:
            if time.monotonic() < self._until:
                return  # another request has found it, too
            self._failures += 1
            first = self._failures == 1
            self._until = time.monotonic() + pause_after(
                self._failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE
            )
        if first:
            _say(f"the cache does not answer ({name}): pages come from the database")


def database_identity(connection: Connection) -> str:
    """Return what no other database has: two of them may be in the same state."""
    found = str(connection.scalar(_IDENTITY))
    return hashlib.sha256(found.encode()).hexdigest()[:16]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
