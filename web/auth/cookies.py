"""Session cookies of browsers, and the proof that a page of ours sent a request that brings one.

Browsers send a cookie with whatever request a page makes, also a page of another program on the
same host: for cookies, ports are one site. So a cookie lets in only where the browser says that the
request is one of our own (Sec-Fetch-Site, Origin), and whatever is not GET brings a token, too,
which only our pages contain.
"""

import hashlib
import hmac
from collections.abc import Mapping

from starlette.requests import Request

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.web.rest.errors import RestError

CSRF_HEADER = "x-csrf-token"
_COOKIE = "qforge_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: a page of ours, and the person at the browser."""


def cookie_name(request: Request) -> str:
    """Return the name of the session cookie: with the port, as cookies are shared between ports."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"{_COOKIE}_{port}" if port.isascii() and port.isdigit() else _COOKIE


def session_token(request: Request) -> Secret | None:
    """Return the token in the cookie of a request; None: it has none."""
    value = request.cookies.get(cookie_name(request))
    return Secret(value) if value else None


def csrf_of(token: Secret) -> str:
    """Return what a page has to send along with whatever changes something in a session."""
    return hmac.digest(token.reveal().encode(), b"csrf", hashlib.sha256).hex()


def require_own_page(request: Request, token: Secret, given: str | None) -> None:
    """Refuse a request that brings a cookie, and that no page of ours has sent.

    Args:
        request: with the cookie.
        token: in the cookie.
        given: the CSRF token that came along, in a header or a form.

    Raises:
        RestError: 403.
    """
    if not is_own(request):
        raise _foreign("it was sent by a page of another site")
    if request.method in _SAFE:
        return
    if given is None or not hmac.compare_digest(given.encode(), csrf_of(token).encode()):
        raise _foreign(f"its {CSRF_HEADER.title()} is not that of the session")


def is_own(request: Request) -> bool:
    """Whether a page of ours, or the person at the browser, sent a request, as the browser says.

    A browser that says nothing is too old for it, or no browser.
    """
    headers: Mapping[str, str] = request.headers
    if headers.get("sec-fetch-site", "none") not in _OWN:
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def set_cookie(request: Request, token: Secret, *, seconds: int | None) -> dict[str, str]:
    """Return the header that gives a browser its session; without seconds, until it is closed."""
    parts = [
        f"{cookie_name(request)}={token.reveal()}",
        "Path=/",
        "HttpOnly",
        "SameSite=Strict",
    ]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if is_https(request):
        parts.append("Secure")
    return {"Set-Cookie": "; ".join(parts)}


def is_https(request: Request) -> bool:
    """Whether the browser uses TLS, with the server or, as Origin says, with a proxy."""
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.startswith("https://")


def _foreign(why: str) -> RestError:
    return RestError(
        403,
        "QF403",
        f"the session cookie does not let this request in: {why}",
        hint=f"Programs send a key as Authorization: Bearer; pages send {CSRF_HEADER.title()}.",
    )
