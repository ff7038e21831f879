"""What the page about HTTP shows works."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.rpc import ACTIONS
from tests.support.web import TENANT
from tests.web.conftest import Served, account

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "http.md"

STRICT = """
set -e
curl() { command curl --silent --show-error --fail-with-body "$@"; echo; }
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_recording_run_as_they_are_shown(served: Served) -> None:
    """In their order, with a key of an admin; every action is among them."""
    section = PAGE.read_text("utf-8").partition("\n## Recording\n")[2].partition("\n## ")[0]
    script = "".join(re.findall(r"```console\n(.*?)```", section, re.DOTALL))
    script = re.sub(r"^\$ ", "", script, flags=re.MULTILINE)
    assert all(f"rpc/{action}" in script for action in ACTIONS)
    writer = account(served.engine, TENANT, "writer", Role.ADMIN)
    leaver = account(served.engine, TENANT, "reader", Role.VIEWER)
    with Recorder(served.engine, Author(tenant_id=TENANT)) as recorder:
        issued = ApiKeys(recorder).issue(writer.id, name="lost")
    done = subprocess.run(
        ["bash", "-c", STRICT + script.replace("http://127.0.0.1:8000", served.url)],
        env={
            "PATH": os.environ["PATH"],
            "KEY": writer.key,
            "USER_ID": str(leaver.id),
            "KEY_ID": str(issued.id),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"formula":"C2H6O"' in done.stdout
    assert re.search(r"^allow: OPTIONS,GET,HEAD,POST", done.stdout, re.MULTILINE | re.IGNORECASE)
    with served.client("ada") as ada:
        once = ada.get(
            "/rest/v1/projects?name=in.(Once,Malaria,Dengue,Zika)&select=name&order=name"
        )
        assert [row["name"] for row in once.json()] == ["Malaria", "Once", "Zika"]
