"""Routes of the dashboard: its pages, sign-in, exports and static files."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import AUDITOR, READ, WRITE, Caller
from quantum_forge.web.dashboard.assets import static
from quantum_forge.web.dashboard.drawing import DRAWING, drawing
from quantum_forge.web.dashboard.export import export
from quantum_forge.web.dashboard.forms import CSRF, fields_of
from quantum_forge.web.dashboard.frame import frames_of
from quantum_forge.web.dashboard.pages.account import ACCOUNT
from quantum_forge.web.dashboard.pages.audit import AUDIT, export_audit
from quantum_forge.web.dashboard.pages.calculation import CALCULATION
from quantum_forge.web.dashboard.pages.calculations import CALCULATIONS
from quantum_forge.web.dashboard.pages.campaign import CAMPAIGN, RETRACT
from quantum_forge.web.dashboard.pages.campaigns import CAMPAIGNS
from quantum_forge.web.dashboard.pages.datasets import DATASETS, DIFFERENCE, TAKEN, take_dataset
from quantum_forge.web.dashboard.pages.editor import EDITOR
from quantum_forge.web.dashboard.pages.events import EVENTS
from quantum_forge.web.dashboard.pages.health import HEALTH
from quantum_forge.web.dashboard.pages.molecules import MOLECULE, MOLECULES
from quantum_forge.web.dashboard.pages.overview import OVERVIEW
from quantum_forge.web.dashboard.pages.performance import PERFORMANCE
from quantum_forge.web.dashboard.pages.search import SEARCH
from quantum_forge.web.dashboard.panels import (
    PANEL,
    Acting,
    Asked,
    Done,
    Page,
    address,
    read_query,
    show,
)
from quantum_forge.web.dashboard.rendering import (
    SECURITY,
    error_page,
    page_response,
    see_other,
)
from quantum_forge.web.dashboard.sign_in import LINK, LOGIN, LOGOUT, link, login, logout, to_sign_in
from quantum_forge.web.failures import answer, rest_error
from quantum_forge.web.parts import parts_of
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.server import Server

PAGES: Final[tuple[Page, ...]] = (
    OVERVIEW,
    CAMPAIGNS,
    CAMPAIGN,
    RETRACT,
    MOLECULES,
    MOLECULE,
    CALCULATIONS,
    CALCULATION,
    EDITOR,
    DATASETS,
    DIFFERENCE,
    PERFORMANCE,
    SEARCH,
    AUDIT,
    EVENTS,
    ACCOUNT,
    HEALTH,
)
"""Every page, in the order of the navigation."""

_Endpoint = Callable[[Request], Awaitable[Response]]


def dashboard_routes() -> list[Route]:
    """Return the routes, which are beside those of the REST dialect."""
    return [
        Route("/static/{digest}/{name:path}", static),
        Route(DRAWING, _as_page(drawing)),
        Route(TAKEN, _as_page(take_dataset)),
        Route(LOGIN, _as_page(login), methods=["GET", "HEAD", "POST"]),
        Route(LINK, _as_page(link)),
        Route(LOGOUT, _as_page(logout), methods=["POST"]),
        Route("/export/{table}.{form}", _as_page(export)),
        Route("/audit.csv", _as_page(export_audit)),
        *(_route(page) for page in PAGES),
    ]


def _route(page: Page) -> Route:
    methods = ["GET", "HEAD", *(["POST"] if page.actions else [])]
    return Route(page.path, _as_page(partial(_answer, page)), methods=methods)


def _as_page(endpoint: _Endpoint) -> _Endpoint:
    """Return the same endpoint, whose errors are pages, and which nobody counts as use of the API.

    A page that is open asks again and again; an event for each would make it ask again.
    """

    async def answered(request: Request) -> Response:
        request.state.unrecorded = True
        try:
            return await endpoint(request)
        except Exception as error:
            known = rest_error(error)
            if known is None:
                await answer(request, error)  # the log of the server says what it is
                known = RestError(
                    500, "XX000", "internal error", details=f"Request {request.state.id}"
                )
            if known.status == 401 and request.method in ("GET", "HEAD"):
                if PANEL in request.query_params:
                    return Response(b"", 401, SECURITY)
                return to_sign_in(request)
            return error_page(request, known)

    return answered


async def _answer(page: Page, request: Request) -> Response:
    """Answer a request for a page, for one of its panels, or what one of its forms sends."""
    server = parts_of(request).server
    if request.method == "POST":
        return await _act(page, request, server)
    caller = await server.caller(request)
    if caller.is_anonymous:
        raise RestError(401, "PGRST302", "the dashboard requires to sign in")
    server.tenant_of(caller)
    caller.require(page.needs, READ, f"the page {page.title}")
    query = read_query(page, request)
    name = request.query_params.get(PANEL)
    return await server.in_thread(lambda: _shown(page, request, server, caller, query, name))


def _shown(
    page: Page,
    request: Request,
    server: Server,
    caller: Caller,
    query: Any,
    name: str | None,
    context: Mapping[str, Any] = {},
) -> Response:
    """Read the panels of a page in one transaction, so that they agree."""
    panels = page.seen_by(caller)
    if not panels:
        missing = f"the page {page.title} requires the database role {AUDITOR}"
        raise RestError(403, "42501", f"permission denied: {missing}")
    if name is not None:
        panels = [panel for panel in panels if panel.name == name]
        if not panels:
            raise RestError(404, "PGRST125", f"the page {page.title} has no panel {name!r}")
    by_role = caller
    if any(panel.reads_log for panel in panels):
        by_role = caller.as_auditor(f"the page {page.title}")
    context = {"page": page, "pages": _pages_of(caller), **context}
    frame = frames_of(request).of(server, caller, request)
    with server.reading(by_role, request) as connection:
        asked = Asked(connection=connection, caller=caller, query=query, server=server)
        frame_context = {"csrf": frame.csrf, "address": address, "path": request.url.path}
        shown = [show(panel, asked, {**context, **frame_context}) for panel in panels]
    if name is not None:
        headers = {**SECURITY, "Content-Type": "text/html; charset=utf-8"}
        return Response(shown[0].html, headers=headers)
    return page_response(
        request,
        page.template,
        reader=frame.reader,
        title=page.title,
        panels=shown,
        query=query,
        follows=caller.may(Role.RESEARCHER, READ) and caller.has_auditor,
        **context,
    )


def _pages_of(caller: Caller) -> list[Page]:
    return [page for page in PAGES if page.in_navigation and caller.may(page.needs, READ)]


async def _act(page: Page, request: Request, server: Server) -> Response:
    """Do what a form asks for.

    Raises:
        RestError: 403 without the CSRF token or the role, 400 for an unknown action.
    """
    form = await fields_of(request)
    caller = await server.caller(request, csrf=form.get(CSRF, ""))
    server.tenant_of(caller)
    action = page.actions.get(form.get("action", ""))
    if action is None:
        known = ", ".join(page.actions)
        raise RestError(400, "22023", f"the page {page.title} knows the actions {known}")
    caller.require(page.needs, READ, f"the page {page.title}")
    caller.require(action.needs, WRITE, f"the button {form['action']}")
    acting = Acting(
        request=request,
        caller=caller,
        form=form,
        query=read_query(page, request),
        server=server,
    )
    done: Done = await server.in_thread(lambda: action.act(acting))
    frames = frames_of(request)
    frames.forget(caller)
    if done.template is not None:
        frame = frames.of(server, caller, request)
        return page_response(
            request,
            done.template,
            reader=frame.reader,
            title=page.title,
            data=done.data,
            page=page,
            pages=_pages_of(caller),
        )
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return see_other(done.location or here, notice=done.notice)
