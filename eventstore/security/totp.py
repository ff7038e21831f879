"""One-time codes of an authenticator app (TOTP, RFC 6238), and recovery codes for who has lost it.

SHA-1, six digits and 30 s are what every app supports. A secret has 160 bits (RFC 4226, section 4),
a recovery code 80 random bits, so that a plain SHA-256 of it reveals nothing.
"""

import base64
import re
import secrets
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.security.hashing import hash_token, token_matches

STEP_SECONDS = 30
"""Seconds for which a code is shown."""

DRIFT = 1
"""Steps by which the clock of a telephone may be off, before and after (RFC 6238, section 5.2)."""

RECOVERY_CODES = 10
"""Recovery codes that an account gets."""

ISSUER = "Quantum Forge"
"""Name of this program in an authenticator app."""

_SECRET_BYTES = 20
_RECOVERY_BYTES = 10
_BETWEEN = re.compile(r"[\s-]")


def new_secret() -> Secret:
    """Return a new secret in base32, as it is typed into an app."""
    return Secret(base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode())


def provisioning_uri(secret: Secret, account: str) -> Secret:
    """Return the otpauth:// address of a secret, which apps read from a QR code."""
    return Secret(_totp(secret).get_provisioning_uri(account, ISSUER))


def matching_step(secret: Secret, code: str, *, at: float, after: int = 0) -> int | None:
    """Return the time step of a code, counted since 1970; None when it is not valid now.

    Args:
        secret: in base32.
        code: six digits; blanks and hyphens do not matter.
        at: seconds since 1970.
        after: the last step whose code was used: none of it or before is accepted again.
    """
    digits = _BETWEEN.sub("", code)
    if re.fullmatch(r"[0-9]{6}", digits) is None:
        return None
    now, totp, found = int(at // STEP_SECONDS), _totp(secret), None
    for step in range(max(now - DRIFT, 0), now + DRIFT + 1):
        try:
            totp.verify(digits.encode(), step * STEP_SECONDS)
        except InvalidToken:
            continue
        if step > after and found is None:
            found = step
    return found


def new_recovery_codes() -> list[Secret]:
    """Return codes each of which opens an account once, such as ABCD-EFGH-IJKL-MNOP."""
    return [_recovery_code() for _ in range(RECOVERY_CODES)]


def hash_recovery_code(code: Secret) -> str:
    """The SHA-256 of a recovery code, however it was typed."""
    return hash_token(_bare(code))


def matching_recovery_code(code: Secret, hashes: Sequence[str]) -> int | None:
    """Return which of the hashes is that of a recovery code, counted from 0; None when none is."""
    bare, found = _bare(code), None
    for number, hashed in enumerate(hashes):
        if token_matches(bare, hashed):
            found = number
    return found


def _recovery_code() -> Secret:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode()
    return Secret("-".join(text[start : start + 4] for start in range(0, len(text), 4)))


def _bare(code: Secret) -> Secret:
    return Secret(_BETWEEN.sub("", code.reveal()).upper())


def _totp(secret: Secret) -> TOTP:
    return TOTP(base64.b32decode(secret.reveal()), 6, SHA1(), STEP_SECONDS)
