"""Actions on browser sessions: open, save the state, resume, close."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Uuid, bindparam, text

from quantum_forge.eventstore.actions.accounts.denials import record_denied, record_unknown
from quantum_forge.eventstore.actions.accounts.users import ended_with, require_active
from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import NotLetIn, RuleBroken
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.domain import Domain, happens
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.eventstore.security.hashing import hash_token, token_matches
from quantum_forge.schema.domains.access import (
    SessionClosed,
    SessionExpired,
    SessionExtended,
    SessionOpened,
    SessionStateSaved,
)
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.identity import natural_id

LIFETIME = timedelta(days=7)
"""For how long a session that nobody uses can be resumed."""

GRACE = timedelta(seconds=10)
"""For how long a refresh token is taken once more after it was replaced, as Supabase does."""

_EXTENDED = text("""
    SELECT count(*), max(occurred_at) FROM event_logs
     WHERE tenant_id = :tenant_id AND entity_type = 'session' AND entity_id = :id
       AND event_type = 'session_extended'
""").bindparams(*(bindparam(name, type_=Uuid) for name in ("tenant_id", "id")))

_UNKNOWN = "unknown session"

STATE = SessionStateSaved.__struct_fields__

_OPENED = text("""
    SELECT entity_id FROM event_logs
     WHERE tenant_id = :tenant_id AND event_type = 'session_opened'
       AND data ->> 'user_id' = CAST(:user_id AS text)
     ORDER BY id
""").bindparams(*(bindparam(name, type_=Uuid) for name in ("tenant_id", "user_id")))


class OpenedSession(msgspec.Struct, frozen=True):
    """A new session; the token goes to the browser, and is nowhere else."""

    id: UUID
    token: Secret
    expires_at: datetime


class ResumedSession(msgspec.Struct, frozen=True):
    """A session to which a browser came back. state: the fields of `SessionStateSaved` as JSON."""

    id: UUID
    user_id: UUID
    expires_at: datetime
    state: dict[str, Any]


class Rotated(msgspec.Struct, frozen=True):
    """A session to which a client came back, and the generation of its next refresh token."""

    session: ResumedSession
    generation: int


class Sessions(Domain):
    """Sessions are found by their token's hash in the log itself, so that none is ever behind.

    Args:
        recorder: on whose behalf; its spool is not used.
        lifetime: for how long a session that nobody uses can be resumed.
        clock: what time it is.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        lifetime: timedelta = LIFETIME,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(recorder)
        self.lifetime = lifetime
        self.clock = clock

    save_state = happens(SessionStateSaved)
    close = happens(SessionClosed)
    expire = happens(SessionExpired)

    def open(self, user_id: UUID, /) -> OpenedSession:
        """Let a browser in whose user has logged in.

        Raises:
            RuleBroken: when there is no such user, or it is not active.
        """
        token = Secret.random()
        expires_at = self.clock() + self.lifetime
        event = SessionOpened(user_id=user_id, token_hash=hash_token(token), expires_at=expires_at)
        session_id = self._id(token)
        self.record((session_id, event))
        return OpenedSession(session_id, token, expires_at)

    def close_all(self, user_id: UUID, /, *, but: UUID | None = None) -> list[UUID]:
        """Record that a user signed out everywhere; returns the sessions that were open.

        Args:
            user_id: whose.
            but: a session that stays open.
        """
        closed: list[UUID] = []

        def decide(connection: Connection) -> list[NewEvent]:
            parameters = {"tenant_id": self.author.tenant_id, "user_id": user_id}
            opened = connection.scalars(_OPENED, parameters)
            streams = [self._stream(each) for each in opened if each != but]
            states = read_standings(connection, streams)
            closed[:] = [each.entity_id for each in streams if states[each].state == "open"]
            return [self._checked(connection, each, SessionClosed()) for each in closed]

        self.recorder.for_action().decide(decide)
        return closed

    def touch(self, session_id: UUID, /) -> Placed:
        """Record that the user is still there; the session lives on. At intervals is enough.

        Raises:
            RuleBroken: when the session has ended.
        """
        event = SessionExtended(expires_at=self.clock() + self.lifetime)
        return self.record((session_id, event))[0]

    def resume(self, token: Secret) -> ResumedSession:
        """Let a browser in that comes back with its token, and tell it what it last saved.

        Raises:
            NotLetIn: when there is no such session, it has ended, its user is not active, was
                deactivated or has changed the password since; the attempt is recorded, at most
                once a minute.
        """
        session_id = self._id(token)
        with self.engine.connect() as connection:
            known = latest_values(connection, self._stream(session_id), ["token_hash", "user_id"])
            if known["token_hash"] is None or not token_matches(token, known["token_hash"]):
                reason: str | None = _UNKNOWN
            else:
                user_id = UUID(known["user_id"])
                reason = ended_with(connection, user_id, self._stream(session_id))
        if reason is not None:
            self._deny(session_id, reason)
        try:
            self.touch(session_id)
        except RuleBroken as broken:
            self._deny(session_id, f"{broken.entity.partition(' ')[0]} is {broken.state}")
        with self.engine.connect() as connection:
            latest = latest_values(connection, self._stream(session_id), [*STATE, "expires_at"])
        expires_at = datetime.fromisoformat(latest.pop("expires_at"))
        return ResumedSession(session_id, user_id, expires_at, latest)

    def refuse(self, token: Secret) -> NoReturn:
        """Record that somebody came with a token that no session has given out.

        Raises:
            NotLetIn: always.
        """
        self._deny(self._id(token), _UNKNOWN)

    def rotate(self, session_id: UUID, generation: int) -> Rotated:
        """Let somebody in who comes back with one of a session's refresh tokens: each works once.

        A token that was used before is one that somebody else has, too: the session is closed. The
        one before the present is taken for `GRACE`, as the reply that replaced it may be lost, or
        two windows of a browser may have sent it.

        Args:
            session_id: whose token is genuine.
            generation: of the token; the first is 0.

        Raises:
            NotLetIn: see `resume`; also where the token was used before.
        """
        stream = self._stream(session_id)
        now_at = generation
        is_reused = False

        def decide(connection: Connection) -> list[NewEvent]:
            nonlocal now_at, is_reused
            # First: what is counted afterwards may be newer, and an append at this version fails.
            standing = read_standings(connection, [stream])[stream]
            if standing.state != "open":
                raise RuleBroken(str(stream), standing.state, "session_extended", ("open",))
            event = SessionExtended(expires_at=self.clock() + self.lifetime)
            extension = self._checked(connection, session_id, event)
            row = connection.execute(_EXTENDED, {"tenant_id": stream.tenant_id, "id": session_id})
            now_at, last = row.one()
            is_reused = generation != now_at
            if is_reused:
                is_recent = last is not None and self.clock() - last <= GRACE
                is_reused = not (is_recent and generation == now_at - 1)
                return []
            return [msgspec.structs.replace(extension, expected_version=standing.version)]

        with self.engine.connect() as connection:
            known = latest_values(connection, stream, ["user_id"])
            if known["user_id"] is None:
                reason: str | None = _UNKNOWN
            else:
                user_id = UUID(known["user_id"])
                reason = ended_with(connection, user_id, stream)
        if reason is not None:
            self._deny(session_id, reason)
        try:
            extended = self.recorder.for_action().decide(decide)
            if is_reused:
                self.record((session_id, SessionClosed()))
                self._deny(session_id, "a refresh token was used again: the session is closed")
        except RuleBroken as broken:
            self._deny(session_id, f"{broken.entity.partition(' ')[0]} is {broken.state}")
        with self.engine.connect() as connection:
            latest = latest_values(connection, stream, [*STATE, "expires_at"])
        expires_at = datetime.fromisoformat(latest.pop("expires_at"))
        resumed = ResumedSession(session_id, user_id, expires_at, latest)
        return Rotated(resumed, now_at + len(extended))

    def recognise(self, token: Secret) -> ResumedSession:
        """Return the open session of a token, without its state; nothing is recorded.

        Raises:
            NotLetIn: when there is no such session, or it has ended.
        """
        stream = self._stream(self._id(token))
        with self.engine.connect() as connection:
            known = latest_values(connection, stream, ["token_hash", "user_id", "expires_at"])
            if known["token_hash"] is None or not token_matches(token, known["token_hash"]):
                raise NotLetIn("session", _UNKNOWN)
            user_id, expires_at = (
                UUID(known["user_id"]),
                datetime.fromisoformat(known["expires_at"]),
            )
            state = read_standings(connection, [stream])[stream].state
            ended = state if state != "open" else ended_with(connection, user_id, stream)
        if ended is None and expires_at <= self.clock():
            ended = "expired"
        if ended is not None:
            raise NotLetIn("session", f"it has ended: {ended}")
        return ResumedSession(stream.entity_id, user_id, expires_at, {})

    def knows(self, token: Secret) -> bool:
        """Whether a token belongs to a session, open or not."""
        session_id = self._id(token)
        with self.engine.connect() as connection:
            known = latest_values(connection, self._stream(session_id), ["token_hash"])
        return known["token_hash"] is not None and token_matches(token, known["token_hash"])

    def record(self, *happened: tuple[UUID, Event]) -> list[Placed]:
        """Record what happened to sessions, by the rules, as one atomic append.

        Raises:
            AccessRefused: when one is somebody else's, and the author is no admin.
            RuleBroken: when one has ended or expired, or its user is not active.
            EventRefused: when a field does not fit.
        """

        def decide(connection: Connection) -> list[NewEvent]:
            return [self._checked(connection, id_, event) for id_, event in happened]

        return self.recorder.for_action().decide(decide)

    def _checked(self, connection: Connection, session_id: UUID, event: Event) -> NewEvent:
        """The event, which may happen; who uses the session did it, unless the author says who."""
        user_id: UUID | None = getattr(event, "user_id", None)
        if user_id is None:
            latest = latest_values(connection, self._stream(session_id), ["expires_at", "user_id"])
            user_id = latest["user_id"] and UUID(latest["user_id"])
            if user_id and isinstance(event, SessionStateSaved | SessionExtended):
                self._require_time(session_id, latest["expires_at"], event)
                require_active(connection, self.author.tenant_id, user_id, event.event_type)
        elif isinstance(event, SessionOpened):
            require_active(connection, self.author.tenant_id, user_id, event.event_type)
        author = msgspec.structs.replace(self.author, user_id=self.author.user_id or user_id)
        new = author.new(session_id, event)
        if author.user_id != user_id or event.entity_type != SessionOpened.entity_type:
            self.recorder.permissions.require([new])
        return new

    def _require_time(self, session_id: UUID, expires_at: str, event: Event) -> None:
        if datetime.fromisoformat(expires_at) <= self.clock():
            raise RuleBroken(str(self._stream(session_id)), "expired", event.event_type, ("open",))

    def _deny(self, session_id: UUID, reason: str) -> NoReturn:
        denied = AccessDenied(
            action="session_resume", reason=reason, target_type="session", target_id=session_id
        )
        record = record_unknown if reason == _UNKNOWN else record_denied
        record(self.recorder, denied, session_id)
        raise NotLetIn("session", reason)

    def _id(self, token: Secret) -> UUID:
        return natural_id("session", self.author.tenant_id, hash_token(token))

    def _stream(self, session_id: UUID) -> Stream:
        return self.stream(SessionOpened.entity_type, session_id)
