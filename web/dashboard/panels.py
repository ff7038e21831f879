"""Pages made of panels: each reads one statement, and can be fetched again by itself.

The address of a page is its whole state: its parameters are those of the page's `query`, and with
`panel=NAME` the same address answers with that panel alone: so an open page stays current.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request

from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth.callers import READ, Caller
from quantum_forge.web.dashboard.rendering import render
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.server import Server

PANEL = "panel"
"""Parameter that asks for one panel of a page."""

_Found = TypeVar("_Found")


class NoQuery(msgspec.Struct, frozen=True):
    """The parameters of a page that has none."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a panel has to read with.

    connection: in the transaction of the caller, which can only read. caller: who looks; has a
    tenant. query: parameters of the page, an instance of its `query`. server: settings and limits.
    shared: see `once`.
    """

    connection: Connection
    caller: Caller
    query: Any
    server: Server
    shared: dict[Callable[..., Any], Any] = msgspec.field(default_factory=dict)

    @property
    def tenant_id(self) -> UUID:
        """The tenant of the caller."""
        return self.server.tenant_of(self.caller)

    def once(self, read: Callable[["Asked"], _Found]) -> _Found:
        """Return what `read` finds, which the panels of a page that ask for it share."""
        if read not in self.shared:
            self.shared[read] = read(self)
        found: _Found = self.shared[read]
        return found


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a page.

    name: unique in its page. title: its heading. read: executes one statement and returns what the
    template gets as `data`; None: there is nothing to read. template: below `templates/`. live:
    types of events after which an open page fetches it again; `*`: any. needs: least role of
    whoever sees it. reads_log: whether it reads the log, keys or sessions, which the database role
    of readers may not. several: whether a function of the library answers
    it by more than one statement, such as the audit trail by the histories of entities.
    """

    name: str
    title: str
    read: Callable[[Asked], Any] | None
    template: str
    live: tuple[str, ...] = ()
    needs: Role = Role.VIEWER
    reads_log: bool = False
    several: bool = False


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """What a form has to act with.

    request: that sent it. caller: who pressed. form: its fields. query: see `Asked`.
    """

    request: Request
    caller: Caller
    form: Mapping[str, str]
    query: Any
    server: Server


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What comes after a form.

    notice: shown on the page that is gone to. location: that page, a path of ours; None: the one
    with the form. template, data: shown at once instead, for what is shown only once.
    """

    notice: str | None = None
    location: str | None = None
    template: str | None = None
    data: Any = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What a form does.

    needs: least role of whoever may press its button; the recorder asks again, event by event.
    """

    act: Callable[[Acting], Done]
    needs: Role = Role.VIEWER


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page.

    path: of its address, as Starlette writes it; its parameters are among those of `query`. title:
    in the navigation and the browser's tab. panels: from top to bottom. query: a Struct of its
    parameters, all with defaults but those of the path. needs: least role of whoever sees it.
    actions: what its forms do, by the name in their field `action`. in_navigation: whether each
    page links to it. template: around the panels.
    """

    path: str
    title: str
    panels: tuple[Panel, ...]
    query: type[msgspec.Struct] = NoQuery
    needs: Role = Role.VIEWER
    actions: Mapping[str, Action] = {}
    in_navigation: bool = True
    template: str = "page.html"

    def seen_by(self, caller: Caller) -> list[Panel]:
        """Return the panels that a caller may see."""
        return [
            panel
            for panel in self.panels
            if caller.may(panel.needs, READ) and (caller.has_auditor or not panel.reads_log)
        ]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A panel, filled in."""

    panel: Panel
    html: str


def read_query(page: Page, request: Request) -> Any:
    """Return the parameters of a page from the address of a request.

    An empty parameter counts as absent, as forms send those that were left empty.

    Raises:
        RestError: 400, naming the parameter.
    """
    kinds = get_type_hints(page.query)
    found: dict[str, Any] = dict(request.path_params)
    for name, value in request.query_params.multi_items():
        if name == PANEL or value == "":
            continue
        if name not in kinds:
            known = ", ".join(kinds) or "none"
            raise _wrong(f"unknown parameter {name!r}", f"This page takes: {known}.")
        if _is_list(kinds[name]):
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    try:
        return msgspec.convert(found, page.query, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(*_in_plain_words(str(error), found, kinds)) from None


_KINDS = {
    "float": ("a number", "Write it with a point: 2.5"),
    "int": ("a whole number", "Write digits alone: 12"),
    "bool": ("true or false", "Write true or false."),
    "uuid": ("an id", "Write all of it: 0194e1f0-0000-7000-8000-000000000001"),
}


def _in_plain_words(
    reason: str, found: Mapping[str, Any], kinds: Mapping[str, Any]
) -> tuple[str, str]:
    """Say which parameter is wrong, and what it takes, for what msgspec says of a conversion."""
    place = re.search(r" - at `\$\.(\w+)", reason)
    if place is None:
        return "a parameter of the address is wrong", reason
    name = place[1]
    value = found.get(name)
    for kind, (words, example) in _KINDS.items():
        if re.match(rf"(?:Expected `|Invalid ){kind}\b", reason, re.IGNORECASE):
            return f"{name}: {value!r} is not {words}", example
    choices = ", ".join(str(each) for each in get_args(kinds[name]))
    return f"{name}: {value!r} is not one of its values", choices and f"It takes: {choices}."


def address(path: str, **parameters: Any) -> str:
    """Return an address of ours; parameters that are None are left out, lists are repeated."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def address_of(path: str, query: msgspec.Struct, **changes: Any) -> str:
    """Return the address of a page with the parameters of a query, some of them changed."""
    given = {
        field.name: value
        for field in msgspec.structs.fields(query)
        if (value := getattr(query, field.name)) != field.default
    }
    return address(path, **{**given, **changes})


def show(panel: Panel, asked: Asked, context: Mapping[str, Any]) -> Shown:
    """Read a panel and fill it in."""
    data = None if panel.read is None else panel.read(asked)
    html = render(
        panel.template,
        **{**context, "data": data, "query": asked.query, "caller": asked.caller, "panel": panel},
    )
    return Shown(panel=panel, html=html)


def _is_list(kind: Any) -> bool:
    return any(get_origin(each) in (list, tuple) for each in (kind, *get_args(kind)))


def _wrong(message: str, hint: str) -> RestError:
    return RestError(400, "PGRST100", message, hint=hint)
