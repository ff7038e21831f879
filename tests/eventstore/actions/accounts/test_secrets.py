"""Secrets: nothing that stores, prints or logs gets the plain value."""

import importlib
import io
import logging
import pickle
import pkgutil
import re
import stat
import time
import traceback
from base64 import b32decode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import get_args
from uuid import UUID

import msgspec
import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import Connection, Engine, text

import quantum_forge
from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.sessions import Sessions
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.actions.telemetry import HIDDEN, Telemetry, sanitised
from quantum_forge.eventstore.base.errors import (
    EncryptionKeyMissing,
    EventRefused,
    InvalidSetting,
    NotLetIn,
    RuleBroken,
    Undecryptable,
)
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.log.append import encode_wire
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security import hashing
from quantum_forge.eventstore.security.encryption import Encryption, add_key, load_encryption
from quantum_forge.eventstore.security.hashing import (
    hash_password,
    hash_token,
    password_matches,
    token_matches,
)
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.runner.jobs.worker import Chunk, Target
from quantum_forge.schema.domains.access import ApiKeyIssued
from quantum_forge.schema.domains.users import UserPasswordChanged
from quantum_forge.web.client.settings import StoreSettings
from tests.support.appending import TENANT
from tests.support.spooling import away

AUTHOR = Author(tenant_id=TENANT)
PASSWORD = "correct horse battery staple"
WEBHOOK = "https://hooks.example.org/services/T0001/B0001/verysecretwebhook"


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Return a recorder, which is closed afterwards."""
    with Recorder(engine, AUTHOR) as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as cheaply as Argon2 allows."""
    monkeypatch.setattr(hashing, "MEMORY_KIB", 8)
    monkeypatch.setattr(hashing, "ITERATIONS", 1)


def test_no_plain_secret_is_in_the_log_a_table_the_spool_a_log_file_or_a_traceback(
    recorder: Recorder, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that uses a secret, right and wrong, with every log switched on."""
    # Given: a program that logs all it does, statements and their parameters included
    caplog.set_level(logging.DEBUG)
    engine = database.engine
    engine.echo = "debug"
    said = io.StringIO()
    encryption = Encryption([Secret(Fernet.generate_key().decode())])
    users = Users(recorder, encryption=encryption)
    sessions, keys = Sessions(recorder), ApiKeys(recorder)

    # When: secrets are used, right and wrong
    ada = users.register(email="ada@example.org", username="ada", password=Secret(PASSWORD))
    users.log_in("ada", Secret(PASSWORD))
    users.set_webhook(ada, Secret(WEBHOOK))
    assert users.webhook_of(ada) == Secret(WEBHOOK)
    app = users.prepare_two_factor(ada)
    now = Secret(
        TOTP(b32decode(app.text.reveal()), 6, SHA1(), 30).generate(int(time.time())).decode()
    )
    recovery = users.enable_two_factor(ada, now)
    users.log_in("ada", Secret(PASSWORD), code=recovery[0])
    session, issued = sessions.open(ada), keys.issue(ada, name="script", scopes=["read"])
    sessions.resume(session.token)
    keys.use(issued.key, scope="read")
    telemetry = Telemetry(recorder)
    telemetry.record_request(
        url=f"/v1/molecules?limit=5&api_key={issued.key.reveal()}&password={PASSWORD}",
        method="get",
        status_code=200,
        response_time_ms=1.5,
    )
    wrong = Secret("wrong " + PASSWORD)
    keys.revoke(issued.id)
    for attempt, expected in (
        (lambda: users.log_in("ada", wrong), NotLetIn),
        (lambda: users.log_in(PASSWORD, Secret(PASSWORD)), NotLetIn),
        (lambda: users.change_preferences(ada, slack_webhook_url=WEBHOOK), EventRefused),
        (
            lambda: users.record((ada, UserPasswordChanged(hashed_password=PASSWORD))),
            EventRefused,
        ),
        (lambda: keys.use(issued.key), NotLetIn),
        (lambda: Users(recorder).set_webhook(ada, Secret(WEBHOOK)), TypeError),
        (lambda: users.change_password(UUID(int=7), password=Secret(PASSWORD)), RuleBroken),
    ):
        with pytest.raises(expected) as caught:
            attempt()
        traceback.print_exception(caught.value, file=said)
    spool = tmp_path / "spool"
    with Recorder(
        away(tmp_path / "nowhere").engine, Author(tenant_id=TENANT), rules=False, spool=spool
    ) as recorder:
        changed = UserPasswordChanged(hashed_password=hash_password(Secret(PASSWORD)))
        recorder.record_all(recorder.new(ada, changed))
    catch_up(engine, PROJECTIONS.values())

    # Then: nobody finds them anywhere
    secrets = [PASSWORD, WEBHOOK, session.token.reveal(), issued.key.reveal(), app.text.reveal()]
    secrets += [code.reveal() for code in recovery]
    places = {
        "the tables": "\n".join(everything(engine)),
        "the spool": "".join(
            path.read_bytes().decode("latin-1") for path in spool.rglob("*") if path.is_file()
        ),
        "the logs": caplog.text,
        "tracebacks": said.getvalue(),
        "what is printed": f"{session} {issued} {app} {recovery} {users.__dict__}",
    }
    assert all(places.values())
    assert "$argon2id$" in places["the spool"]
    assert hashing_is_there(places["the tables"])
    for place, content in places.items():
        for secret in secrets:
            assert secret not in content, place
            assert secret.encode().hex() not in content, place


def test_a_secret_is_neither_printed_nor_pickled_nor_encoded() -> None:
    """Whoever wants it asks for it by name."""
    secret = Secret("swordfish")

    assert "swordfish" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    event = UserPasswordChanged(hashed_password=secret)  # type: ignore[arg-type]
    with pytest.raises(EventRefused) as refused:
        encode_wire([AUTHOR.new(UUID(int=1), event)])
    assert "swordfish" not in str(refused.value)
    assert secret == Secret("swordfish")
    assert secret != Secret("Swordfish")
    assert secret.reveal() == "swordfish"


def test_nothing_that_carries_the_address_of_a_database_prints_its_secrets() -> None:
    """Every Struct with a field for it has a representation of its own; these are checked."""
    address = "postgresql://ada:swordfish@db.example.org/log?sslpassword=tunafish"
    carriers: dict[type[msgspec.Struct], object] = {
        Settings: load_settings({"DATABASE_URL": address, "QFORGE_HOME": "/home"}, Path("none")),
        Target: Target(url=address, tenant_id=TENANT, user_id=None),
        # Its address is refused when it has a password.
        StoreSettings: StoreSettings(url="https://db.example.org", key=Secret("swordfish")),
    }
    modules = [
        each.name
        for each in pkgutil.walk_packages(quantum_forge.__path__, "quantum_forge.")
        if ".migrations." not in each.name
    ]

    found = {
        kind
        for name in modules
        for kind in vars(importlib.import_module(name)).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        if any(
            each.name in ("url", "dsn", "password")
            and Secret not in (each.type, *get_args(each.type))
            for each in msgspec.structs.fields(kind)
        )
    }

    assert found == set(carriers)
    chunk = Chunk(id=UUID(int=1), target=carriers[Target], folders=())  # type: ignore[arg-type]
    for printed in map(repr, [*carriers.values(), chunk]):
        assert "db.example.org" in printed
        assert "swordfish" not in printed
        assert "tunafish" not in printed


def test_a_password_matches_its_own_hash_only() -> None:
    """Two hashes of one password differ; without an account nothing matches."""
    password = Secret("Zoë's password")
    first, second = hash_password(password), hash_password(password)

    assert first != second
    assert password_matches(Secret("Zoe\u0308's password"), first)
    assert password_matches(password, second)
    assert not password_matches(Secret("zoë's password"), first)
    assert not password_matches(password, None)
    token = Secret.random()
    assert token_matches(token, hash_token(token))
    assert not token_matches(Secret.random(), hash_token(token))


def test_hashes_are_as_costly_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests make cheap is not cheap elsewhere (OWASP: 19 MiB, two passes)."""
    monkeypatch.undo()

    assert hash_password(Secret("x" * 8)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


SALT_AND_HASH = "$bm9ib2R5J3Mgc2FsdCE$bm9ib2R5J3MgaGFzaCwgd2hpY2ggZml0cyBub25lISE"


@pytest.mark.parametrize(
    "hashed",
    [
        "$argon2id$v=19$m=4194304,t=1,p=1" + SALT_AND_HASH,  # 4 GiB
        "$argon2id$v=19$m=999999999,t=999999999,p=999999999" + SALT_AND_HASH,
        "$argon2id$v=19$m=64,t=17,p=1" + SALT_AND_HASH,
        "$argon2id$v=19$m=0,t=1,p=1" + SALT_AND_HASH,
        "$argon2id$v=19$m=8,t=0,p=1" + SALT_AND_HASH,
        "$argon2id$v=19$m=8,t=1,p=2" + SALT_AND_HASH,
        "$argon2id$v=19$m=8,t=1,p=0" + SALT_AND_HASH,
        "$argon2id$v=19$m=²,t=1,p=1" + SALT_AND_HASH,
        "$argon2id$v=19$m=8,t=1,p=1$bm9ib2R5J3Mgc2FsdCE1$bm9ib2R5J3MgaGFza",  # not base64
        "$argon2id$v=18$m=8,t=1,p=1" + SALT_AND_HASH,
        "$scrypt$ln=17,r=8,p=1" + SALT_AND_HASH,
        "$argon2id$" + "x" * 40,
        "",
    ],
)
def test_a_stored_hash_that_is_malformed_or_too_costly_lets_nobody_in(
    hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never computed: it takes the time and the memory of an unknown user."""
    computed = []
    verify = Argon2id.verify_phc_encoded

    def counted(password: bytes, encoded: str) -> None:
        computed.append(encoded)
        verify(password, encoded)

    monkeypatch.setattr(hashing, "Argon2id", SimpleNamespace(verify_phc_encoded=counted))

    assert not password_matches(Secret(PASSWORD), hashed)
    assert not any(each in encoded for encoded in computed for each in ("m=4", "m=9", "t=17"))


@pytest.mark.parametrize("plain", [PASSWORD, "$argon2id$", "sha256:abc", "", "a" * 64])
def test_a_plain_value_fits_into_no_field_for_hashes(plain: str) -> None:
    """Whatever was mistaken for a hash is refused before it is sent."""
    issued = ApiKeyIssued(
        user_id=UUID(int=1), name="n", prefix="qf_12345678", key_hash=plain, scopes=[]
    )
    for event in (UserPasswordChanged(hashed_password=plain), issued):
        with pytest.raises(EventRefused):
            encode_wire([AUTHOR.new(UUID(int=1), event)])


def test_keys_are_rotated_by_putting_a_new_one_first(tmp_path: Path) -> None:
    """The old one still decrypts; what is renewed needs the new one only."""
    path = tmp_path / "keys" / "encryption.key"
    settings = load_settings(
        {"QFORGE_HOME": str(tmp_path), "QFORGE_ENCRYPTION_KEY_FILE": str(path)}
    )
    with pytest.raises(EncryptionKeyMissing, match="qforge db encryption-key"):
        load_encryption(settings)
    assert add_key(path) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = load_encryption(settings).encrypt(Secret(WEBHOOK))
    assert add_key(path) == 2

    both = load_encryption(settings)
    renewed = both.renew(before)
    path.write_text(path.read_text().splitlines()[0])
    newest = load_encryption(settings)

    assert both.decrypt(before) == newest.decrypt(renewed) == Secret(WEBHOOK)
    with pytest.raises(Undecryptable, match="add the key"):
        newest.decrypt(before)
    with pytest.raises(Undecryptable):
        newest.renew(before)


def test_a_key_that_is_none_or_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The error names the place, never the key."""
    path = tmp_path / "encryption.key"
    add_key(path)
    path.chmod(0o640)
    home = {"QFORGE_HOME": str(tmp_path)}
    with pytest.raises(InvalidSetting, match="chmod 600"):
        load_encryption(load_settings(home))
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(EncryptionKeyMissing):
        load_encryption(load_settings(home))

    settings = load_settings({**home, "QFORGE_ENCRYPTION_KEYS": "swordfish"})
    with pytest.raises(InvalidSetting, match="QFORGE_ENCRYPTION_KEYS") as wrong:
        load_encryption(settings)
    assert "swordfish" not in "".join(traceback.format_exception(wrong.value)) + repr(settings)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InvalidSetting, match="cannot be"):
        add_key(blocked / "encryption.key")


def test_parameters_that_sound_like_secrets_are_hidden() -> None:
    """And those that only look like one at first sight are not."""
    shown = {"limit": "5", "mapping": "a", "status_code": "200", "keyword": "x", "author": "b"}
    hidden = ("api_key", "apikey", "Password", "access_token", "X-Signature", "code", "auth")

    assert sanitised(shown) == shown
    assert sanitised(dict.fromkeys(hidden, "1")) == dict.fromkeys(hidden, HIDDEN)


def everything(engine: Engine) -> list[str]:
    """Every row of every table, as text."""
    with engine.connect() as connection:
        names = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        )
        return [row for name in list(names) for row in rows(connection, name)]


def rows(connection: Connection, table: str) -> list[str]:
    """The rows of a table, as text."""
    return list(connection.scalars(text(f'SELECT t::text FROM "{table}" AS t')))


def hashing_is_there(content: str) -> bool:
    """Whether the search looked where the hashes are."""
    return bool(re.search(r"\$argon2id\$.*sha256:[0-9a-f]{64}", content, re.DOTALL))
