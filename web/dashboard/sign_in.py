"""Signing in and out by a browser: the session is in a cookie."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.eventstore.actions.accounts.sessions import Sessions
from quantum_forge.eventstore.base.errors import RuleBroken
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.web.accounts import Refused
from quantum_forge.web.auth.cookies import is_own, session_token, set_cookie
from quantum_forge.web.auth.peers import is_of_another_user
from quantum_forge.web.dashboard.forms import CSRF, fields_of, own_path
from quantum_forge.web.dashboard.panels import address
from quantum_forge.web.dashboard.rendering import page_response, see_other
from quantum_forge.web.parts import parts_of
from quantum_forge.web.rest.errors import RestError

LOGIN, LOGOUT, LINK = "/login", "/logout", "/login/link"

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def to_sign_in(request: Request) -> Response:
    """Return the way to the page where one signs in, and back.

    A link on another site brings no cookie, as it is SameSite=Strict: the browser is asked to come
    again by itself, and then it does.
    """
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if session_token(request) is None and request.headers.get("sec-fetch-site") in (
        "cross-site",
        "same-site",
    ):
        return page_response(request, "again.html", title="One moment", here=own_path(here))
    return see_other(address(LOGIN, next=None if here == "/" else own_path(here)))


async def login(request: Request) -> Response:
    """Answer GET and POST /login.

    Raises:
        RestError: 403 for a form of another site, 429 after too many failures.
    """
    if request.method != "POST":
        next_ = own_path(request.query_params.get("next"))
        is_in = session_token(request) is not None and await _is_signed_in(request)
        return see_other(next_) if is_in else _form(request, next_=next_)
    fields = await fields_of(request)
    if not is_own(request):
        raise RestError(403, "QF403", "the form was sent by a page of another site")
    next_ = own_path(fields.get("next"))
    name, password = fields.get("name", ""), fields.get("password", "")
    code = fields.get("code", "").strip()
    if not name or not password:
        return _form(request, next_=next_, name=name, trouble="Give a name and a password.")
    try:
        _, opened = await parts_of(request).accounts.sign_in(
            request, name, Secret(password), Secret(code) if code else None
        )
    except Refused as refused:
        asks_for_code = refused.code == "insufficient_aal"
        trouble = (
            "Your account has a second factor: give the password again, and a code of the "
            "authenticator app or a recovery code."
            if asks_for_code
            else "No account has this name and password, or too many logins have failed."
        )
        return _form(
            request, next_=next_, name=name, trouble=trouble, asks_for_code=asks_for_code or code
        )
    seconds = int((opened.expires_at - datetime.now(UTC)).total_seconds())
    return see_other(next_, headers=set_cookie(request, opened.token, seconds=seconds))


async def link(request: Request) -> Response:
    """Answer GET /login/link?token=…: the link of `qforge ui`, valid once.

    Raises:
        RestError: 404 where the server has no such links; 403 for one that is not valid.
    """
    server = parts_of(request).server
    is_here = urlsplit(f"//{request.headers.get('host', '')}").hostname in _LOOPBACK
    if server.local is None or not is_here:
        raise RestError(404, "PGRST125", "this server lets nobody in by a link")
    client, here = request.client, request.scope.get("server")
    if client is not None and here is not None and is_of_another_user(client, here):
        raise RestError(403, "QF403", "the link is for the user who started qforge ui")
    session = server.local.redeem(Secret(request.query_params.get("token", "")))
    if session is None:
        raise RestError(
            403,
            "QF403",
            "the link has been used, or is too old",
            hint="Stop qforge ui and start it again: it opens a new one.",
        )
    return see_other("/", headers=set_cookie(request, session, seconds=None))


async def logout(request: Request) -> Response:
    """Answer POST /logout: the session ends, and the cookie is taken away.

    Raises:
        RestError: 403 without the CSRF token.
    """
    fields = await fields_of(request)
    server = parts_of(request).server
    token = session_token(request)
    if token is None:
        return see_other(LOGIN)
    caller = await server.caller(request, csrf=fields.get(CSRF, ""))
    if server.local is not None:
        server.local.end(token)
    recorder = server.recorder_for(caller, request)

    def close() -> None:
        sessions = Sessions(recorder)
        if not sessions.knows(token):
            return
        session_id = sessions.recognise(token).id
        try:
            sessions.close(session_id)
        except RuleBroken:
            return  # it has ended already
        finally:
            server.callers.forget_session(recorder.tenant_id, session_id)

    await server.in_thread(close)
    return see_other(LOGIN, headers=set_cookie(request, Secret(""), seconds=0))


async def _is_signed_in(request: Request) -> bool:
    try:
        await parts_of(request).server.caller(request)
    except RestError:
        return False
    return True


def _form(
    request: Request,
    *,
    next_: str,
    name: str = "",
    trouble: str | None = None,
    asks_for_code: object = False,
) -> Response:
    return page_response(
        request,
        "login.html",
        status=200 if trouble is None else 401,
        title="Sign in",
        next=next_,
        name=name,
        trouble=trouble,
        asks_for_code=bool(asks_for_code),
    )
