"""Account: keys, sessions, preferences and password, each of the one who has signed in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from quantum_forge.schema.domains.users import Role
from tests.support.projecting import wait_until_projected
from tests.support.web import TENANT, bearer, client
from tests.web.conftest import PASSWORD, Served, account
from tests.web.dashboard.conftest import Signed, sign_in


@contextmanager
def somebody(served: Served, name: str) -> Iterator[tuple[Signed, httpx2.Client]]:
    """A new researcher who has signed in twice."""
    served.accounts[name] = account(served.engine, TENANT, name, Role.RESEARCHER)
    with sign_in(served, name) as here, sign_in(served, name) as there:
        wait_until_projected(served.engine)
        yield Signed(here), there


def test_a_key_is_shown_once_and_revoked(served: Served, signed_in: dict[str, Signed]) -> None:
    """It is limited to its scopes; nobody revokes a key of another."""
    with somebody(served, "kim") as (kim, _):
        shown = kim.post(
            "/account", action="issue_key", name="<notebook>", scope_read="on", days="7"
        )
        assert shown.headers["cache-control"] == "no-store"
        found = re.search(r'<pre id="key">(qf_[\w-]+)', shown.text)
        assert found is not None
        with client(served.url) as program:
            headers = bearer(found[1])
            assert program.get("/rest/v1/molecules?limit=1", headers=headers).status_code == 200
            reply = program.post("/rest/v1/projects", json={"name": "x"}, headers=headers)
            assert reply.status_code == 403
            # A key reads pages, and presses no button that changes the account.
            form = {"action": "issue_key", "name": "without scopes"}
            assert program.post("/account", data=form, headers=headers).status_code == 403
        wait_until_projected(served.engine)
        page = kim.page("/account")
        assert "&lt;notebook&gt;" in page
        assert found[1] not in page

        (key_id,) = re.findall(r'name="key_id" value="([^"]+)"', page.partition("notebook")[2])[:1]
        refused = signed_in["bob"].post("/account", action="revoke_key", key_id=key_id)
        assert refused.status_code == 403
        assert "is revoked" in kim.post("/account", action="revoke_key", key_id=key_id).text
        assert kim.post("/account", action="issue_key", name="").status_code == 400
        assert kim.post("/account", action="issue_key", name="x", days="x").status_code == 400


def test_a_session_is_ended_from_another(served: Served) -> None:
    """At once in the process that ended it; the own one stays."""
    with somebody(served, "lee") as (here, there):
        page = here.page("/account")
        assert "this one" in page
        assert there.get("/", follow_redirects=False).status_code == 200
        assert "Sessions ended: 1" in here.post("/account", action="end_others").text
        assert there.get("/", follow_redirects=False).status_code == 303
        here.page("/account")


def test_preferences_are_stored_and_colour_the_pages(served: Served) -> None:
    """What is left empty goes back to the default."""
    with somebody(served, "max") as (max_, _):
        done = max_.post("/account", action="change_preferences", theme="dark", language="")
        assert "are stored" in done.text
        wait_until_projected(served.engine)
        served_again = max_.post("/account", action="change_preferences", theme="dark")
        assert 'data-theme="dark"' in served_again.text
        assert max_.post("/account", action="change_preferences", theme="odd").status_code == 400


def test_a_new_password_ends_every_session(served: Served) -> None:
    """It takes the present one, and the new one twice."""
    with somebody(served, "joe") as (joe, there):
        new = {"new": "another long password", "again": "another long password"}
        change = {"action": "change_password", **new}
        assert joe.post("/account", **change, current="wrong password").status_code == 400
        assert joe.post("/account", **{**change, "again": "x"}, current=PASSWORD).status_code == 400
        done = joe.post("/account", **change, current=PASSWORD)
        assert "Your password is changed" in done.text
        assert done.url.path == "/login"
        assert joe.http.get("/", follow_redirects=False).status_code == 303
        with sign_in(served, "joe", "another long password") as again:
            assert again.get("/account").status_code == 200
        assert there.get("/auth/v1/user").status_code in (200, 401)  # within five seconds
