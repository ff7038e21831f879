"""Sessions of browsers: whose token a cookie has, as the log knows it."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from quantum_forge.eventstore.actions.accounts.sessions import ResumedSession, Sessions
from quantum_forge.eventstore.base.errors import NotLetIn, RuleBroken
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.hashing import hash_token
from quantum_forge.web.auth.remembered import Remembered

_EXTENDED_AFTER = timedelta(hours=1)
"""After which the use of a session by a browser is recorded again."""


class Browsers:
    """Finds the session of a token; threads may share it.

    Args:
        recorder: returns the recorder of a tenant.
    """

    def __init__(self, recorder: Callable[[UUID], Recorder]) -> None:
        self._recorder = recorder
        self._known: Remembered[str, ResumedSession | None] = Remembered()

    def session(self, token: Secret, author: Author) -> ResumedSession | None:
        """Return the open session of a token; None: it has ended, or there never was one.

        A session that is used lives on: that is recorded once an hour.

        Args:
            token: in the cookie.
            author: where the request comes from, and in which tenant sessions are opened.
        """
        sessions = Sessions(self._recorder(author.tenant_id).acting_as(author))

        def read() -> ResumedSession | None:
            try:
                found = sessions.recognise(token)
            except NotLetIn:
                return None
            if found.expires_at - sessions.clock() < sessions.lifetime - _EXTENDED_AFTER:
                with contextlib.suppress(RuleBroken):  # it ends this very moment
                    sessions.touch(found.id)
            return found

        return self._known.get(hash_token(token), read, unless=lambda known: known is None)
