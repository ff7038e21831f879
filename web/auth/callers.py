"""Callers: for whom a request acts, in which tenant, and by which role of the database it reads."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Engine, Uuid, text

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys, KeyHolder
from quantum_forge.eventstore.actions.accounts.users import ended_with
from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import NotLetIn
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.person import Person, read_person
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.access import SessionOpened
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.permissions import POWER
from quantum_forge.web.auth.tokens import Tokens, refused
from quantum_forge.web.rest.errors import RestError

TRUSTED_FOR = 5.0
"""Seconds after which the log is asked again whether a key, session or account still lets in."""

READ, WRITE = "read", "write"
"""Scopes of an API key; a key without scopes may do what its user may."""

_KEY = "qf_"
_PREFIX = len(_KEY) + 8
READER, AUDITOR = "qforge_reader", "qforge_auditor"
"""Database roles by which requests read: the tables, and the log as well."""


_TENANTS = text(
    "SELECT DISTINCT tenant_id FROM user_api_keys WHERE prefix = :prefix AND revoked_at IS NULL"
    " LIMIT 20"
).columns(tenant_id=Uuid)

_MOST_REMEMBERED = 10_000

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request.

    tenant_id: whose rows are seen; None: nobody's. user_id: who acts; None: no user. power: what
    the user may do at most; None: nothing that needs a role. database_role: by which it reads.
    scopes: that its key is limited to; None: no limit. claims: what the database is told of it.
    name: for the access log.
    """

    tenant_id: UUID | None
    user_id: UUID | None = None
    power: Role | None = None
    database_role: str
    scopes: frozenset[str] | None = None
    claims: Mapping[str, Any] = {}
    name: str = "anonymous"

    @property
    def is_anonymous(self) -> bool:
        """Whether it came without a key or token."""
        return self.name == "anonymous"

    def may(self, needed: Role, scope: str) -> bool:
        """Whether it may do what needs a role, and a scope of its key."""
        if self.scopes is not None and scope not in self.scopes:
            return False
        return self.power is not None and POWER[self.power] >= POWER[needed]

    def require(self, needed: Role, scope: str, what: str) -> None:
        """Refuse what the caller may not do.

        Raises:
            RestError: 401 of an anonymous caller, else 403; 42501, as PostgreSQL says it.
        """
        if self.may(needed, scope):
            return
        if self.is_anonymous:
            raise RestError(
                401,
                "42501",
                f"permission denied: {what} requires a key or a token",
                hint="Send Authorization: Bearer KEY, with a key from qforge users key.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self.scopes is not None and scope not in self.scopes:
            missing = f"the scope {scope} of the API key"
        else:
            missing = f"the role {needed}, and yours is {self.power or 'none'}"
        raise RestError(403, "42501", f"permission denied: {what} requires {missing}")

    def as_auditor(self, what: str) -> "Caller":
        """Return the caller as one who reads the log of its tenant, too.

        Raises:
            RestError: 401 or 403 of somebody who is no user and has a lesser role.
        """
        if self.user_id is None and self.database_role != AUDITOR:
            missing = msgspec.structs.replace(self, power=None)
            missing.require(Role.VIEWER, READ, what)
        return msgspec.structs.replace(self, database_role=AUDITOR)


class Callers:
    """Finds out who sends a request; threads may share it.

    Args:
        engine: of the database, by a login that sees every tenant that is served.
        tenant_id: of requests that name none: of an anonymous caller, and where a key is looked for
            first.
        tokens: what checks JSON Web Tokens.
        recorder: returns the recorder of a tenant.
        anonymous_role: database role of requests without a key; None: they are refused.
    """

    def __init__(
        self,
        engine: Engine,
        tenant_id: UUID,
        tokens: Tokens,
        recorder: Callable[[UUID], Recorder],
        *,
        anonymous_role: str | None = None,
    ) -> None:
        self._engine = engine
        self._tenant_id = tenant_id
        self._tokens = tokens
        self._recorder = recorder
        self._anonymous_role = anonymous_role
        self._keys: _Remembered[str, tuple[UUID, KeyHolder]] = _Remembered()
        self._people: _Remembered[tuple[UUID, UUID], Person] = _Remembered()
        self._sessions: _Remembered[tuple[UUID, UUID], str | None] = _Remembered()

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Return who sends a request with these headers (their names in lower case).

        The bearer of `Authorization` decides, or else `apikey`, which clients of Supabase send
        with each request.

        Raises:
            RestError: 401 when there is no key or token, and anonymous callers are refused, or it
                is not valid; 429 when an API key was used too often.
        """
        credential = credential_of(headers)
        if credential is None:
            return self._anonymous()
        if credential.startswith(_KEY):
            return self._by_key(credential)
        return self._by_token(self._tokens.check(credential))

    def person(self, tenant_id: UUID, user_id: UUID) -> Person:
        """Return what the log knows of a user, at most `TRUSTED_FOR` seconds old."""

        def read() -> Person:
            with self._engine.connect() as connection:
                return read_person(connection, tenant_id, user_id, is_named=True)

        return self._people.get((tenant_id, user_id), read)

    def forget(self, caller: Caller) -> None:
        """Ask the log about the session of a caller again, whose password was just changed."""
        session_id = _uuid(caller.claims.get("session_id"))
        if caller.tenant_id is not None and session_id is not None:
            self.forget_session(caller.tenant_id, session_id)

    def forget_session(self, tenant_id: UUID, session_id: UUID) -> None:
        """Ask the log about a session again, which has just ended."""
        self._sessions.forget((tenant_id, session_id))

    def _anonymous(self) -> Caller:
        if self._anonymous_role is None:
            raise RestError(
                401,
                "PGRST302",
                "Anonymous access is disabled",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Caller(
            tenant_id=self._tenant_id,
            power=Role.VIEWER,
            database_role=self._anonymous_role,
            claims={"role": "anon", "tenant_id": str(self._tenant_id)},
        )

    def _by_key(self, key: str) -> Caller:
        tenant_id, holder = self._keys.get(
            key, lambda: self._used(Secret(key)), unless=lambda used: used[1].is_limited
        )
        scopes = frozenset(holder.scopes)
        return self._of_user(
            tenant_id,
            holder.user_id,
            {"role": "authenticated"},
            scopes=(scopes | {READ} if WRITE in scopes else scopes) or None,
            name=f"key {key[:_PREFIX]}",
        )

    def _used(self, key: Secret) -> tuple[UUID, KeyHolder]:
        """Use an API key, which is recorded, in the tenant that it belongs to."""
        reason = "unknown key"
        for tenant_id in self._tenants_of(key):
            try:
                return tenant_id, ApiKeys(self._recorder(tenant_id)).use(key, at_intervals=True)
            except NotLetIn as error:
                if error.reason != "unknown key":
                    reason = error.reason
        if "rate limit" in reason or "quota" in reason:
            raise RestError(429, "QF429", f"the API key: {reason}", headers={"Retry-After": "60"})
        raise refused(f"API key not accepted: {reason}")

    def _tenants_of(self, key: Secret) -> list[UUID]:
        prefix = key.reveal()[:_PREFIX]
        with self._engine.connect() as connection:
            found = list(connection.scalars(_TENANTS, {"prefix": prefix}))
        # A key of the moment is not in the table yet: the server's own tenant is tried in any case.
        return [*(each for each in found if each != self._tenant_id), self._tenant_id]

    def _by_token(self, claims: dict[str, Any]) -> Caller:
        tenant_id = _uuid(claims.get("tenant_id") or _app_metadata(claims).get("tenant_id"))
        role = claims.get("role", "authenticated")
        if role == "anon":
            return self._anonymous()
        if tenant_id is None:
            return Caller(tenant_id=None, database_role=READER, claims=claims, name="token")
        if role == "service_role":
            return Caller(
                tenant_id=tenant_id,
                power=Role.ADMIN,
                database_role=AUDITOR,
                claims=claims,
                name="service_role",
            )
        if role in (READER, AUDITOR):
            return Caller(
                tenant_id=tenant_id,
                power=Role.VIEWER,
                database_role=role,
                claims=claims,
                name=f"token {role}",
            )
        user_id = _uuid(claims.get("sub"))
        if role != "authenticated" or user_id is None:
            raise RestError(403, "42501", f'permission denied to set role "{role}"')
        if (session_id := _uuid(claims.get("session_id"))) is not None:
            self._require_session(tenant_id, session_id, user_id)
        return self._of_user(tenant_id, user_id, claims, name=f"user {user_id}")

    def _of_user(
        self,
        tenant_id: UUID,
        user_id: UUID,
        claims: Mapping[str, Any],
        *,
        scopes: frozenset[str] | None = None,
        name: str,
    ) -> Caller:
        person = self.person(tenant_id, user_id)
        if person.state != "active":
            raise refused(f"the account {user_id} is {person.state or 'unknown'} in this tenant")
        return Caller(
            tenant_id=tenant_id,
            user_id=user_id,
            power=person.power,
            database_role=AUDITOR if person.power == Role.ADMIN else READER,
            scopes=scopes,
            claims={**claims, "sub": str(user_id), "tenant_id": str(tenant_id)},
            name=name,
        )

    def _require_session(self, tenant_id: UUID, session_id: UUID, user_id: UUID) -> None:
        stream = Stream(tenant_id, SessionOpened.entity_type, session_id)

        def read() -> str | None:
            with self._engine.connect() as connection:
                state = read_standings(connection, [stream])[stream].state
                return state if state != "open" else ended_with(connection, user_id, stream)

        if (ended := self._sessions.get((tenant_id, session_id), read)) is not None:
            raise refused(f"the session of this token has ended: {ended}")


def credential_of(headers: Mapping[str, str]) -> str | None:
    """Return the key or token that a request brings; None: none."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return credential.strip()
    return headers.get("apikey") or None


class _Remembered(Generic[_Key, _Value]):
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
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = (now, value)
        return value

    def forget(self, key: _Key) -> None:
        """Read the answer for a key again when it is next wanted."""
        with self._lock:
            self._known.pop(key, None)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _app_metadata(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    found = claims.get("app_metadata")
    return found if isinstance(found, dict) else {}
