"""Actions on API keys: issue, use within limits, revoke."""

import secrets
import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Uuid, bindparam, text

from quantum_forge.eventstore.actions.accounts.users import ended_with, require_active
from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.base.errors import NotLetIn, RuleBroken
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.domain import Domain, happens
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.eventstore.security.hashing import hash_token, token_matches
from quantum_forge.schema.domains.access import ApiKeyIssued, ApiKeyRevoked, ApiKeyUsed
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.language.identity import natural_id

_ALPHABET = string.ascii_letters + string.digits
_PUBLIC = 8
"""Characters of a key that anybody may see."""

_MINUTE = timedelta(minutes=1)

USE_INTERVAL = timedelta(minutes=1)
"""How often the use of a key without limits is recorded where it is used all the time."""

_USES = text("""
    SELECT occurred_at FROM event_logs
     WHERE entity_id = :id AND entity_type = 'api_key' AND tenant_id = :tenant_id
       AND event_type = 'api_key_used'
     ORDER BY version DESC OFFSET :earlier LIMIT 1
""").bindparams(bindparam("id", type_=Uuid), bindparam("tenant_id", type_=Uuid))


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

    revoke = happens(ApiKeyRevoked)

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
            scopes: what it may do.
            rate_limit: uses a minute at most.
            usage_quota: uses in all at most.
            expires_at: from when on it opens nothing.

        Raises:
            RuleBroken: when there is no such user, or it is not active.
            EventRefused: when a field does not fit.
        """
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
                changed the password since; the attempt is recorded.
        """
        key_id = self._id(key)
        stream = self.stream(ApiKeyIssued.entity_type, key_id)
        fields = ApiKeyIssued.__struct_fields__

        def decide(connection: Connection) -> list[NewEvent]:
            latest = latest_values(connection, stream, fields)
            if latest["key_hash"] is None or not token_matches(key, latest["key_hash"]):
                raise NotLetIn("API key", "unknown key")
            found = msgspec.convert(latest, ApiKeyIssued)
            is_limited = found.rate_limit is not None or found.usage_quota is not None
            holders.append(KeyHolder(key_id, found.user_id, found.scopes, is_limited))
            require_active(connection, stream.tenant_id, found.user_id, ApiKeyUsed.event_type)
            if reason := self._refusal(connection, stream, found, scope):
                raise NotLetIn("API key", reason)
            if at_intervals and not is_limited:
                used = self._use(connection, stream, 1)
                if used is not None and self.clock() - used < USE_INTERVAL:
                    # Nothing is appended, so that no rule looks at the state.
                    state = read_standings(connection, [stream])[stream].state
                    if state != "valid":
                        raise NotLetIn("API key", f"key is {state}")
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

    def _refusal(
        self, connection: Connection, stream: Stream, key: ApiKeyIssued, scope: str | None
    ) -> str | None:
        now = self.clock()
        if ended := ended_with(connection, key.user_id, stream):
            return ended
        if key.expires_at is not None and key.expires_at <= now:
            return "key is expired"
        if scope is not None and scope not in key.scopes:
            return f"key has no scope {scope}"
        if key.usage_quota is not None and self._use(connection, stream, key.usage_quota):
            return "quota is used up"
        if key.rate_limit is not None:
            before = self._use(connection, stream, key.rate_limit)
            if before is not None and now - before < _MINUTE:
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
        self.recorder.acting_as(author).record(denied)
        raise NotLetIn("API key", reason)

    def _id(self, key: Secret) -> UUID:
        return natural_id("api_key", self.author.tenant_id, hash_token(key))
