"""The client that people use already, PyPI's supabase, against a real server."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest
from postgrest.exceptions import APIError
from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from quantum_forge.schema.domains.users import Role
from tests.support.web import TENANT, bearer
from tests.support.web import client as plain_client
from tests.web.conftest import PASSWORD, Served, account

# The client gives postgrest options that postgrest has deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The '(timeout|verify)' parameter is deprecated:DeprecationWarning:supabase"
)


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """Return a client as a program makes one, with the key of a viewer."""
    with connected(served) as made:
        yield made


@contextlib.contextmanager
def connected(served: Served) -> Iterator[Client]:
    """Make a client whose own key may only read; it leaves its connections open."""
    with httpx.Client(timeout=30) as connections:
        options = ClientOptions(auto_refresh_token=False, httpx_client=connections)
        yield create_client(served.url, served.accounts["eve"].key, options)


def test_a_person_logs_in_and_works_as_that_person(client: Client, served: Served) -> None:
    """Rows are written as the user who logged in, and as whoever has the key after that."""
    with pytest.raises(APIError) as refused:
        client.table("projects").insert({"name": "by a viewer"}).execute()
    assert refused.value.code == "42501"
    with pytest.raises(AuthApiError, match="Invalid login credentials") as wrong:
        client.auth.sign_in_with_password({"email": "bob@example.org", "password": "wrong wrong"})
    assert wrong.value.code == "invalid_credentials"

    given = client.auth.sign_in_with_password({"email": "bob@example.org", "password": PASSWORD})
    bob = str(served.accounts["bob"].id)
    assert given.user is not None
    assert given.session is not None
    assert (given.user.id, given.user.email) == (bob, "bob@example.org")
    assert given.user.last_sign_in_at is not None
    found = client.auth.get_user()
    assert found is not None
    assert found.user == given.user
    claims = client.auth.get_claims()
    assert claims is not None
    assert claims["claims"]["sub"] == bob

    projects = client.table("projects")
    made = projects.insert({"name": "by bob"}).execute().data
    assert [row["user_id"] for row in made] == [bob]
    one = made[0]["id"]
    changed = projects.update({"description": "d"}).eq("id", one).execute().data
    assert [row["description"] for row in changed] == ["d"]
    event = {"event_type": "project_created", "data": {"name": "by rpc"}}
    assert client.rpc("record", event).execute().data["event_type"] == "project_created"
    assert [row["id"] for row in projects.delete().eq("id", one).execute().data] == [one]

    client.auth.sign_out()
    assert client.auth.get_session() is None
    with plain_client(served.url, given.session.access_token) as late:
        assert late.get("/auth/v1/user").status_code == 401
    with pytest.raises(APIError):
        client.table("projects").insert({"name": "too late"}).execute()


def test_a_session_is_resumed_from_its_tokens(client: Client, served: Served) -> None:
    """As a web service does that keeps them in a cookie; a closed session is an error."""
    given = client.auth.sign_in_with_password({"email": "bob@example.org", "password": PASSWORD})
    assert given.session is not None
    with connected(served) as other:
        resumed = other.auth.set_session(given.session.access_token, given.session.refresh_token)
        assert resumed.user == given.user
        again = other.auth.refresh_session()
        assert again.session is not None
        assert again.session.refresh_token != given.session.refresh_token
        other.auth.sign_out({"scope": "local"})
    with pytest.raises(AuthApiError) as gone:
        client.auth.refresh_session()
    assert gone.value.code == "refresh_token_not_found"
    with pytest.raises(AuthApiError) as gone:
        client.auth.get_user(given.session.access_token)
    assert (gone.value.status, gone.value.code) == (401, "bad_jwt")


def test_signing_out_closes_the_sessions_of_its_scope(client: Client, served: Served) -> None:
    """All, unless it says this one or the others; those of other people stay open."""
    grant = {"email": "bob@example.org", "password": PASSWORD}
    with served.client() as browser:
        tokens = []
        for name in ("bob", "bob", "bob", "ada"):
            reply = browser.post(
                "/auth/v1/token?grant_type=password",
                json={"email": f"{name}@example.org", "password": PASSWORD},
            )
            tokens.append(reply.json()["access_token"])

        def still_in() -> list[bool]:
            replies = [browser.get("/auth/v1/user", headers=bearer(each)) for each in tokens]
            return [reply.status_code == 200 for reply in replies]

        for scope, left in (("local", [True] * 4), ("others", [False] * 3 + [True])):
            client.auth.sign_in_with_password(grant)
            client.auth.sign_out({"scope": scope})
            assert still_in() == left
        assert client.auth.get_user() is not None
        wrong = browser.post("/auth/v1/logout?scope=some", headers=bearer(tokens[3]))
        assert (wrong.status_code, wrong.json()["error_code"]) == (400, "validation_failed")
        client.auth.sign_out()
        assert client.auth.get_user() is None


def test_a_person_changes_their_account(client: Client, served: Served) -> None:
    """What they say of themselves; and the password, with the present one, and then log in anew."""
    sam = account(served.engine, TENANT, "sam", Role.RESEARCHER)
    grant = {"email": "sam@example.org", "password": PASSWORD}
    client.auth.sign_in_with_password(grant)
    changed = client.auth.update_user({"data": {"full_name": "Sam"}, "email": "s@example.org"})
    assert (changed.user.id, changed.user.email) == (str(sam.id), "s@example.org")
    assert changed.user.user_metadata["full_name"] == "Sam"
    new = "another good password"
    for attributes, code in (
        ({"password": new}, "reauthentication_needed"),
        ({"password": new, "current_password": "wrong wrong"}, "invalid_credentials"),
        ({"password": "short", "current_password": PASSWORD}, "weak_password"),
        ({"data": {"role": "admin"}}, "validation_failed"),
    ):
        with pytest.raises((AuthApiError, AuthWeakPasswordError)) as refused:
            client.auth.update_user(attributes)
        assert refused.value.code == code
    client.auth.update_user({"password": new, "current_password": PASSWORD})
    with pytest.raises(AuthApiError):
        client.auth.get_user()
    with pytest.raises(AuthApiError, match="Invalid login credentials"):
        client.auth.sign_in_with_password({**grant, "email": "s@example.org"})
    client.auth.sign_in_with_password({"email": "s@example.org", "password": new})
