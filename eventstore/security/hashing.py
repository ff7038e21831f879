"""Hashes of secrets, from which the secret cannot be recovered.

Passwords, which people choose, become Argon2id hashes (RFC 9106). Keys and tokens are random, at
least 256 bits, so that a plain SHA-256 of them reveals nothing and is cheap to check.
"""

import hashlib
import hmac
import secrets
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from quantum_forge.eventstore.base.secret import Secret

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
LANES = 1
"""The cost of hashing a password: what OWASP's Password Storage Cheat Sheet asks for at least."""

SHORTEST_PASSWORD = 8
"""Characters of a password at least (NIST SP 800-63B, section 5.1.1)."""

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

    hashed: None where there is no account or it has no password: that takes as long.
    """
    try:
        Argon2id.verify_phc_encoded(_bytes(password), hashed or _NOBODY)
    except InvalidKey:
        return False
    return hashed is not None


def hash_token(token: Secret) -> str:
    """The SHA-256 of a random key or token, as events hold it."""
    return "sha256:" + hashlib.sha256(_bytes(token)).hexdigest()


def token_matches(token: Secret, hashed: str) -> bool:
    """Whether a hash is that of a token, in constant time."""
    return hmac.compare_digest(hash_token(token), hashed)


def _bytes(secret: Secret) -> bytes:
    # The same password is typed as different code points on different keyboards.
    return unicodedata.normalize("NFC", secret.reveal()).encode("utf-8", "surrogatepass")
