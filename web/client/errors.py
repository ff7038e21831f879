"""Errors of a client: what the server refused, and a server that does not answer."""

from quantum_forge.eventstore.base.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    DatabaseUnreachable,
    QuantumForgeError,
)


class RemoteError(QuantumForgeError):
    """The server refused a request.

    Attributes:
        status: of HTTP.
        code: PostgREST's (`PGRST…`), or a SQLSTATE.
        details: where, or in which way.
        hint: what to do instead.
    """

    def __init__(
        self, status: int, code: str, message: str, details: object = None, hint: str | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.details = details
        self.hint = hint
        parts = (message, details if isinstance(details, str) else None, hint)
        super().__init__(". ".join(part.rstrip(".") for part in parts if part) + f" ({code})")


class RemoteUnreachable(DatabaseUnreachable):
    """The server does not answer, or not in a way that a store would."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        advice = (
            "if the authority is your own, name its file in QFORGE_STORE_CA, or as `ca`"
            if "CERTIFICATE_VERIFY_FAILED" in reason
            else "is `qforge serve` running there, and is it reachable?"
        )
        super().__init__(url, f"no answer from {url}: {reason}", advice)


class ServerBusy(DatabaseUnavailable):
    """The server answers that it cannot answer now: it is overloaded, or its database is away.

    retry_after: seconds after which it wants to be asked again.
    """

    may_pass = True
    advises_repetition = True

    def __init__(self, url: str, reason: str, retry_after: float | None) -> None:
        self.url = url
        self.retry_after = retry_after
        super().__init__(url, f"{url} cannot answer now: {reason}", "try again later")


class KeyRefused(DatabaseRefused):
    """The server does not let this key in, or not as far as is needed."""

    is_lasting = True

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            url,
            f"{url} refuses the key: {reason}",
            "make another one there (qforge users key USER NAME --scope read --scope write) and "
            "set QFORGE_STORE_KEY to it",
        )
