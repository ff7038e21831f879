"""Second factor of an account: prepared, confirmed by a code, and checked at each login."""

import msgspec
from sqlalchemy import Connection, Uuid, bindparam, text

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import Undecryptable, WrongCode
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.eventstore.security.totp import (
    hash_recovery_code,
    matching_recovery_code,
    matching_step,
    new_recovery_codes,
)
from quantum_forge.schema.domains.users import UserTwoFactorEnabled

_FACTOR = text("""
    WITH factor AS (
        SELECT event_type, version, data FROM event_logs
         WHERE tenant_id = :tenant_id AND entity_type = 'user' AND entity_id = :user_id
           AND event_type || '' IN ('user_two_factor_enabled', 'user_two_factor_disabled')
         ORDER BY version DESC LIMIT 1
    ), used AS (
        SELECT l.data FROM event_logs AS l
         WHERE l.tenant_id = :tenant_id AND l.entity_type = 'user' AND l.entity_id = :user_id
           AND l.event_type || '' = 'user_logged_in' AND l.version > (SELECT version FROM factor)
    )
    SELECT data ->> 'totp_secret' AS totp_secret,
           coalesce(data -> 'recovery_code_hashes', '[]') AS hashes,
           greatest((data ->> 'totp_time_step')::bigint,
                    (SELECT max((data ->> 'totp_time_step')::bigint) FROM used), 0) AS last_step,
           ARRAY(SELECT (data ->> 'recovery_code')::integer FROM used
                  WHERE data ->> 'recovery_code' IS NOT NULL) AS used_codes
      FROM factor WHERE event_type = 'user_two_factor_enabled'
""").bindparams(bindparam("tenant_id", type_=Uuid), bindparam("user_id", type_=Uuid))

_PREPARED = text("""
    SELECT CASE event_type WHEN 'user_two_factor_prepared' THEN data ->> 'totp_secret' END
      FROM event_logs
     WHERE tenant_id = :tenant_id AND entity_type = 'user' AND entity_id = :user_id
       AND event_type || '' IN ('user_two_factor_prepared', 'user_two_factor_enabled',
                                'user_two_factor_disabled')
     ORDER BY version DESC LIMIT 1
""").bindparams(bindparam("tenant_id", type_=Uuid), bindparam("user_id", type_=Uuid))


class PreparedFactor(msgspec.Struct, frozen=True):
    """A secret for an authenticator app: show it to its owner now, for it cannot be shown again.

    uri: the otpauth:// address, for a QR code. text: the secret alone, to be typed, in base32.
    """

    uri: Secret
    text: Secret


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a login answers the question for the second factor.

    refusal: why it does not; None when it does, or nothing was asked. totp_time_step,
    recovery_code: what it used up.
    """

    refusal: str | None = None
    totp_time_step: int | None = None
    recovery_code: int | None = None


def check_code(
    connection: Connection,
    user: Stream,
    code: Secret | None,
    encryption: Encryption | None,
    *,
    at: float,
) -> Answer:
    """Check a code of an app, or a recovery code, against the log; needs the right to read it.

    Args:
        connection: of the transaction that records the login, at the version that it read.
        user: the account.
        code: as it was typed.
        encryption: of the secret; without the key nobody who has a second factor is let in.
        at: seconds since 1970.
    """
    parameters = {"tenant_id": user.tenant_id, "user_id": user.entity_id}
    factor = connection.execute(_FACTOR, parameters).one_or_none()
    if factor is None:
        return Answer()
    if code is None or factor.totp_secret is None:
        return Answer(refusal="second_factor_missing")
    number = matching_recovery_code(code, factor.hashes)
    if number is not None:
        if number in factor.used_codes:
            return Answer(refusal="recovery_code_used")
        return Answer(recovery_code=number)
    try:
        secret = None if encryption is None else encryption.decrypt(factor.totp_secret)
    except Undecryptable:
        secret = None
    if secret is None:
        return Answer(refusal="second_factor_undecryptable")
    step = matching_step(secret, code.reveal(), at=at, after=factor.last_step)
    if step is None:
        return Answer(refusal="wrong_second_factor")
    return Answer(totp_time_step=step)


def confirm(
    connection: Connection, user: Stream, code: Secret, encryption: Encryption, *, at: float
) -> tuple[UserTwoFactorEnabled, list[Secret]]:
    """Return the event that makes the prepared secret count, and the new recovery codes.

    Raises:
        WrongCode: when nothing is prepared, or the code is not of it now.
        Undecryptable: when no key fits.
    """
    parameters = {"tenant_id": user.tenant_id, "user_id": user.entity_id}
    prepared: str | None = connection.scalar(_PREPARED, parameters)
    if prepared is None:
        raise WrongCode("no authenticator app was prepared; run: qforge users totp enable USER")
    step = matching_step(encryption.decrypt(prepared), code.reveal(), at=at)
    if step is None:
        raise WrongCode(
            "the code is not the one that the app shows now; check the clocks of both devices, and"
            " enter the next code"
        )
    codes = new_recovery_codes()
    event = UserTwoFactorEnabled(
        totp_secret=prepared,
        totp_time_step=step,
        recovery_code_hashes=[hash_recovery_code(each) for each in codes],
    )
    return event, codes
