"""Callers: for whom a request acts, in which tenant, and by which role of the database it reads."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Engine

from quantum_forge.eventstore.actions.accounts.api_keys import (
    UNKNOWN_KEY,
    ApiKeys,
    KeyHolder,
    tenant_of_key,
)
from quantum_forge.eventstore.actions.accounts.users import ended_with
from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import NotLetIn
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Person, read_person
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.access import Scope, SessionOpened
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.permissions import POWER
from quantum_forge.web.auth.browsers import Browsers
from quantum_forge.web.auth.remembered import Remembered
from quantum_forge.web.auth.throttle import Throttle
from quantum_forge.web.auth.tokens import Tokens, refused
from quantum_forge.web.rest.errors import RestError

READ, WRITE = Scope.READ, Scope.WRITE
"""Scopes of an API key; a key without scopes may do what its user may."""

_KEY = "qf_"
_PREFIX = len(_KEY) + 8
READER, AUDITOR = "qforge_reader", "qforge_auditor"
"""Database roles by which requests read: the tables, and the log as well."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request.

    tenant_id: whose rows are seen; None: nobody's. user_id: who acts; None: no user. power: what
    the user may do at most; None: nothing that needs a role. database_role: by which it reads.
    scopes: that its key is limited to; None: no limit. claims: what the database is told of it.
    name: for the access log. is_operator: whether it is whoever runs the server, who may see what
    belongs to no tenant. has_auditor: whether the server may read the log for it.
    """

    tenant_id: UUID | None
    user_id: UUID | None = None
    power: Role | None = None
    database_role: str
    scopes: frozenset[str] | None = None
    claims: Mapping[str, Any] = {}
    name: str = "anonymous"
    is_operator: bool = False
    has_auditor: bool = True

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
        tenant_id: of requests that name none: of an anonymous caller, and where an unknown key is
            recorded.
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
        self._unknown_keys = Throttle("unknown API keys")
        self._tenants: Remembered[str, UUID | None] = Remembered()
        self._keys: Remembered[str, tuple[UUID, KeyHolder]] = Remembered()
        self._people: Remembered[tuple[UUID, UUID], Person] = Remembered()
        self._sessions: Remembered[tuple[UUID, UUID], str | None] = Remembered()
        self._browsers = Browsers(recorder)

    def identify(self, headers: Mapping[str, str], address: str | None = None) -> Caller:
        """Return who sends a request with these headers (their names in lower case).

        An API key that is known lets in from any address; one address is told a limited number of
        times that a key is unknown.

        The bearer of `Authorization` decides, or else `apikey`, which clients of Supabase send
        with each request.

        Raises:
            RestError: 401 when there is no key or token, and anonymous callers are refused, or it
                is not valid; 429 when an API key was used too often, or the address has sent too
                many unknown keys.
        """
        credential = credential_of(headers)
        if credential is None:
            return self._anonymous()
        if credential.startswith(_KEY):
            tenant_id, holder = self._keys.get(
                credential,
                lambda: self._used(Secret(credential), address),
                unless=lambda used: used[1].is_limited,
            )
            return self._of_key(credential, tenant_id, holder)
        return self._by_token(self._tokens.check(credential))

    def known(self, headers: Mapping[str, str]) -> Caller | None:
        """Return who sends a request with these headers, if that is known without a query."""
        credential = credential_of(headers)
        if credential is None or not credential.startswith(_KEY):
            return None
        if (used := self._keys.peek(credential)) is None:
            return None
        tenant_id, holder = used
        if self._people.peek((tenant_id, holder.user_id)) is None:
            return None
        return self._of_key(credential, tenant_id, holder)

    def identify_again(self, headers: Mapping[str, str]) -> Caller:
        """Return who sent a request that is still being answered; this counts as no use of a key.

        Raises:
            RestError: 401 when its key or token lets nobody in any more.
        """
        credential = credential_of(headers)
        if credential is None or not credential.startswith(_KEY):
            return self.identify(headers)
        key = Secret(credential)
        if (tenant_id := self._tenant_of(key)) is None:
            raise _not_accepted(UNKNOWN_KEY)
        try:
            holder = ApiKeys(self._recorder(tenant_id)).check(key)
        except NotLetIn as error:
            raise _not_accepted(error.reason) from None
        return self._of_key(credential, tenant_id, holder)

    def of_session(self, token: Secret, author: Author) -> Caller:
        """Return the user whose browser brings the token of a session in its cookie.

        Args:
            token: in the cookie.
            author: where the request comes from, and in which tenant sessions are opened.

        Raises:
            RestError: 401 when the session has ended.
        """
        tenant_id = author.tenant_id
        found = self._browsers.session(token, author)
        if found is None:
            raise refused("the session of this browser has ended")
        self._require_session(tenant_id, found.id, found.user_id)
        claims = {"role": "authenticated", "session_id": str(found.id)}
        return self._of_user(tenant_id, found.user_id, claims, name=f"user {found.user_id}")

    def person(self, tenant_id: UUID, user_id: UUID) -> Person:
        """Return what the log knows of a user, at most `remembered.TRUSTED_FOR` seconds old."""

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

    def _of_key(self, key: str, tenant_id: UUID, holder: KeyHolder) -> Caller:
        scopes = frozenset(holder.scopes)
        return self._of_user(
            tenant_id,
            holder.user_id,
            {"role": "authenticated"},
            scopes=(scopes | {READ} if WRITE in scopes else scopes) or None,
            name=f"key {key[:_PREFIX]}",
        )

    def _used(self, key: Secret, address: str | None) -> tuple[UUID, KeyHolder]:
        """Use an API key, which is recorded, in the tenant that it belongs to.

        An unknown key is recorded in the server's own tenant: nobody writes to the log of another.
        """
        known = self._tenant_of(key)
        if known is None:
            self._unknown_keys.count(address)
        tenant_id = known or self._tenant_id
        author = Author(tenant_id=tenant_id, ip_address=address)
        try:
            keys = ApiKeys(self._recorder(tenant_id).acting_as(author))
            return tenant_id, keys.use(key, at_intervals=True)
        except NotLetIn as error:
            if "rate limit" in error.reason or "quota" in error.reason:
                raise RestError(
                    429, "QF429", f"the API key: {error.reason}", headers={"Retry-After": "60"}
                ) from None
            raise _not_accepted(error.reason) from None

    def _tenant_of(self, key: Secret) -> UUID | None:
        def read() -> UUID | None:
            with self._engine.connect() as connection:
                return tenant_of_key(connection, key, first=self._tenant_id)

        # The key of the moment is issued after somebody has asked for it in vain, now and then.
        return self._tenants.get(key.reveal(), read, unless=lambda found: found is None)

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


def _not_accepted(reason: str) -> RestError:
    return refused(f"API key not accepted: {reason}")


def credential_of(headers: Mapping[str, str]) -> str | None:
    """Return the key or token that a request brings; None: none."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return credential.strip()
    return headers.get("apikey") or None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _app_metadata(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    found = claims.get("app_metadata")
    return found if isinstance(found, dict) else {}
