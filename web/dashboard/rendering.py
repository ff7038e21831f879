"""HTML from templates, and the headers by which a browser runs nothing but our own files."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import jinja2
import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.web.auth.callers import Caller
from quantum_forge.web.auth.cookies import csrf_of, session_token
from quantum_forge.web.dashboard.assets import address_of_asset, has_asset
from quantum_forge.web.rest.errors import RestError

SECURITY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Headers of every page. Nothing of a page is kept: it shows what its reader may see now."""

_NOTICE = "qforge_notice"


class Reader(msgspec.Struct, frozen=True):
    """Who reads a page, for its frame.

    name: of the user. theme: light, dark or auto.
    """

    name: str
    theme: str = "auto"


def render(name: str, /, **context: Any) -> str:
    """Return a template filled in; whatever is no Markup is escaped."""
    html: str = _environment().get_template(name).render(context)
    return html


def page_response(
    request: Request,
    name: str,
    /,
    *,
    status: int = 200,
    headers: Mapping[str, str] = {},
    reader: Reader | None = None,
    **context: Any,
) -> Response:
    """Return a whole page, with the notice that a form has left for it.

    Args:
        request: that is answered.
        name: of the template.
        status: of the reply.
        headers: besides those of every page.
        reader: for the frame; None: nobody has signed in.
        context: of the template.
    """
    token = session_token(request)
    notice = request.cookies.get(_NOTICE)
    caller = getattr(request.state, "caller", None)
    context = {
        "caller": caller if isinstance(caller, Caller) else None,
        "csrf": None if token is None else csrf_of(token),
        "notice": None if notice is None else unquote(notice),
        "path": request.url.path,
        "reader": reader or Reader(""),
    } | context
    response = Response(
        render(name, **context),
        status,
        {**SECURITY, **headers},
        media_type="text/html",
    )
    if notice is not None:
        response.delete_cookie(_NOTICE, httponly=True, samesite="strict")
    return response


def see_other(
    location: str, *, notice: str | None = None, headers: Mapping[str, str] = {}
) -> Response:
    """Return a redirect to one of our own paths, which shows a notice there."""
    response = Response(
        b"", 303, {**SECURITY, **headers, "Location": quote(location, safe="/?&=%:;,+*~()!'@")}
    )
    if notice is not None:
        response.set_cookie(
            _NOTICE, quote(notice), max_age=30, httponly=True, samesite="strict", path="/"
        )
    return response


def error_page(request: Request, error: RestError) -> Response:
    """Return an error as a page."""
    kept = ("retry-after", "allow")
    headers = {k: v for k, v in dict(error.headers).items() if k.lower() in kept}
    request.state.error = error.message
    return page_response(
        request,
        "error.html",
        status=error.status,
        headers=headers,
        error=error,
        title="Error",
        has_conditions=request.method == "GET" and bool(request.url.query),
    )


def wants_page(request: Request) -> bool:
    """Whether a browser wants something to show to a person."""
    return "text/html" in request.headers.get("accept", "")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": address_of_asset, "has_asset": has_asset}
    environment.filters |= {
        "time": _time,
        "number": _number,
        "duration": _duration,
        "since": lambda moment: max(0.0, (datetime.now(UTC) - moment).total_seconds()),
        "json": lambda value: msgspec.json.encode(value).decode(),
    }
    return environment


def _time(moment: datetime | None) -> Markup:
    """A time in UTC, to the second, as an element that scripts can read."""
    if moment is None:
        return Markup("–")
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(), moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", "\N{NO-BREAK SPACE}")


def _duration(seconds: float | None) -> str:
    """A length of time in its two largest units: 2 h 5 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else "under 1 s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
