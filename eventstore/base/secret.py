"""Text that is hidden when it is printed: passwords, keys, tokens."""

import hmac
import secrets
from typing import NoReturn, Self


class Secret:
    """A password, key or token: what prints it, logs it or pickles it does not get it.

    Secret("correct horse").reveal() gives it back; Secret.random() makes an unguessable one.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a set of secrets would compare their hashes

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def random(cls, prefix: str = "") -> Self:
        """A new secret of 256 random bits, in characters that a URL or a shell can hold."""
        return cls(prefix + secrets.token_urlsafe(32))

    def reveal(self) -> str:
        """Return the plain text, for its owner only: never for a log or an event."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"),
            other._value.encode("utf-8", "surrogatepass"),
        )

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
