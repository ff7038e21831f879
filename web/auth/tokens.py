"""JSON Web Tokens: checked by the keys of the settings, and issued for whoever has logged in."""

import hmac
import json
import os
import re
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.ownership import is_trusted
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.base.whole_file import TargetBusy, TargetExists, write_whole
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.settings import WebSettings

SKEW = 30
"""Seconds by which clocks may differ."""

_LARGEST = 2**16
"""Characters of a token, and bytes of a file of keys times 16, that are looked at."""

_ASYMMETRIC = ("RS256", "ES256")

_REFRESH = re.compile("[0-9a-f]{32}[.][0-9]{1,9}")


class Tokens:
    """Checks tokens, and issues those of our own.

    Args:
        secret: of HS256, by which tokens are issued, too.
        keys: public keys of another issuer, for RS256 and ES256.
        audience: that a token must name; None: any.
        lifetime: of an issued token, in s.
    """

    def __init__(
        self,
        secret: Secret,
        *,
        keys: Sequence[jwt.PyJWK] = (),
        audience: str | None = None,
        lifetime: int = 3600,
    ) -> None:
        self._secret = secret
        self._keys = list(keys)
        self._audience = audience
        self.lifetime = lifetime

    @property
    def public_keys(self) -> list[dict[str, Any]]:
        """The public keys, as a JSON Web Key Set lists them; a secret is never among them."""
        return [
            {
                **key.Algorithm.to_jwk(key.key, as_dict=True),
                "alg": key.algorithm_name,
                "use": "sig",
                **({} if key.key_id is None else {"kid": key.key_id}),
            }
            for key in self._keys
        ]

    def issue(self, claims: Mapping[str, Any]) -> tuple[str, int]:
        """Return a token with these claims, and when it expires, in s since 1970."""
        now = int(time.time())
        expires_at = now + self.lifetime
        audience = self._audience or "authenticated"
        times = {"iat": now, "exp": expires_at, "aud": audience}
        token = jwt.encode({**claims, **times}, self._secret.reveal(), algorithm="HS256")
        return token, expires_at

    def refresh_token(self, session_id: UUID, generation: int) -> str:
        """Return the refresh token of a session: the first of generation 0, then one after another.

        Nobody can tell the next one from those before it.
        """
        named = f"{session_id.hex}.{generation}"
        return f"{named}.{self._mac(named)}"

    def session_of(self, refresh_token: str) -> tuple[UUID, int] | None:
        """Return the session and the generation of a refresh token; None: it is not one of ours."""
        named, _, mac = refresh_token.rpartition(".")
        if not _REFRESH.fullmatch(named):
            return None
        if not hmac.compare_digest(mac.encode(errors="replace"), self._mac(named).encode()):
            return None
        session_id, _, generation = named.partition(".")
        return UUID(session_id), int(generation)

    def _mac(self, named: str) -> str:
        secret = self._secret.reveal().encode()
        return hmac.new(secret, f"refresh token {named}".encode(), "sha256").hexdigest()

    def check(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is signed by a known key and valid now.

        Raises:
            RestError: 401, PGRST301 or PGRST303, with what is wrong, as PostgREST says it.
        """
        if not token:
            raise refused("Empty JWT is sent in Authorization header")
        parts = token.count(".") + 1
        if parts != 3 or len(token) > _LARGEST:
            raise refused(f"Expected 3 parts in JWT; got {parts}")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise refused("JWT cannot be decoded") from None
        for key, algorithm in self._fitting(header):
            try:
                return self._decoded(token, key, algorithm)
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidKeyError:
                continue
        raise refused("No suitable key or wrong key type")

    def _fitting(self, header: Mapping[str, Any]) -> list[tuple[jwt.PyJWK | str, str]]:
        """The keys to try: which algorithm a key is for is decided by the key, not by the token."""
        algorithm, named = header.get("alg"), header.get("kid")
        if algorithm == "HS256":
            return [(self._secret.reveal(), "HS256")]
        return [
            (key, key.algorithm_name)
            for key in self._keys
            if key.algorithm_name == algorithm and (named is None or key.key_id in (None, named))
        ]

    def _decoded(self, token: str, key: jwt.PyJWK | str, algorithm: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                leeway=SKEW,
                options={"verify_aud": self._audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise refused("JWT expired", code="PGRST303") from None
        except jwt.ImmatureSignatureError as error:
            issued = "iat" in str(error)
            said = "JWT issued at future" if issued else "JWT not yet valid"
            raise refused(said, code="PGRST303") from None
        except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError):
            raise refused("JWT not in audience", code="PGRST303") from None
        except jwt.InvalidSignatureError:
            raise
        except jwt.PyJWTError as error:
            raise refused(f"JWT cannot be used ({error})") from None
        return claims


def refused(message: str, *, code: str = "PGRST301") -> RestError:
    """Return the refusal of a token or key, with the header by which clients know the reason."""
    said = message.replace('"', "'")
    header = f'Bearer error="invalid_token", error_description="{said}"'
    return RestError(401, code, message, headers={"WWW-Authenticate": header})


def load_tokens(settings: WebSettings, home: Path) -> Tokens:
    """Make what checks and issues tokens, from the settings.

    Without QFORGE_JWT_SECRET, a random secret is made once and kept in the file `jwt.secret` of the
    home directory, which only its owner can read.

    Raises:
        InvalidSetting: when a key cannot be read, or others could have written it.
    """
    secret = settings.jwt_secret or _kept_secret(home / "jwt.secret")
    keys = [] if settings.jwt_keys is None else _public_keys(settings.jwt_keys)
    return Tokens(
        secret, keys=keys, audience=settings.jwt_audience, lifetime=settings.token_seconds
    )


def _kept_secret(path: Path) -> Secret:
    """Return the secret of a file, which is made where there is none."""
    for _ in range(50):
        if (kept := _read_own(path)) is not None:
            return Secret(kept)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, Secret.random().reveal().encode())
        except TargetExists:
            continue
        except TargetBusy:
            time.sleep(0.1)
        except OSError as error:
            raise InvalidSetting(str(path), f"cannot be written ({error.strerror})") from error
    raise InvalidSetting(str(path), "is being written by another process; try again")


def _read_own(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidSetting(str(path), f"cannot be read ({error.strerror})") from error
    with os.fdopen(descriptor, encoding="ascii") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or not is_trusted(facts.st_uid, path):
            raise InvalidSetting(str(path), "is not a regular file of yours; move it away")
        if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidSetting(str(path), f"can be read by others; run: chmod 600 {path}")
        text = file.read(_LARGEST).strip()
    if len(text) < 32:
        raise InvalidSetting(str(path), "has no secret of at least 32 characters; remove it")
    return text


def _public_keys(path: Path) -> list[jwt.PyJWK]:
    try:
        with path.open(encoding="utf-8") as file:
            found = jwt.PyJWKSet.from_dict(json.loads(file.read(_LARGEST * 16))).keys
    except OSError as error:
        raise InvalidSetting("QFORGE_JWT_KEYS", f"cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise InvalidSetting(
            "QFORGE_JWT_KEYS", f"is not a JSON Web Key Set such as {{'keys': […]}} ({error})"
        ) from None
    usable = [key for key in found if key.algorithm_name in _ASYMMETRIC]
    if not usable:
        raise InvalidSetting("QFORGE_JWT_KEYS", f"has no key for {' or '.join(_ASYMMETRIC)}")
    return usable
