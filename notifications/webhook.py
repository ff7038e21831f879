"""Webhooks: a message as JSON, posted to an address that a user gave.

The address is somebody else's text, and the request comes from inside: it goes to public addresses
only, by HTTPS, and no reply is followed anywhere. What is connected to is the address that was
checked, not what the name means a moment later.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.notifications.attempt import NotSent
from quantum_forge.notifications.messages import Message
from quantum_forge.notifications.settings import LOOPBACK

TIMEOUT = 10.0
"""Seconds for each step: connect, send, receive."""

DEADLINE = 30.0
"""Seconds for the whole request."""

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""Whatever else has a meaning is for one network, one machine, or a way to an IPv4 address."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as networks without IPv4 write them (RFC 6052)."""

PASSING = frozenset({408, 425, 429})
"""Refusals of a client's request that pass."""

LONGEST_WAIT = 3600.0
"""Seconds that a Retry-After may ask for."""


def require_webhook(url: Secret, *, private: bool) -> SplitResult:
    """Return the parts of a webhook's URL.

    Args:
        url: nothing repeats it: who knows it can post.
        private: whether it may be at a private address.

    Raises:
        NotSent: when it may not be used, whatever its host's addresses are.
    """
    try:
        parts = urlsplit(url.reveal())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.username or parts.scheme not in ("https", "http"):
        raise NotSent("the webhook's URL must be https://HOST/PATH", is_final=True)
    if parts.scheme == "http" and not (private and host in LOOPBACK):
        raise NotSent("the webhook's URL must begin with https://", is_final=True)
    if any(character <= " " or character > "~" for character in url.reveal()):
        raise NotSent("the webhook's URL has a character that must be encoded", is_final=True)
    return parts


def post(
    url: Secret,
    message: Message,
    *,
    id_: UUID,
    private: bool = False,
    context: ssl.SSLContext | None = None,
) -> None:
    """Post a message as Slack's incoming webhooks take it: `{"text": …}`.

    Args:
        url: of the webhook.
        message: what it says.
        id_: of the notification, sent as Idempotency-Key.
        private: whether the webhook may be at a private address.
        context: whom to trust; the authorities of the system unless given.

    Raises:
        NotSent: when the receiver did not take it, or whether it did is unknown.
    """
    parts = require_webhook(url, private=private)
    body = msgspec.json.encode({"text": message.slack})
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(id_),
        "User-Agent": "quantum-forge",
    }
    connection = _Checked(parts, private, context)
    try:
        with _deadline(connection):
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, headers)
            reply = connection.getresponse()
            status, said = reply.status, reply.read(200)
            wait = reply.getheader("Retry-After")
    except (OSError, http.client.HTTPException) as error:
        name = type(error).__name__
        raise NotSent(f"the webhook cannot be reached: {name}") from None
    finally:
        connection.close()
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise NotSent(f"the webhook answers {status}: redirects are not followed", is_final=True)
    text = " ".join(said.decode("utf-8", "replace").split())
    raise NotSent(
        f"the webhook answers {status} {text}".rstrip(),
        is_final=status < 500 and status not in PASSING,
        retry_after=_seconds(wait),
    )


class _Checked(http.client.HTTPConnection):
    """A connection to an address that was looked at first."""

    def __init__(self, parts: SplitResult, private: bool, context: ssl.SSLContext | None) -> None:
        self._is_tls = parts.scheme == "https"
        self._private = private
        self._context = context
        port = parts.port or (443 if self._is_tls else 80)
        self._until = time.monotonic() + DEADLINE
        super().__init__(parts.hostname or "", port, timeout=TIMEOUT)

    def connect(self) -> None:
        """Connect to the first address of the host that answers, if all may be used.

        However many addresses the name has, all of it takes no longer than a request may.
        """
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for *_, address in found:
            _require_public(str(address[0]), private=self._private)
        errors: list[OSError] = []
        for *_, address in found:
            try:
                self.sock = socket.create_connection((str(address[0]), self.port), self._left())
                break
            except OSError as error:
                errors.append(error)
        else:
            raise errors[0] if errors else OSError("no address")
        self._left()  # the end of the request may have come before there was a socket to shut
        if self._is_tls:
            context = self._context or ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
            self._left()

    def _left(self) -> float:
        """Return the seconds that the next step may take.

        Raises:
            TimeoutError: when the request has taken as long as it may.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, TIMEOUT)


def _require_public(address: str, *, private: bool) -> None:
    """Refuse addresses of this machine and of private networks.

    Raises:
        NotSent
    """
    if private or _is_public(ipaddress.ip_address(address.partition("%")[0])):
        return
    raise NotSent(
        "the webhook is at a private address; QFORGE_NOTIFY_PRIVATE_WEBHOOKS=yes allows that",
        is_final=True,
    )


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is of a machine on the Internet; an IPv4 address in it must be, too."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if inner is not None:
        return _is_public(inner)
    return address in _GLOBAL_UNICAST and address.is_global


@contextmanager
def _deadline(connection: http.client.HTTPConnection) -> Iterator[None]:
    """End a request that goes on and on, byte by byte."""

    def end() -> None:
        with suppress(OSError):
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(DEADLINE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _seconds(text: str | None) -> float | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return min(float(text), LONGEST_WAIT)
