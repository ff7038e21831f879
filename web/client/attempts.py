"""What clients have in common: headers, when a request is sent again, and how replies are read."""

import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.errors import InvalidSetting, MissingLibrary
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.web.client.calls import Reply
from quantum_forge.web.client.errors import RemoteError

TRIES = 5
"""Times that a request is sent, where the server is away or asks to come back later."""

LONGEST_PAUSE = 60.0
"""Seconds that are waited for at most, whatever the server asks for."""

AGAIN = frozenset({429, 502, 503, 504, 520})
"""Statuses after which the same request may succeed."""

REFUSED = frozenset({429, 503})
"""Those of them that say that the request was not begun."""

LINES = {"Accept": "application/x-ndjson"}


def httpx_library() -> Any:
    """Return httpx.

    Raises:
        MissingLibrary: when it is not installed.
    """
    try:
        import httpx
    except ModuleNotFoundError:
        raise MissingLibrary("connect()", "httpx", "client") from None
    return httpx


def headers_of(key: Secret) -> dict[str, str]:
    """Return the headers of every request; `apikey` is what Supabase's gateway asks for."""
    return {"Authorization": f"Bearer {key.reveal()}", "apikey": key.reveal()}


def trust_in(ca: Path | None) -> ssl.SSLContext | bool:
    """Return what checks the certificate of a server: by these authorities, or the system's.

    Raises:
        InvalidSetting: when the file has none.
    """
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidSetting(
            "QFORGE_STORE_CA", f"must be a file of certificates in PEM, and {ca} is not: {reason}"
        ) from error


def pause_before(attempt: int, headers: Mapping[str, str] | None = None) -> float:
    """Return the seconds to wait before a request is sent again.

    Args:
        attempt: how many have failed.
        headers: of the reply, which may say how long.
    """
    asked = (headers or {}).get("retry-after")
    if asked is None:
        return pause_after(attempt, first=0.25, longest=LONGEST_PAUSE)
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            seconds = 1.0
    return min(max(seconds, 0.1), LONGEST_PAUSE)


def checked(reply: Reply) -> Reply:
    """Return a reply that is no error.

    Raises:
        RemoteError: what the server says.
    """
    if reply.status < 400:
        return reply
    try:
        said = msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = {}
    message = said.get("message") or said.get("msg") or f"HTTP status {reply.status}"
    code = str(said.get("code") or said.get("error_code") or f"HTTP {reply.status}")
    raise RemoteError(reply.status, code, str(message), said.get("details"), said.get("hint"))


class Lines:
    """Takes bytes as they come, and gives them back line by line; only a line feed ends a line."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, part: bytes) -> list[bytes]:
        """Return the lines that are complete now."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        return lines


class ServerSentEvents:
    """Makes events of the lines of a stream, and keeps the position to come back with."""

    def __init__(self, position: int | None) -> None:
        self.position = position
        self._id: int | None = None
        self._data = b""

    def read(self, lines: list[bytes]) -> Iterator[RecordedEvent]:
        """Return the events that are complete now; the position is that of the last one taken."""
        for line in lines:
            name, _, value = line.partition(b": ")
            if name == b"data":
                self._data = value
            elif name == b"id":
                self._id = int(value)
            elif not line:
                data, self._data = self._data, b""
                if self._id is not None:
                    self.position = self._id
                if data:
                    yield msgspec.json.decode(data, type=RecordedEvent)


def event_query(types: Sequence[str], entity_id: UUID | None) -> list[tuple[str, str]]:
    """Return the filters of a stream of events."""
    query = [("type", each) for each in types]
    return query if entity_id is None else [*query, ("entity_id", str(entity_id))]


def place_header(position: int | None) -> dict[str, str]:
    """Return the header by which a stream goes on after a position."""
    return {} if position is None else {"Last-Event-ID": str(position)}
