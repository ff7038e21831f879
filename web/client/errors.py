"""Errors of a client: what the server refused, and a server that does not answer."""

from quantum_forge.eventstore.base.errors import QuantumForgeError


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


class RemoteUnreachable(QuantumForgeError):
    """The server does not answer, or not in a way that a store would."""

    may_pass = True

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"no answer from {url}: {reason}. Is `qforge serve` running there, and is it reachable?"
        )
