"""Roles are enforced: a viewer neither takes results back nor touches the accounts of others."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """Each refusal names the role that it takes and how to get it, and is in the audit trail."""

    def register(name: str, *options: str) -> str:
        address = f"{name}@example.org"
        done = qforge("users", "register", name, "--email", address, "--no-password", *options)
        return done.stdout.strip()

    ada, vic = register("ada"), register("vic", "--role", "viewer")
    as_vic = {"QFORGE_USER_ID": vic}

    # The first user is admin, and you, without a setting.
    me = json.loads(qforge("whoami", "--json").stdout)
    assert (me["user"], me["role"], me["user_id"], me["refused"]) == ("ada", "admin", ada, [])
    qforge("run", str(folder / "methane.smi"), "--batch", "m", "--engine", "tblite")

    for needed, *command in (
        ("researcher", "retract", "--batch", "m", "--reason", "y"),
        ("admin", "users", "register", "mal", "--email", "mal@example.org", "--no-password"),
        ("admin", "record", "user_deactivated", "--entity-id", ada),
        ("admin", "record", "project_created", "--data", '{"name": "P"}', "--user-id", ada),
    ):
        refused = qforge(*command, env=as_vic, status=1)
        assert f"it requires the role {needed}, and yours is viewer" in refused.stderr
        assert f"qforge users role vic {needed}" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1

    assert json.loads(qforge("calculations", "list", "--json", env=as_vic).stdout)
    qforge(
        *("users", "password", "ada", "--password-stdin"),
        input="long enough 1\n",
        env=as_vic,
        status=1,
    )
    trail = qforge("audit", "--status", "denied", "--user", "vic", "--json").stdout.splitlines()
    assert len(trail) == 5
