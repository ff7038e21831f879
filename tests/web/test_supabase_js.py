"""The client that dashboards use already, npm's @supabase/supabase-js, against a real server."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.conftest import PASSWORD, Served

SCRIPT = Path(__file__).parent / "clients" / "supabase.mjs"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None,
    reason="node and npm are not installed (apt-get install nodejs npm)",
)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the client, and return the folder that node finds it in."""
    folder = tmp_path_factory.mktemp("npm")
    package = "@supabase/supabase-js@2"
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@needs_node
def test_the_client_logs_in_reads_and_writes(served: Served, modules: Path) -> None:
    """Each case of the script passes, in one process that makes one client."""
    bob = served.accounts["bob"]
    given = {
        "url": served.url,
        "key": served.accounts["eve"].key,
        "email": "bob@example.org",
        "password": PASSWORD,
        "id": str(bob.id),
        "modules": str(modules),
    }
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    every = re.findall(r'^  async "(.*)"\(\)', SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert done.stdout.splitlines() == every
