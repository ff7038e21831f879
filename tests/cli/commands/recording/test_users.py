"""`qforge users` and `qforge db encryption-key`."""

import json
import stat
import time
from base64 import b32decode
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.conftest import Qforge


def test_a_user_is_registered_listed_and_gets_a_key(qforge_here: Qforge) -> None:
    """The password comes from stdin; the key is printed once; nothing plain is in any answer."""
    assert qforge_here("users", "list").stdout.splitlines()[1:] == []
    registered = qforge_here(
        *("users", "register", "ada", "--email", "ada@example.org", "--role", "admin"),
        *("--password-stdin", "--json"),
        input="correct horse battery\n",
    )
    taken = qforge_here(
        *("users", "register", "Ada", "--email", "other@example.org", "--no-password"), status=1
    )
    qforge_here("project", "--once")
    (listed,) = json.loads(qforge_here("users", "list", "--json").stdout)
    key = qforge_here("users", "key", "ada", "notebook", "--scope", "read").stdout.strip()

    assert listed["id"] == json.loads(registered.stdout)["id"]
    assert (listed["username"], listed["role"], listed["is_active"]) == ("ada", "admin", True)
    assert "hashed_password" not in listed
    assert "the username Ada is taken" in taken.stderr
    assert key.startswith("qf_")
    assert key not in qforge_here("events", "list", "--json").stdout
    qforge_here(
        "users", "password", "ada@example.org", "--password-stdin", input="another password\n"
    )


def test_what_is_wrong_is_said_in_one_line(qforge_here: Qforge) -> None:
    """No terminal to ask at, a short password, nobody of that name."""
    email = ("--email", "ada@example.org")
    asked = qforge_here("users", "register", "ada", *email, status=2)
    short = qforge_here(
        "users", "register", "ada", *email, "--password-stdin", input="abc\n", status=2
    )
    nobody = qforge_here("users", "key", "nobody", "script", status=1)
    scope = qforge_here("users", "key", "nobody", "script", "--scope", "reed", status=2)
    wrong = qforge_here("users", "register", "a b", *email, "--no-password", status=1)
    address = qforge_here("users", "register", "ada", "--email", "x", "--no-password", status=1)
    unlinked = qforge_here("users", "unlink", "nobody", status=1)
    wish = '{"default_method": "gfn3"}'
    wished = qforge_here("record", "user_preferences_changed", "--data", wish, status=1)

    assert "--password-stdin" in asked.stderr
    assert "at least 8 characters" in short.stderr
    assert "there is no user 'nobody'" in nobody.stderr
    assert "'reed' is not one of 'read', 'write'" in scope.stderr
    assert "`username` must be 1 to 64 letters" in wrong.stderr
    assert "`email` must be an email address, such as ada@example.org" in address.stderr
    assert "the database login 'nobody' is linked to no user" in unlinked.stderr
    assert "`default_method`: unknown method 'gfn3'" in wished.stderr
    assert "Traceback" not in asked.stderr + short.stderr + nobody.stderr + wrong.stderr


def test_who_gives_up_their_own_rights_is_asked_first(qforge_here: Qforge) -> None:
    """And who misspells a name is told the similar ones; QFORGE_USER_ID takes a name."""
    for name in ("ada", "bob"):
        register = ("users", "register", name, "--email", f"{name}@example.org")
        qforge_here(*register, "--no-password", "--role", "admin")
    as_bob = {"QFORGE_USER_ID": "bob"}

    assert json.loads(qforge_here("whoami", "--json", env=as_bob).stdout)["user"] == "bob"
    nobody = qforge_here("whoami", env={"QFORGE_USER_ID": "eve"}, status=1)
    asked = qforge_here("users", "deactivate", "ada", input="n\n", status=130)
    role = qforge_here("users", "role", "ada", "viewer", input="", status=130)
    similar = qforge_here("users", "role", "bobb", "viewer", status=1)
    digits = qforge_here("users", "role", "adda", "viewer", status=1)
    qforge_here("users", "deactivate", "bob", "--yes", env=as_bob)
    twice = qforge_here("users", "deactivate", "bob", status=1)
    assert "bob is inactive, not active: nothing was recorded" in twice.stderr
    last = qforge_here("users", "deactivate", "ada", "--yes", status=1)

    assert "there is no user 'eve'" in nobody.stderr
    assert "ada is you" in asked.stderr
    assert "will no longer be an admin" in role.stderr
    assert "did you mean bob?" in similar.stderr
    assert "did you mean ada?" in digits.stderr
    assert "ada" in last.stderr


def test_an_encryption_key_is_made_and_a_newer_one_put_before_it(
    qforge_here: Qforge, tmp_path: Path
) -> None:
    """In a file that nobody else can read; the command prints its path, never a key."""
    path = Path(qforge_here("db", "encryption-key").stdout.strip())
    first = path.read_text()
    second = qforge_here("db", "encryption-key")

    assert path == tmp_path / "home" / "encryption.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().endswith(first)
    assert "2 keys" in second.stderr
    assert first.strip() not in second.stdout + second.stderr


def test_a_second_factor_is_enabled_confirmed_and_disabled(qforge_here: Qforge) -> None:
    """The secret and the recovery codes are printed once, and no table or event has them."""
    qforge_here("users", "register", "ada", "--email", "ada@example.org", "--no-password")
    refused = qforge_here("users", "totp", "enable", "ada", status=2)
    assert "qforge db encryption-key" in refused.stderr
    qforge_here("db", "encryption-key")

    app = json.loads(qforge_here("users", "totp", "enable", "ada", "--json").stdout)
    assert app["uri"].startswith("otpauth://totp/Quantum%20Forge:ada?")
    wrong = qforge_here("users", "totp", "confirm", "ada", "12345", status=1)
    assert "the code is not the one that the app shows now" in wrong.stderr
    totp = TOTP(b32decode(app["secret"]), 6, SHA1(), 30)
    code = totp.generate(int(time.time())).decode()
    codes = qforge_here("users", "totp", "confirm", "ada", code).stdout.split()

    assert len(codes) == 10
    events = qforge_here("events", "list", "--json").stdout
    assert "user_two_factor_enabled" in events
    assert not any(secret in events for secret in (app["secret"], *codes))
    assert "password alone" in qforge_here("users", "totp", "disable", "ada").stderr


def test_whoever_gives_away_their_own_login_learns_how_to_undo_it(qforge_here: Qforge) -> None:
    """The login that the command runs by acts as somebody else afterwards, with less power."""
    register = ("users", "register", "--no-password", "--email")
    qforge_here(*register, "ada@example.org", "ada")
    qforge_here(*register, "carl@example.org", "carl", "--role", "viewer")
    login = json.loads(qforge_here("whoami", "--json").stdout)["login"]

    said = qforge_here("users", "link", login, "carl").stderr
    assert "acted as ada before" in said
    undo = said.split("To undo that: ")[1].split()
    assert undo[0] == "QFORGE_USER_ID=ada"
    qforge_here(*undo[2:], env={"QFORGE_USER_ID": "ada"})
    assert "ada" in qforge_here("whoami").stdout


def test_the_first_user_is_an_admin_and_owns_what_was_recorded_before(
    qforge_here: Qforge,
) -> None:
    """Others are registered with the id that their events carry; an unlinked login has another."""
    before = {"QFORGE_USER_ID": "0199a7c4-0000-7000-8000-000000000001"}
    register = ("users", "register", "--no-password", "--email")
    made = ("record", "project_created", "--data")
    qforge_here(*made, '{"name": "Malaria"}')
    qforge_here(*made, '{"name": "Others"}', env=before)
    anonymous = json.loads(qforge_here("whoami", "--json").stdout)["user_id"]

    refused = qforge_here(*register, "ada@example.org", "ada", "--role", "viewer", status=2)
    ada = qforge_here(*register, "ada@example.org", "ada")
    bob = qforge_here(*register, "b@example.org", "bob", "--id", before["QFORGE_USER_ID"])
    taken = qforge_here(*register, "c@example.org", "carl", "--id", anonymous, status=1)

    assert "the tenant has no admin yet" in refused.stderr
    assert ada.stdout.strip() == anonymous
    assert "is ada's from now on" in ada.stderr
    assert "is bob's from now on" in bob.stderr
    assert "exists already" in taken.stderr
    done = qforge_here("audit", "--action", "project_created", "--columns", "user,entity").stdout
    assert done.splitlines()[1:] == ["ada\tMalaria", "bob\tOthers"]
    login = json.loads(qforge_here("whoami", "--json").stdout)["login"]
    qforge_here("users", "unlink", login)
    assert json.loads(qforge_here("whoami", "--json").stdout)["user_id"] not in (anonymous, None)
