"""Hashes of secrets, from which the secret cannot be recovered.

Passwords, which people choose, become Argon2id hashes (RFC 9106). Keys and tokens are random, at
least 256 bits, so that a plain SHA-256 of them reveals nothing and is cheap to check.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from quantum_forge.eventstore.base.secret import Secret

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
LANES = 1
"""The cost of hashing a password: what OWASP's Password Storage Cheat Sheet asks for at least."""

MOST_MEMORY_KIB, MOST_ITERATIONS, MOST_LANES = 256 * 1024, 16, 16
"""The most that a stored hash may cost: whoever appended it, it is computed at each login."""

SHORTEST_PASSWORD = 8
"""Characters of a password at least (NIST SP 800-63B, section 5.1.1)."""

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})",
    re.ASCII,
)
"""A PHC string: cost, salt (8 to 64 bytes), hash (12 to 64 bytes)."""

_NOBODY = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}"
    "$bm9ib2R5J3Mgc2FsdCE$bm9ib2R5J3MgaGFzaCwgd2hpY2ggZml0cyBub25lISE"
)
"""Checked where there is no hash, so that the time does not reveal who has an account."""


def hash_password(password: Secret) -> str:
    """The Argon2id hash of a password, with its salt and its cost, as a PHC string."""
    kdf = Argon2id(
        salt=secrets.token_bytes(16),
        length=32,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(_bytes(password))


def password_matches(password: Secret, hashed: str | None) -> bool:
    """Whether a hash is that of a password, in a time that does not depend on the answer.

    Args:
        password: what was typed.
        hashed: a PHC string. None where there is no account or it has no password: that takes as
            long. So does a hash that is malformed, of another kind than Argon2id, or costs more
            than `MOST_MEMORY_KIB`, `MOST_ITERATIONS` or `MOST_LANES`: it matches no password.
    """
    usable = hashed if hashed is not None and is_checkable(hashed) else None
    try:
        Argon2id.verify_phc_encoded(_bytes(password), usable or _NOBODY)
    except (InvalidKey, ValueError):  # ValueError: parameters that Argon2 refuses
        return False
    return usable is not None


def is_checkable(hashed: str) -> bool:
    """Whether a stored hash is an Argon2id one of an affordable cost."""
    if (parts := _ARGON2ID.fullmatch(hashed)) is None:
        return False
    memory, iterations, lanes = (int(parts[number]) for number in (1, 2, 3))
    return (
        8 * lanes <= memory <= MOST_MEMORY_KIB
        and 1 <= iterations <= MOST_ITERATIONS
        and 1 <= lanes <= MOST_LANES
    )


def hash_token(token: Secret) -> str:
    """The SHA-256 of a random key or token, as events hold it."""
    return "sha256:" + hashlib.sha256(_bytes(token)).hexdigest()


def token_matches(token: Secret, hashed: str) -> bool:
    """Whether a hash is that of a token, in constant time."""
    return hmac.compare_digest(hash_token(token), hashed)


def _bytes(secret: Secret) -> bytes:
    # The same password is typed as different code points on different keyboards.
    return unicodedata.normalize("NFC", secret.reveal()).encode("utf-8", "surrogatepass")
