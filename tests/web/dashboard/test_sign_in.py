"""Signing in by a browser: the session is in a cookie, and only pages of ours may use it."""

import httpx2
import pytest

from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.web.auth.local import LINK_SECONDS, LocalSignIn
from quantum_forge.web.dashboard.forms import own_path
from quantum_forge.web.dashboard.panels import PANEL
from tests.web.conftest import PASSWORD, Served
from tests.web.dashboard.conftest import Signed, csrf_in, sign_in


def test_a_person_signs_in_comes_back_and_signs_out(served: Served) -> None:
    """The page that was asked for comes after the form; the cookie opens nothing once it ended."""
    with httpx2.Client(base_url=served.url, timeout=30) as browser:
        reply = browser.get("/?x=1", headers={"Accept": "text/html"})
        assert (reply.status_code, reply.headers["location"]) == (303, "/login?next=%2F%3Fx%3D1")
        assert browser.get("/", params={PANEL: "health"}).status_code == 401

        fields = {"name": "bob", "password": PASSWORD, "next": "/"}
        reply = browser.post("/login", data=fields, headers={"Origin": served.url})
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" not in cookie
        assert reply.headers["cache-control"] == "no-store"
        behind_tls = browser.post(
            "/login", data=fields, headers={"Origin": served.url.replace("http:", "https:")}
        )
        assert behind_tls.headers["set-cookie"].endswith("; Secure")
        browser.post("/login", data=fields)
        page = browser.get("/").text
        assert "bob <small>(researcher)</small>" in page

        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        assert browser.post("/logout", data={"csrf": "guessed"}).status_code == 403
        reply = browser.post("/logout", data={"csrf": csrf_in(page)})
        assert (reply.status_code, reply.headers["location"]) == (303, "/login")
        assert dict(browser.cookies) == {}
        again = browser.get("/", headers=sent)
        assert (again.status_code, again.headers["location"]) == (303, "/login")


def test_a_refused_sign_in_does_not_say_why(served: Served) -> None:
    """A wrong password and an unknown name have the same page, but for the name."""
    with httpx2.Client(base_url=served.url, timeout=30) as browser:
        pages = []
        for name in ("bob", "nobody"):
            reply = browser.post("/login", data={"name": name, "password": "wrong password"})
            assert reply.status_code == 401
            assert "set-cookie" not in reply.headers
            pages.append(reply.text.replace(name, "NAME"))
        assert pages[0] == pages[1]
        for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "same-site"}):
            fields = {"name": "bob", "password": PASSWORD}
            assert browser.post("/login", data=fields, headers=headers).status_code == 403
        assert browser.post("/login", json={"name": "bob"}).status_code == 415


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": "0" * 64},
        {"Sec-Fetch-Site": "same-site", "X-CSRF-Token": "right"},
        {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": "right"},
        {"Origin": "http://127.0.0.1:1", "X-CSRF-Token": "right"},
        {"Origin": "null", "X-CSRF-Token": "right"},
    ],
    ids=lambda headers: ",".join(headers) or "nothing",
)
def test_a_cookie_writes_nothing_without_the_token_of_a_page_of_ours(
    signed_in: dict[str, Signed], headers: dict[str, str]
) -> None:
    """For cookies, another port of the same host is the same site."""
    bob = signed_in["bob"]
    right = csrf_in(bob.page("/"))
    sent = {name: right if value == "right" else value for name, value in headers.items()}
    reply = bob.http.post("/rest/v1/projects", json={"name": "Malaria"}, headers=sent)
    assert (reply.status_code, reply.json()["code"]) == (403, "QF403")


def test_a_cookie_reads_and_writes_as_its_user(signed_in: dict[str, Signed]) -> None:
    """By the same roles as a key: the address, the header and the browser agree."""
    bob, eve = signed_in["bob"], signed_in["eve"]
    for who, status in ((bob, 201), (eve, 403)):
        headers = {"X-CSRF-Token": csrf_in(who.page("/")), "Sec-Fetch-Site": "same-origin"}
        reply = who.http.post("/rest/v1/projects", json={"name": "Dengue"}, headers=headers)
        assert reply.status_code == status, reply.text
        reply = who.http.get("/rest/v1/calculations?limit=1")
        assert reply.status_code == 200
        assert reply.headers["cache-control"] == "private, no-cache"
        assert "Cookie" in reply.headers["vary"]
        assert who.http.get("/rest/v1/event_logs?limit=1").status_code == 403
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert who.http.get("/rest/v1/calculations", headers=foreign).status_code == 403


def test_a_link_on_another_site_comes_again_by_itself(served: Served) -> None:
    """Browsers send no strict cookie with it: only the second request has one."""
    with httpx2.Client(base_url=served.url, timeout=30) as browser:
        headers = {"Sec-Fetch-Site": "cross-site", "Accept": "text/html"}
        page = browser.get("/?status=failed", headers=headers)
        assert page.status_code == 200
        assert 'content="0; url=/login?next=/%3Fstatus%3Dfailed"' in page.text
    with sign_in(served, "bob") as bob:
        reply = bob.get("/login?next=/%3Fstatus%3Dfailed", follow_redirects=False)
        assert (reply.status_code, reply.headers["location"]) == (303, "/?status=failed")


@pytest.mark.parametrize(
    ("next_", "leads_to"),
    [
        ("/campaigns?status=failed", "/campaigns?status=failed"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("/\t/elsewhere.example", "/"),
        ("https://elsewhere.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_a_sign_in_leads_to_a_page_of_ours_only(next_: str | None, leads_to: str) -> None:
    """Whatever a link has put there."""
    assert own_path(next_) == leads_to


def test_the_link_of_this_machine_is_valid_once_and_for_a_short_time() -> None:
    """Each token lets in once; its session lasts until it is ended."""
    now = [0.0]
    local = LocalSignIn(clock=lambda: now[0])
    first, late = local.link(), local.link()

    session = local.redeem(first)
    assert session is not None
    assert local.knows(session)
    assert local.redeem(first) is None
    assert not local.knows(Secret("guessed"))
    now[0] = LINK_SECONDS + 1
    assert local.redeem(late) is None
    assert local.knows(session)
    local.end(session)
    assert not local.knows(session)
