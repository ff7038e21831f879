"""Actions on API keys: issue, use within limits, revoke."""

import secrets
import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Connection, Uuid, bindparam, text

from quantum_forge.eventstore.actions.accounts.denials import record_denied, record_unknown
from quantum_forge.eventstore.actions.accounts.users import ended_with, require_active
from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import EventRefused, NotLetIn, RuleBroken
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.domain import Domain
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.eventstore.security.hashing import hash_token, token_matches
from quantum_forge.schema.domains.access import ApiKeyIssued, ApiKeyRevoked, ApiKeyUsed, Scope
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.language.identity import natural_id

_ALPHABET = string.ascii_letters + string.digits
_PUBLIC = 8
"""Characters of a key that anybody may see."""

UNKNOWN_KEY = "unknown key"
"""Why a key is refused that nobody has issued."""

_MINUTE = timedelta(minutes=1)

USE_INTERVAL = timedelta(minutes=1)
"""How often the use of a key without limits is recorded where it is used all the time."""

_USES = text("""
    SELECT occurred_at FROM event_logs
     WHERE entity_id = :id AND entity_type = 'api_key' AND tenant_id = :tenant_id
       AND event_type = 'api_key_used'
     ORDER BY version DESC OFFSET :earlier LIMIT 1
""").bindparams(bindparam("id", type_=Uuid), bindparam("tenant_id", type_=Uuid))


_TENANTS = text("""
    WITH RECURSIVE found AS (
        (SELECT tenant_id FROM event_streams ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant_id FROM event_streams
                 WHERE tenant_id > found.tenant_id ORDER BY tenant_id LIMIT 1)
          FROM found WHERE found.tenant_id IS NOT NULL)
    SELECT tenant_id FROM found WHERE tenant_id IS NOT NULL
""").columns(tenant_id=Uuid)
"""Each tenant of the log, by one step of its index each."""

_KNOWN = (
    text("""
    SELECT tenant_id
      FROM unnest(CAST(:tenant_ids AS uuid[]), CAST(:ids AS uuid[])) AS key (tenant_id, entity_id)
      JOIN event_streams USING (tenant_id, entity_id)
     WHERE entity_type = 'api_key'
""")
    .bindparams(*(bindparam(name, type_=ARRAY(Uuid)) for name in ("tenant_ids", "ids")))
    .columns(tenant_id=Uuid)
)


class IssuedKey(msgspec.Struct, frozen=True):
    """A new key: show it to its owner now, for it is nowhere else."""

    id: UUID
    prefix: str
    key: Secret


class KeyHolder(msgspec.Struct, frozen=True):
    """For whom a key acts, and what it may do. is_limited: whether each use counts."""

    key_id: UUID
    user_id: UUID
    scopes: list[str]
    is_limited: bool = False


class ApiKeys(Domain):
    """Keys with which programs act for a user; found by their hash in the log itself.

    Args:
        recorder: on whose behalf; its spool is not used.
        clock: what time it is.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(recorder)
        self.clock = clock

    def issue(
        self,
        user_id: UUID,
        /,
        *,
        name: str,
        scopes: Sequence[str] = (),
        rate_limit: int | None = None,
        usage_quota: int | None = None,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """Record a new key of a user.

        Args:
            user_id: for whom it acts.
            name: what it is for.
            scopes: each one of `Scope`; without any, it may do whatever the user may.
            rate_limit: uses a minute at most.
            usage_quota: uses in all at most.
            expires_at: from when on it opens nothing.

        Raises:
            RuleBroken: when there is no such user, or it is not active.
            EventRefused: when a field does not fit, or there is no such scope.
        """
        for scope in scopes:
            if scope not in list(Scope):
                known = ", ".join(Scope)
                raise EventRefused(
                    ApiKeyIssued.event_type, f"no scope {scope!r}; the scopes are {known}"
                )
        prefix = "qf_" + "".join(secrets.choice(_ALPHABET) for _ in range(_PUBLIC))
        key = Secret.random(prefix + "_")
        event = ApiKeyIssued(
            user_id=user_id,
            name=name,
            prefix=prefix,
            key_hash=hash_token(key),
            scopes=list(scopes),
            rate_limit=rate_limit,
            usage_quota=usage_quota,
            expires_at=expires_at,
        )
        key_id = self._id(key)
        self.recorder.for_action().record(event, of=key_id)
        return IssuedKey(key_id, prefix, key)

    def revoke(self, key_id: UUID, /, *, reason: str | None = None) -> Placed:
        """Record that a key opens nothing any more: one's own, or as an admin that of anybody.

        Raises:
            AccessRefused: for the key of another, unless the author is an admin.
            RuleBroken: when there is no such key, or it was revoked before.
        """
        stream = self.stream(ApiKeyIssued.entity_type, key_id)
        with self.engine.connect() as connection:
            holder = latest_values(connection, stream, ["user_id"])["user_id"]
        own = holder is not None and UUID(holder) == self.author.user_id
        recorder = self.recorder.for_action() if own else self.recorder
        (placed,) = Domain(recorder).record((key_id, ApiKeyRevoked(reason=reason)))
        return placed

    def use(
        self, key: Secret, *, scope: str | None = None, at_intervals: bool = False
    ) -> KeyHolder:
        """Let a program in that comes with a key, and record that it came.

        Args:
            key: as the program sent it.
            scope: what it wants to do; None: nothing that a scope would allow.
            at_intervals: whether a key without limits is recorded once in `USE_INTERVAL` only.

        Raises:
            NotLetIn: when there is no such key, it is revoked or expired, does not have the scope,
                is used up or used too often, or its user is not active, was deactivated or has
                changed the password since; the attempt is recorded, at most once a minute.
        """
        key_id = self._id(key)
        stream = self.stream(ApiKeyIssued.entity_type, key_id)

        def decide(connection: Connection) -> list[NewEvent]:
            found = self._issued(connection, stream, key)
            is_limited = found.rate_limit is not None or found.usage_quota is not None
            holders.append(KeyHolder(key_id, found.user_id, found.scopes, is_limited))
            require_active(connection, stream.tenant_id, found.user_id, ApiKeyUsed.event_type)
            reason = self._ended(connection, stream, found, scope)
            if reason := reason or self._used_up(connection, stream, found):
                raise NotLetIn("API key", reason)
            if at_intervals and not is_limited:
                used = self._use(connection, stream, 1)
                if used is not None and self.clock() - used < USE_INTERVAL:
                    # Nothing is appended, so that no rule looks at the state.
                    self._require_valid(connection, stream)
                    return []
            author = msgspec.structs.replace(self.author, user_id=found.user_id)
            return [author.new(key_id, ApiKeyUsed())]

        holders: list[KeyHolder] = []
        try:
            self.recorder.for_action().decide_from([stream], decide)
        except NotLetIn as refused:
            self._deny(key_id, holders, refused.reason)
        except RuleBroken as broken:
            what = "user" if broken.entity.startswith("user") else "key"
            self._deny(key_id, holders, f"{what} is {broken.state}")
        return holders[-1]

    def check(self, key: Secret) -> KeyHolder:
        """Tell for whom a key acts that was used before; it is no use, and is not recorded.

        Raises:
            NotLetIn: as `use` does, but for limits.
        """
        stream = self.stream(ApiKeyIssued.entity_type, self._id(key))
        with self.engine.connect() as connection:
            found = self._issued(connection, stream, key)
            try:
                require_active(connection, stream.tenant_id, found.user_id, ApiKeyUsed.event_type)
            except RuleBroken as broken:
                raise NotLetIn("API key", f"user is {broken.state}") from None
            if reason := self._ended(connection, stream, found, None):
                raise NotLetIn("API key", reason)
            self._require_valid(connection, stream)
        is_limited = found.rate_limit is not None or found.usage_quota is not None
        return KeyHolder(stream.entity_id, found.user_id, found.scopes, is_limited)

    def _issued(self, connection: Connection, stream: Stream, key: Secret) -> ApiKeyIssued:
        latest = latest_values(connection, stream, ApiKeyIssued.__struct_fields__)
        if latest["key_hash"] is None or not token_matches(key, latest["key_hash"]):
            raise NotLetIn("API key", UNKNOWN_KEY)
        return msgspec.convert(latest, ApiKeyIssued)

    def _require_valid(self, connection: Connection, stream: Stream) -> None:
        state = read_standings(connection, [stream])[stream].state
        if state != "valid":
            raise NotLetIn("API key", f"key is {state}")

    def _ended(
        self, connection: Connection, stream: Stream, key: ApiKeyIssued, scope: str | None
    ) -> str | None:
        if ended := ended_with(connection, key.user_id, stream):
            return ended
        if key.expires_at is not None and key.expires_at <= self.clock():
            return "key is expired"
        if scope is not None and scope not in key.scopes:
            return f"key has no scope {scope}"
        return None

    def _used_up(self, connection: Connection, stream: Stream, key: ApiKeyIssued) -> str | None:
        if key.usage_quota is not None and self._use(connection, stream, key.usage_quota):
            return "quota is used up"
        if key.rate_limit is not None:
            before = self._use(connection, stream, key.rate_limit)
            if before is not None and self.clock() - before < _MINUTE:
                return "rate limit is reached"
        return None

    def _use(self, connection: Connection, stream: Stream, ago: int) -> datetime | None:
        """When a key was used for the last time but `ago` - 1 times."""
        parameters = {"id": stream.entity_id, "tenant_id": stream.tenant_id, "earlier": ago - 1}
        used: datetime | None = connection.scalar(_USES, parameters)
        return used

    def _deny(self, key_id: UUID, holders: list[KeyHolder], reason: str) -> NoReturn:
        user_id = holders[-1].user_id if holders else self.author.user_id
        author = msgspec.structs.replace(self.author, user_id=user_id)
        denied = AccessDenied(
            action="api_key_use", reason=reason, target_type="api_key", target_id=key_id
        )
        record = record_unknown if reason == UNKNOWN_KEY else record_denied
        record(self.recorder.acting_as(author), denied, key_id)
        raise NotLetIn("API key", reason)

    def _id(self, key: Secret) -> UUID:
        return _id_of(self.author.tenant_id, hash_token(key))


def tenant_of_key(connection: Connection, key: Secret, *, first: UUID) -> UUID | None:
    """Return the tenant of a key, revoked or not, by the log; None: it is no key of any tenant.

    Args:
        connection: that may read the log; the tenants that it sees are searched.
        key: as a program sent it.
        first: where a key belongs to that is one of several tenants.
    """
    hashed = hash_token(key)
    tenants = {_id_of(each, hashed): each for each in connection.scalars(_TENANTS)}
    known = {"tenant_ids": list(tenants.values()), "ids": list(tenants)}
    found = sorted(connection.scalars(_KNOWN, known), key=lambda each: (each != first, each))
    return found[0] if found else None


def _id_of(tenant_id: UUID, key_hash: str) -> UUID:
    return natural_id("api_key", tenant_id, key_hash)
