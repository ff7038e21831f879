"""What is true of each page: headers, size, one statement for each panel, errors as pages."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from quantum_forge.web.auth import remembered
from quantum_forge.web.dashboard.routes import PAGES
from tests.web.dashboard.conftest import Signed

PATHS = [page.path for page in PAGES if page.in_navigation]


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements of requests: projector and record of usage have own threads."""
    found: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if threading.current_thread().name.startswith("AnyIO worker"):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_runs_only_files_of_its_own(signed_in: dict[str, Signed], path: str) -> None:
    """By its policy, and by what it has: no script, style or handler is in the page itself."""
    reply = signed_in["ada"].http.get(path)
    assert reply.status_code == 200
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "same-origin"
    assert reply.headers["cache-control"] == "no-store"
    html = reply.text.lower()
    assert "<style" not in html
    assert " style=" not in html
    assert " onclick=" not in html
    assert "<script>" not in html
    assert '<html lang="en"' in html
    assert 'class="skip"' in html


def test_the_first_page_is_small(signed_in: dict[str, Signed]) -> None:
    """With style sheet and scripts of ours, below 100 kB."""
    ada = signed_in["ada"]
    html = ada.page("/")
    size = len(html.encode())
    for part in html.split('"'):
        if part.startswith("/static/") and "/vendor/" not in part:
            reply = ada.http.get(part)
            assert reply.status_code == 200
            assert "immutable" in reply.headers["cache-control"]
            size += len(reply.content)
    assert size < 100_000


@pytest.mark.parametrize("path", PATHS)
def test_each_panel_is_one_statement(
    signed_in: dict[str, Signed], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction; who reads it is known from the page before, for some seconds."""
    monkeypatch.setattr(remembered, "TRUSTED_FOR", 600.0)  # this machine may be slow
    ada = signed_in["ada"]
    (page,) = (each for each in PAGES if each.path == path)
    ada.page(path)
    with statements() as found:
        ada.page(path)
    begin, *read = found
    assert "request.jwt.claims" in begin
    if not any(panel.several for panel in page.panels):
        assert len(read) == sum(panel.read is not None for panel in page.panels), read


def test_each_link_of_a_page_leads_to_a_page(signed_in: dict[str, Signed]) -> None:
    """One of each kind, by its path without ids and the names of its parameters; no downloads."""
    ada = signed_in["ada"]
    kinds: dict[tuple[str, frozenset[str]], str] = {}
    for path in PATHS:
        for tag in re.findall(r"<a ([^>]*)>", ada.page(path)):
            found = re.search(r'href="(/[^"]*)"', tag)
            if found is None or " download" in tag:
                continue
            address = unescape(found[1])
            place, _, query = address.partition("?")
            names = frozenset(dict(parse_qsl(query)))
            kinds.setdefault((re.sub(r"[0-9a-f-]{36}", "ID", place), names), address)
    assert ("/molecules", frozenset({"gap_from", "gap_to"})) in kinds
    for address in kinds.values():
        ada.page(address)


def test_a_panel_is_fetched_by_itself(signed_in: dict[str, Signed]) -> None:
    """At the address of its page, so that its filters are those of the page."""
    bob = signed_in["bob"]
    html = bob.page("/?panel=health")
    assert html.lstrip().startswith("<dl")
    assert html.strip() in bob.page("/")
    assert bob.http.get("/?panel=nothing").status_code == 404


def test_errors_are_pages(signed_in: dict[str, Signed]) -> None:
    """They say what is wrong, and quote an address without running what is in it."""
    bob = signed_in["bob"]
    reply = bob.http.get("/?<script>=1")
    assert reply.status_code == 400
    assert "unknown parameter" in reply.text
    assert "<script>" not in reply.text
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    for address, message, advice in (
        ("/molecules?gap_from=2,5", "gap_from: &#39;2,5&#39; is not a number", "2.5"),
        ("/calculations?page=x", "page: &#39;x&#39; is not a whole number", "12"),
        ("/calculations/xyz", "id: &#39;xyz&#39; is not an id", "all of it"),
        ("/calculations?by=size", "by: &#39;size&#39; is not one of its values", "gap, energy"),
    ):
        reply = bob.http.get(address)
        assert (reply.status_code, message in reply.text) == (400, True), reply.text
        assert advice in reply.text
    assert 'href="/molecules">The same page' in bob.http.get("/molecules?gap_from=x").text
    lost = bob.http.get("/nowhere", headers={"Accept": "text/html"}).text
    assert "There is no page at /nowhere." in lost
    assert "/rest/v1" not in lost
    assert bob.http.get("/nowhere").json()["code"] == "PGRST125"
    assert bob.http.get("/static/0/../../app.py").status_code == 404
    assert bob.http.get("/static/0/..%2f..%2fapp.py").status_code == 404


def test_an_export_has_the_rows_of_the_same_filters(signed_in: dict[str, Signed]) -> None:
    """As a file, by the rights of whoever takes it."""
    eve = signed_in["eve"]
    reply = eve.http.get("/export/calculations.csv?select=status&status=eq.failed")
    assert set(reply.text.split()) == {"status", "failed"}
    assert reply.headers["content-disposition"] == 'attachment; filename="calculations.csv"'
    assert eve.http.get("/export/calculations.parquet?limit=1").content.startswith(b"PAR1")
    assert eve.http.get("/export/calculations.exe").status_code == 404
    assert eve.http.get("/export/event_logs.csv").status_code == 403
