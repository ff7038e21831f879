"""`qforge ui`: the dashboard for whoever starts it, on this machine only."""

import os
import re
import signal
import subprocess
import sys

import httpx2
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import libpq_url
from tests.conftest import OTHERS_VARIABLES
from tests.support.chemical_history import created, record


def test_a_new_user_sees_the_molecules_without_an_account(
    engine: Engine, tmp_path: os.PathLike[str]
) -> None:
    """By an address that is printed, valid once; Ctrl-C ends the server."""
    record(engine, created("CCO"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS_VARIABLES)}
    running = subprocess.Popen(
        [sys.executable, "-m", "quantum_forge.cli.main", "ui", "--no-browser"],
        env={**kept, "DATABASE_URL": libpq_url(engine.url), "QFORGE_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        said = running.stderr.readline()
        found = re.search(r"(http://127\.0\.0\.1:\d+)(/login/link\?token=\S+);", said)
        assert found is not None, said
        url, link = found.groups()
        with httpx2.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
            elsewhere = browser.get(link, headers={"Host": "elsewhere.example"})
            assert elsewhere.status_code == 404
            page = browser.get(link)
            assert page.status_code == 200
            assert "(admin)" in page.text
            assert "Run the checks" in page.text
            assert "row-level security" in browser.get("/health").text
            assert browser.get("/rest/v1/molecules?select=smiles").json() == [{"smiles": "CCO"}]
        with httpx2.Client(base_url=url, timeout=30) as another:
            assert another.get(link).status_code == 403
            assert another.get("/").headers["location"] == "/login"
    finally:
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=30)[1]
    assert (running.returncode, rest.strip()) == (128 + signal.SIGINT, "")
