"""Who is let in: API keys, tokens, sessions, and who is not."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import text

from quantum_forge.eventstore.actions.accounts import password_login
from quantum_forge.eventstore.actions.accounts import sessions as sessions_module
from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import InvalidSetting, NotLetIn
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.encryption import add_key, load_encryption
from quantum_forge.eventstore.security.hashing import hash_token
from quantum_forge.schema.domains.access import ApiKeyIssued
from quantum_forge.schema.domains.telemetry import ApiRequestServed
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.auth import remembered, throttle
from quantum_forge.web.auth.addresses import client_of
from quantum_forge.web.auth.callers import Caller, Callers
from quantum_forge.web.auth.tokens import Tokens, load_tokens
from quantum_forge.web.middleware import Answered
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.settings import WebSettings, load_web_settings
from quantum_forge.web.usage import Usage
from tests.support.web import OTHER, SECRET, TENANT, bearer, client, old_key, serving
from tests.web.conftest import PASSWORD, Served, account

LOGIN = "/auth/v1/token?grant_type=password"
REFRESH = "/auth/v1/token?grant_type=refresh_token"


def token(**claims: Any) -> str:
    """A token that is signed with the secret of the server, and ends in ten minutes."""
    return str(jwt.encode({"exp": now() + 600, **claims}, SECRET, algorithm="HS256"))


def now() -> int:
    """Seconds since 1970. A test asks when it runs: the module was imported long before."""
    return int(time.time())


def test_nobody_is_let_in_without_a_key(served: Served) -> None:
    """Each reply says how to come in, and no path tells more than that."""
    with served.client() as nobody:
        assert nobody.get("/auth/v1/.well-known/jwks.json").json() == {"keys": []}
        assert nobody.get("/auth/v1/user").json()["error_code"] == "no_authorization"
        for path in ("/auth/v1/user", "/events", "/metrics"):
            reply = nobody.get(path)
            assert reply.status_code == 401
            assert reply.json()["code"] == "PGRST302"
            assert reply.headers["www-authenticate"] == "Bearer"


def test_a_key_lets_in_as_bearer_and_as_apikey(served: Served) -> None:
    """Clients of Supabase send both headers; the bearer decides."""
    ada, bob = served.accounts["ada"], served.accounts["bob"]
    with served.client() as someone:
        for headers in (bearer(ada.key), {"apikey": ada.key}, {**bearer(ada.key), "apikey": "x"}):
            assert someone.get("/auth/v1/user", headers=headers).json()["id"] == str(ada.id)
        both = {**bearer(bob.key), "apikey": ada.key}
        assert someone.get("/auth/v1/user", headers=both).json()["id"] == str(bob.id)


def test_a_person_logs_in_stays_and_logs_out(served: Served) -> None:
    """The token belongs to a session: when it is closed, token and refresh token are worthless."""
    with served.client() as browser:
        grant = {"email": "bob@example.org", "password": PASSWORD}
        reply = browser.post(LOGIN, json=grant)
        assert reply.status_code == 200
        assert reply.headers["cache-control"] == "no-store"
        given = reply.json()
        assert given["user"]["email"] == "bob@example.org"
        assert given["user"]["app_metadata"] == {"tenant_id": str(TENANT), "role": "researcher"}

        again = browser.post(
            "/auth/v1/token?grant_type=refresh_token",
            json={"refresh_token": given["refresh_token"]},
        ).json()
        headers = bearer(again["access_token"])
        assert browser.get("/auth/v1/user", headers=headers).json()["id"] == given["user"]["id"]

        assert browser.post("/auth/v1/logout", headers=headers).status_code == 204
        for each in (given, again):
            reply = browser.get("/auth/v1/user", headers=bearer(each["access_token"]))
            assert reply.status_code == 401
        reply = browser.post(
            "/auth/v1/token?grant_type=refresh_token",
            json={"refresh_token": given["refresh_token"]},
        )
        assert (reply.status_code, reply.json()["error_code"]) == (400, "refresh_token_not_found")


def test_a_refused_login_does_not_say_why(served: Served) -> None:
    """A wrong password and an unknown name have the same reply, byte by byte."""
    with served.client() as browser:
        replies = [
            browser.post(
                LOGIN,
                json={"email": name, "password": "wrong wrong"},
            )
            for name in ("eve@example.org", "nobody@example.org", "' OR 1=1 --")
        ]
        assert [reply.status_code for reply in replies] == [400] * 3
        assert {reply.text for reply in replies} == {
            '{"code":400,"error_code":"invalid_credentials","msg":"Invalid login credentials"}'
        }
        for body in (b"", b"[]", b'{"email": 1}', b"\xff"):
            reply = browser.post(LOGIN, content=body)
            assert (reply.status_code, reply.json()["code"]) == (400, "PGRST102")


@pytest.mark.parametrize(
    ("credential", "message"),
    [
        ("", "Empty JWT is sent in Authorization header"),
        ("abc", "Expected 3 parts in JWT; got 1"),
        ("a.b", "Expected 3 parts in JWT; got 2"),
        ("a.b.c", "JWT cannot be decoded"),
        (
            jwt.encode({"sub": "x"}, "another secret of thirty-two bytes!"),
            "No suitable key or wrong key type",
        ),
        ({"exp": -31}, "JWT expired"),
        ({"nbf": +300}, "JWT not yet valid"),
        ({"iat": +300}, "JWT issued at future"),
    ],
)
def test_a_bad_token_is_refused_with_its_fault(
    served: Served, credential: str | dict[str, int], message: str
) -> None:
    """The messages are those of PostgREST, for whose clients the dialect is made."""
    if isinstance(credential, dict):  # seconds from now
        credential = token(**{claim: now() + seconds for claim, seconds in credential.items()})
    with served.client() as someone:
        reply = someone.get(
            "/auth/v1/user", headers={"Authorization": f"Bearer {credential}".strip()}
        )
    assert (reply.status_code, reply.json()["message"]) == (401, message)
    assert f'error_description="{message}"' in reply.headers["www-authenticate"]


def test_clocks_may_differ_by_30_seconds(served: Served) -> None:
    """A token that has just expired, or is issued a moment from now, lets in."""
    ada = served.accounts["ada"]
    for times in ({"exp": now() - 1}, {"nbf": now() + 20}):
        credential = token(sub=str(ada.id), tenant_id=str(TENANT), **times)
        with client(served.url, credential) as someone:
            assert someone.get("/auth/v1/user").status_code == 200


def test_the_key_decides_on_the_algorithm(tmp_path: Path) -> None:
    """A token that is unsigned, or signed with a public key as if it were a secret, is refused."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    keys = {
        "keys": [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": "r"},
            json.loads(jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key())) | {"kid": "e"},
        ]
    }
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(keys))
    tokens = load_tokens(
        WebSettings(jwt_secret=Secret(SECRET), jwt_keys=path, jwt_audience="forge"), tmp_path
    )
    assert [(key["kid"], key["alg"]) for key in tokens.public_keys] == [
        ("r", "RS256"),
        ("e", "ES256"),
    ]
    assert not any(key.keys() & {"d", "k", "p", "q"} for key in tokens.public_keys)
    claims = {"sub": "x", "aud": "forge"}
    for algorithm, key in (("RS256", private), ("ES256", curve), ("HS256", SECRET)):
        assert tokens.check(jwt.encode(claims, key, algorithm=algorithm)) == claims

    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = [
        f"{_part({'alg': 'none'})}.{_part(claims)}.",
        f"{_part({'alg': 'HS256'})}.{_part(claims)}.{_mac(public, claims)}",
        jwt.encode(claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
        jwt.encode(claims, private, algorithm="RS512"),
        jwt.encode(claims, private, algorithm="RS256", headers={"kid": "e"}),
    ]
    for each in forged:
        with pytest.raises(RestError, match="No suitable key or wrong key type"):
            tokens.check(each)
    for audience in ({}, {"aud": "others"}):
        with pytest.raises(RestError, match="JWT not in audience"):
            tokens.check(jwt.encode({"sub": "x", **audience}, SECRET))


def _part(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _mac(key: bytes, claims: dict[str, str]) -> str:
    """The signature of a token by HMAC with a public key, which PyJWT would not make."""
    signed = f"{_part({'alg': 'HS256'})}.{_part(claims)}".encode()
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_secret_is_made_once_and_kept_for_its_owner(tmp_path: Path) -> None:
    """Another process, or a later one, checks the tokens that the first has issued."""
    first, second = (load_tokens(WebSettings(), tmp_path) for _ in range(2))
    issued, _ = first.issue({"sub": "x"})
    assert second.check(issued)["sub"] == "x"
    path = tmp_path / "jwt.secret"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(InvalidSetting, match="chmod 600"):
        load_tokens(WebSettings(), tmp_path)


def test_an_unknown_user_or_tenant_is_nobody(served: Served) -> None:
    """A valid signature is not enough: the log must know the account, in that tenant, as active."""
    ada, zoe = served.accounts["ada"], served.accounts["zoe"]
    for claims in (
        {"sub": str(uuid4()), "tenant_id": str(TENANT)},
        {"sub": str(zoe.id), "tenant_id": str(TENANT)},
        {"sub": str(ada.id), "app_metadata": {"tenant_id": str(zoe.tenant_id)}},
    ):
        with client(served.url, token(**claims)) as someone:
            assert someone.get("/auth/v1/user").status_code == 401
    for role in ("postgres", "qforge_admin", "anon; DROP TABLE users"):
        with client(
            served.url, token(role=role, sub=str(ada.id), tenant_id=str(TENANT))
        ) as someone:
            reply = someone.get("/auth/v1/user")
            assert (reply.status_code, reply.json()["code"]) == (403, "42501")


def test_a_closed_account_and_a_revoked_key_let_nobody_in(served: Served) -> None:
    """What the log says counts, within seconds; a new server knows it at once."""
    leaver = account(served.engine, TENANT, "leaver", Role.RESEARCHER)
    loser = account(served.engine, TENANT, "loser", Role.RESEARCHER)
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        Users(recorder).deactivate(leaver.id)
        key = ApiKeys(recorder).issue(loser.id, name="old")
        ApiKeys(recorder).revoke(key.id)
        late = ApiKeys(recorder).issue(
            loser.id, name="late", expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
    for credential in (leaver.key, key.key.reveal(), late.key.reveal(), "qf_12345678_" + "x" * 43):
        with client(served.url, credential) as someone:
            reply = someone.get("/auth/v1/user")
            assert (reply.status_code, reply.json()["code"]) == (401, "PGRST301")


def test_a_key_with_a_limit_is_counted_for_each_request(served: Served) -> None:
    """Its limit holds exactly: whoever goes beyond it is told when to come back."""
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        key = ApiKeys(recorder).issue(served.accounts["bob"].id, name="slow", rate_limit=3)
    with client(served.url, key.key.reveal()) as script:
        replies = [script.get("/auth/v1/user") for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[-1].headers["retry-after"] == "60"


def forwarded(addresses: str) -> dict[str, str]:
    """The header by which a proxy tells where a request came from."""
    return {"X-Forwarded-For": addresses}


def denied(served: Served, tenant_id: UUID) -> int:
    """How many refused attempts the log of a tenant has."""
    query = text(
        "SELECT count(*) FROM event_logs"
        " WHERE event_type = 'access_denied' AND tenant_id = CAST(:tenant_id AS uuid)"
    )
    with served.engine.connect() as connection:
        found: int = connection.execute(query, {"tenant_id": str(tenant_id)}).scalar_one()
    return found


def test_nobody_writes_to_the_log_with_keys_and_tokens_of_nobody(served: Served) -> None:
    """One that is sent again is recorded once a minute, and in no tenant but the server's own."""
    zoe = served.accounts["zoe"]
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        revoked = ApiKeys(recorder).issue(served.accounts["bob"].id, name="revoked")
        ApiKeys(recorder).revoke(revoked.id)
    own, others = denied(served, TENANT), denied(served, OTHER)
    with served.client() as stranger:
        for _ in range(8):
            for key in (zoe.key[:11] + "_of_somebody_else", revoked.key.reveal()):
                assert stranger.get("/auth/v1/user", headers=bearer(key)).status_code == 401
            reply = stranger.post(REFRESH, json={"refresh_token": "nobody's"})
            assert reply.json()["error_code"] == "refresh_token_not_found"
    assert denied(served, TENANT) - own in range(3, 7)  # a minute may have ended
    assert denied(served, OTHER) == others


def test_a_new_key_lets_in_at_once_whichever_the_tenant(served: Served) -> None:
    """Keys are looked up in the log; the public part of one that is forged leads nowhere."""
    zoe = served.accounts["zoe"]
    own = denied(served, TENANT)
    with Recorder(served.engine, Author(tenant_id=OTHER)) as recorder:
        forged = ApiKeyIssued(
            user_id=zoe.id,
            name="spy",
            prefix=served.accounts["ada"].key[:11],
            key_hash=hash_token(Secret("qf_another")),
            scopes=[],
        )
        recorder.for_action().record(forged, of=uuid4())
        new = ApiKeys(recorder).issue(zoe.id, name="new").key.reveal()
    others = denied(served, OTHER)
    with served.client() as someone:
        for key, account in ((new, zoe), (served.accounts["ada"].key, served.accounts["ada"])):
            reply = someone.get("/auth/v1/user", headers=bearer(key))
            assert reply.json()["id"] == str(account.id)
    assert (denied(served, TENANT), denied(served, OTHER)) == (own, others)


def test_a_key_is_asked_for_again_without_counting_a_use(served: Served) -> None:
    """A stream asks now and then whether its caller is let in: until the key is revoked."""
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        key = ApiKeys(recorder).issue(served.accounts["bob"].id, name="stream", usage_quota=1)
        headers = {"authorization": f"Bearer {key.key.reveal()}"}
        callers = Callers(served.engine, TENANT, Tokens(Secret(SECRET)), lambda _: recorder)
        caller = callers.identify(headers)
        for _ in range(3):
            assert callers.identify_again(headers) == caller
        with pytest.raises(RestError, match="quota is used up"):
            callers.identify(headers)
        ApiKeys(recorder).revoke(key.id)
        with pytest.raises(RestError, match="key is revoked"):
            callers.identify_again(headers)


def test_roles_and_scopes_limit_what_a_caller_may(served: Served) -> None:
    """A viewer does not follow the log, nor does a key without the scope to read."""
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        key = old_key(recorder, served.accounts["ada"].id, ["import"])
    with served.client("eve") as viewer, client(served.url, key) as limited:
        reply = viewer.get("/events")
        assert (reply.status_code, reply.json()["code"]) == (403, "42501")
        assert "the role researcher, and yours is viewer" in reply.json()["message"]
        assert "the scope read of the API key" in limited.get("/events").json()["message"]


def test_too_many_failures_from_one_address_have_to_wait(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of guesses made at the same time no more are answered; the client adds addresses in vain."""
    monkeypatch.setattr(password_login, "REFUSAL_STEP", 0.001)
    ada = served.accounts["ada"]
    others, own = denied(served, OTHER), denied(served, TENANT)

    def statuses(send: Callable[[httpx2.Client, int], httpx2.Response]) -> Counter[int]:
        with served.client() as client, ThreadPoolExecutor(30) as pool:
            return Counter(pool.map(lambda n: send(client, n).status_code, range(60)))

    def guess(client: httpx2.Client, number: int) -> httpx2.Response:
        grant = {"email": f"guess{number}@example.org", "password": "wrong wrong"}
        return client.post(LOGIN, json=grant, headers=forwarded(f"198.51.100.{number}, 192.0.2.1"))

    def refresh(client: httpx2.Client, number: int) -> httpx2.Response:
        token = {"refresh_token": f"token {number}"}
        return client.post(REFRESH, json=token, headers=forwarded("192.0.2.1"))

    def use(client: httpx2.Client, number: int) -> httpx2.Response:
        headers = bearer(f"qf_{number:08}_unknown") | forwarded("192.0.2.1")
        return client.get("/auth/v1/user", headers=headers)

    assert statuses(guess) == statuses(refresh) == {400: 30, 429: 30}
    assert statuses(use) == {401: 30, 429: 30}
    assert denied(served, OTHER) == others
    assert denied(served, TENANT) - own <= 90
    with served.client() as someone:
        headers = bearer(ada.key) | forwarded("192.0.2.1")
        assert someone.get("/auth/v1/user", headers=headers).status_code == 200
        grant = {"email": "ada@example.org", "password": PASSWORD}
        reply = someone.post(LOGIN, json=grant, headers=forwarded("192.0.2.1"))
        assert reply.status_code == 429
        assert 0 < int(reply.headers["retry-after"]) <= 900
        for _ in range(2):
            reply = someone.post(LOGIN, json=grant, headers=forwarded("192.0.2.2"))
            assert reply.status_code == 200
    with served.engine.connect() as connection:
        query = text("SELECT DISTINCT metadata ->> 'ip_address' FROM event_logs")
        assert {"192.0.2.1", "192.0.2.2"} <= set(connection.scalars(query))


def test_a_locked_account_is_refused_like_one_that_does_not_exist(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tries names learns of none, not even with the right password."""
    monkeypatch.setattr(password_login, "REFUSAL_STEP", 0.001)
    locked = account(served.engine, TENANT, "locked", Role.VIEWER)
    guesses = ["wrong wrong"] * 11 + [PASSWORD]
    with served.client() as guesser:
        replies = [
            guesser.post(
                LOGIN,
                json={"email": name, "password": password},
                headers=forwarded(f"203.0.113.{number}"),
            )
            for number, password in enumerate(guesses)
            for name in ("locked@example.org", "unlocked@example.org")
        ]
    assert {(reply.status_code, reply.text) for reply in replies} == {
        (400, '{"code":400,"error_code":"invalid_credentials","msg":"Invalid login credentials"}')
    }
    with served.engine.connect() as connection:
        query = text(
            "SELECT count(*) FROM event_logs"
            " WHERE entity_id = CAST(:id AS uuid) AND event_type = 'user_login_failed'"
        )
        assert connection.scalar(query, {"id": str(locked.id)}) == 10


def test_logins_keep_no_other_request_waiting(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may send a login, and a refused one sleeps: the others have threads of their own."""
    goes_on = threading.Event()

    def log_in(*_: object, **__: object) -> None:
        goes_on.wait(30)
        raise NotLetIn("login", "unknown_user")

    monkeypatch.setattr(Users, "log_in", log_in)

    def guess(number: int) -> int:
        with served.client() as guesser:
            grant = {"email": "ada@example.org", "password": "wrong wrong"}
            headers = forwarded(f"203.0.113.{number}")
            return guesser.post(LOGIN, json=grant, headers=headers).status_code

    with ThreadPoolExecutor(100) as pool, served.client("ada") as ada:
        guesses = [pool.submit(guess, number) for number in range(100, 200)]
        try:
            assert ada.get("/auth/v1/user").status_code == 200
            assert not any(each.done() for each in guesses)
        finally:
            goes_on.set()
        assert {each.result() for each in guesses} == {400}


def test_requests_without_a_key_are_not_recorded() -> None:
    """Where tables are open to everybody, nobody writes to the log by reading them."""
    recorded: list[NewEvent] = []

    class Kept:
        def record_all(self, *events: NewEvent) -> None:
            recorded.extend(events)

    usage = Usage(lambda _: cast(Recorder, Kept()), prints=False)
    usage.start()
    for name in ("anonymous", "user x"):
        caller = Caller(tenant_id=TENANT, database_role="qforge_reader", name=name)
        usage.served(
            Answered(
                at=now(),
                id=uuid4(),
                method="GET",
                path=f"/rest/v1/molecules/{name}",
                query="",
                status=200,
                milliseconds=1,
                request_bytes=0,
                response_bytes=0,
                address=None,
                caller=caller,
                error="e" * 5000,
            )
        )
    usage.close()
    (event,) = [each.event for each in recorded]
    assert isinstance(event, ApiRequestServed)
    assert event.endpoint == "/rest/v1/molecules/user x"
    assert event.error_message == "e" * 2000 + "…"


def test_the_address_is_what_the_nearest_trusted_proxy_saw() -> None:
    """Whatever the client itself puts into the header is not believed."""
    trusted = load_web_settings(
        {"QFORGE_WEB_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8, fd00::/8"}, Path("nowhere")
    ).trusted_proxies
    for peer, header, found in [
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.1, 192.0.2.1, 10.1.2.3", "192.0.2.1"),
        ("::ffff:127.0.0.1", "192.0.2.1:4711", "192.0.2.1"),
        ("fd00::1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "192.0.2.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
    ]:
        assert client_of(peer, header.split(","), trusted) == found
    with pytest.raises(InvalidSetting, match=r"addresses or networks .* not 'proxy\.example'"):
        load_web_settings({"QFORGE_WEB_TRUSTED_PROXIES": "proxy.example"}, Path("nowhere"))


def test_a_throttle_forgets_the_oldest_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many addresses give nobody new attempts but the one that failed longest ago."""
    monkeypatch.setattr(throttle, "MOST_ADDRESSES", 3)
    now = [0.0]
    failures = throttle.Throttle("failures", most=1, clock=lambda: now[0])
    for address in ("192.0.2.1", "2001:db8::1", "192.0.2.3", "192.0.2.4"):
        failures.count(address)
    for address in ("2001:db8::2", "192.0.2.3", "::ffff:192.0.2.4"):
        with pytest.raises(RestError, match="too many failures from this address"):
            failures.count(address)
    failures.count("192.0.2.1")
    failures.forgive("192.0.2.1")
    failures.count("192.0.2.1")
    now[0] += throttle.FAILURES_COUNT_FOR + 1
    failures.count("192.0.2.4")


def test_an_issued_token_expires() -> None:
    """Its lifetime is a setting."""
    tokens = Tokens(Secret(SECRET), lifetime=-31)
    with pytest.raises(RestError, match="JWT expired"):
        tokens.check(tokens.issue({"sub": "x"})[0])


def test_a_second_factor_is_asked_for_and_sent_beside_the_password(
    module_database: Database, tmp_path: Path
) -> None:
    """Only who knows the password learns that a code is wanted; each code lets in once."""
    key_file = tmp_path / "encryption.key"
    add_key(key_file)
    settings = Settings(home=tmp_path, user_id=uuid4(), encryption_key_file=key_file)
    moe = account(module_database.engine, TENANT, f"moe{time.time_ns()}", Role.VIEWER)
    with Recorder(module_database.engine, Author(tenant_id=TENANT)) as recorder:
        users = Users(recorder, encryption=load_encryption(settings))
        secret = users.prepare_two_factor(moe.id).text
        totp = TOTP(base64.b32decode(secret.reveal()), 6, SHA1(), 30)
        recovery, *_ = users.enable_two_factor(moe.id, Secret(totp.generate(time.time()).decode()))
    right = {"email": f"{moe.name}@example.org", "password": PASSWORD}
    with (
        serving(module_database, tmp_path, WebSettings(), encryption_key_file=key_file) as url,
        client(url) as browser,
    ):
        for body, code in (
            (right, "insufficient_aal"),
            ({**right, "password": "wrong wrong"}, "invalid_credentials"),
            ({**right, "code": "000000"}, "invalid_credentials"),
        ):
            reply = browser.post(LOGIN, json=body)
            assert (reply.status_code, reply.json()["error_code"]) == (400, code), body
        codes = [
            browser.post(LOGIN, json={**right, "code": recovery.reveal()}).status_code
            for _ in range(2)
        ]
        assert codes == [200, 400]


def test_a_refresh_token_that_comes_back_closes_its_session(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each works once; for some seconds the one before is answered with the same next one."""
    with served.client() as browser, served.client() as thief:

        def refreshed(client: httpx2.Client, token: str) -> httpx2.Response:
            return client.post(REFRESH, json={"refresh_token": token})

        given = browser.post(LOGIN, json={"email": "bob@example.org", "password": PASSWORD}).json()
        first = given["refresh_token"]
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(lambda _: refreshed(browser, first), range(4)))
        assert {reply.status_code for reply in replies} == {200}
        (second,) = {reply.json()["refresh_token"] for reply in replies}
        assert second != first
        third = refreshed(browser, second).json()["refresh_token"]
        present = bearer(refreshed(browser, third).json()["access_token"])
        assert browser.get("/auth/v1/user", headers=present).status_code == 200

        # A generation that was not given out yet cannot be made of one that was.
        named, _, mac = third.rpartition(".")
        next_one = f"{named.partition('.')[0]}.9.{mac}"
        assert refreshed(thief, next_one).json()["error_code"] == "refresh_token_not_found"
        assert browser.get("/auth/v1/user", headers=present).status_code == 200

        monkeypatch.setattr(sessions_module, "GRACE", timedelta(0))
        monkeypatch.setattr(remembered, "TRUSTED_FOR", 0.0)
        assert refreshed(thief, third).json()["error_code"] == "refresh_token_not_found"
        assert browser.get("/auth/v1/user", headers=present).status_code == 401
