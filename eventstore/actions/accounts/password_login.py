"""Login by password: what it takes, how an account is locked, which attempts are recorded."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Interval, Uuid, bindparam, text

from quantum_forge.eventstore.actions.accounts.denials import record_unknown
from quantum_forge.eventstore.actions.accounts.names import find_holder, name_id
from quantum_forge.eventstore.actions.accounts.second_factor import check_code
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import NotLetIn, VersionConflict
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.eventstore.security.hashing import password_matches
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.domains.users import UserLoggedIn, UserLoginFailed, UserRegistered

MOST_FAILURES = 10
"""Failed logins in a row after which an account is locked."""

LOCKED_FOR = timedelta(minutes=15)
"""For how long a failed login counts."""

REFUSAL_STEP = 0.25
"""Seconds: a refused login takes a multiple of it. An account that exists takes some milliseconds
more, for what is read and recorded of it, and nobody shall see by that who has an account."""

_NOBODY = UUID(int=0)

_FAILURES = text("""
    WITH latest AS (
        SELECT version, event_type, recorded_at FROM event_logs
         WHERE tenant_id = :tenant_id AND entity_type = 'user' AND entity_id = :user_id
           AND event_type || '' IN ('user_login_failed', 'user_logged_in', 'user_reactivated',
                                    'user_password_changed'))
    SELECT count(*) FROM latest
     WHERE event_type = 'user_login_failed' AND recorded_at > now() - :locked_for
       AND version > coalesce((SELECT max(version) FROM latest
                                WHERE event_type IN ('user_logged_in', 'user_reactivated',
                                                     'user_password_changed')), 0)
""").bindparams(
    bindparam("tenant_id", type_=Uuid),
    bindparam("user_id", type_=Uuid),
    bindparam("locked_for", type_=Interval),
)


@contextmanager
def _refusals_in_steps() -> Iterator[None]:
    """Have a refusal come after a multiple of `REFUSAL_STEP`, whatever it is for."""
    began = time.monotonic()
    try:
        yield
    except NotLetIn:
        time.sleep((began - time.monotonic()) % REFUSAL_STEP)
        raise


@_refusals_in_steps()
def log_in(
    recorder: Recorder,
    name: str,
    password: Secret,
    *,
    login_method: str,
    code: Secret | None,
    encryption: Encryption | None,
    clock: Callable[[], datetime],
) -> UUID:
    """Log a user in, and record that: see `Users.log_in`.

    The failures are counted in the transaction that records the next event of the account, and
    again when another attempt was faster. So of guesses made at the same time no more are answered
    than of guesses made one after the other.
    """
    tenant_id = recorder.tenant_id
    with recorder.engine.connect() as connection:
        user_id = find_holder(connection, tenant_id, name)
        # The same is read for an unknown name, so that it takes as long.
        stream = recorder.stream(UserRegistered.entity_type, user_id or _NOBODY)
        verified = latest_values(connection, stream, ["hashed_password"])["hashed_password"]
    is_right = password_matches(password, verified)
    if user_id is None:
        _deny_unknown(recorder, name)
    themselves = msgspec.structs.replace(recorder.author, user_id=user_id)
    outcome: list[str | None] = []

    def decide(connection: Connection) -> list[NewEvent]:
        state = read_standings(connection, [stream])[stream].state
        hashed = latest_values(connection, stream, ["hashed_password"])["hashed_password"]
        parameters = {"tenant_id": tenant_id, "user_id": user_id, "locked_for": LOCKED_FOR}
        failures: int = connection.execute(_FAILURES, parameters).scalar_one()
        answer = check_code(connection, stream, code, encryption, at=clock().timestamp())
        if failures >= MOST_FAILURES:
            raise NotLetIn(
                "login",
                f"locked after {MOST_FAILURES} failures in a row; that ends after "
                f"{LOCKED_FOR.total_seconds() / 60:.0f} minutes, or with a new password",
            )
        if not is_right or hashed != verified:
            reason = "wrong_password"
        elif state != "active":
            reason = f"{state}_user"
        elif answer.refusal is not None:
            reason = answer.refusal
        else:
            outcome.append(None)
            logged_in = UserLoggedIn(
                login_method=login_method,
                totp_time_step=answer.totp_time_step,
                recovery_code=answer.recovery_code,
            )
            return [themselves.new(user_id, logged_in)]
        outcome.append(reason)
        return [recorder.author.new(user_id, UserLoginFailed(reason=reason))]

    try:
        recorder.for_action().decide_from([stream], decide)
    except VersionConflict:
        raise NotLetIn("login", "too many attempts at the same time") from None
    if outcome[-1] is not None:
        raise NotLetIn("login", outcome[-1])
    return user_id


def _deny_unknown(recorder: Recorder, name: str) -> NoReturn:
    typed = name_id(recorder.tenant_id, "unknown", name)
    record_unknown(recorder, AccessDenied(action="login", reason="unknown_user"), typed)
    raise NotLetIn("login", "unknown_user")
