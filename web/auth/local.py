"""Signing in without a password on the machine where the server runs: the link of `qforge ui`.

The link has a random token that only this process knows. It is valid once and for a short time, and
whoever opens it acts as the user who started the process.
"""

import threading
import time
from collections.abc import Callable

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.security.hashing import hash_token

LINK_SECONDS = 600.0
"""For which the link is valid."""


class LocalSignIn:
    """The links and sessions of one process; threads may share it.

    Args:
        clock: what time it is, in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: dict[str, float] = {}
        self._sessions: set[str] = set()
        self._lock = threading.Lock()

    def link(self) -> Secret:
        """Return a token that lets a browser in once."""
        token = Secret.random()
        with self._lock:
            self._links[hash_token(token)] = self._clock() + LINK_SECONDS
        return token

    def redeem(self, token: Secret) -> Secret | None:
        """Return the token of a new session for that of a link; None: it is not valid."""
        with self._lock:
            until = self._links.pop(hash_token(token), None)
            if until is None or until < self._clock():
                return None
            session = Secret.random()
            self._sessions.add(hash_token(session))
        return session

    def knows(self, session: Secret) -> bool:
        """Whether a session is open."""
        with self._lock:
            return hash_token(session) in self._sessions

    def end(self, session: Secret) -> None:
        """End a session."""
        with self._lock:
            self._sessions.discard(hash_token(session))
