"""Addresses of clients, where trusted proxies pass requests on (X-Forwarded-For)."""

import ipaddress
from collections.abc import Collection, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from quantum_forge.web.settings import Network


class BehindProxies:
    """ASGI middleware that makes the address of the client the one that a trusted proxy tells.

    Args:
        app: what it wraps.
        trusted: proxies; where there is none, the header is not read.
        head_seconds: for which the head of a request may take to arrive (`web/heads.py`).
    """

    def __init__(self, app: ASGIApp, trusted: Collection[Network], *, head_seconds: float) -> None:
        self.head_seconds = head_seconds
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if self._trusted and scope["type"] == "http" and scope.get("client"):
            forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
            address = client_of(scope["client"][0], forwarded, self._trusted)
            if address != scope["client"][0]:
                scope = {**scope, "client": (address, 0)}
        await self._app(scope, receive, send)


def client_of(peer: str, forwarded: Sequence[str], trusted: Collection[Network]) -> str:
    """Return the right-most address that is no trusted proxy; those left of it may be invented.

    Args:
        peer: who opened the connection.
        forwarded: addresses of X-Forwarded-For; the last one was added last.
        trusted: proxies.
    """
    client = peer
    for each in reversed(forwarded):
        if not _is_in(client, trusted) or (told := _address(each)) is None:
            break
        client = told
    return client


def _is_in(address: str, networks: Collection[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)


def _address(text: str) -> str | None:
    """An address, with or without a port; None: it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
