"""`qforge ui`: the dashboard for whoever starts it, on this machine only."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import OTHERS_VARIABLES, Qforge
from tests.support.chemical_history import created, record
from tests.support.logins import login


@contextlib.contextmanager
def showing(home: Path, environment: Mapping[str, str], complaint: str = r"\A\Z") -> Iterator[str]:
    """Start `qforge ui` for the length of a `with`; gives its link. Ctrl-C ends it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS_VARIABLES)}
    running = subprocess.Popen(
        [sys.executable, "-m", "quantum_forge.cli.main", "ui", "--no-browser"],
        env={**kept, "QFORGE_HOME": str(home), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        said = ""
        while (
            found := re.search(r"http://127\.0\.0\.1:\d+/login/link\?token=\S+(?=;)", said)
        ) is None:
            line = running.stderr.readline()
            assert line, said
            said += line
        yield found[0]
    finally:
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=30)[1]
    assert running.returncode == 128 + signal.SIGINT
    assert re.search(complaint, rest.strip()), rest


def asked_by_nobody(link: str) -> int:
    """The status that another user of this machine gets, by a connection of theirs."""
    address = urlsplit(link)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    os.seteuid(65534)
    try:
        connection.connect()
    finally:
        os.seteuid(0)
    connection.request("GET", f"{address.path}?{address.query}")
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_new_user_sees_the_molecules_without_an_account(engine: Engine, tmp_path: Path) -> None:
    """By an address that is printed, valid once; Ctrl-C ends the server."""
    record(engine, created("CCO"))
    with showing(tmp_path, {"DATABASE_URL": libpq_url(engine.url)}) as link:
        root = link.partition("/login")[0]
        with httpx2.Client(base_url=root, follow_redirects=True, timeout=30) as browser:
            elsewhere = browser.get(link, headers={"Host": "elsewhere.example"})
            assert elsewhere.status_code == 404
            if os.geteuid() == 0:  # the link is in the arguments of a browser, which all users see
                assert asked_by_nobody(link) == 403
            page = browser.get(link)
            assert page.status_code == 200
            assert "(admin)" in page.text
            assert "Run the checks" in page.text
            assert "row-level security" in browser.get("/health").text
            assert browser.get("/rest/v1/molecules?select=smiles").json() == [{"smiles": "CCO"}]
        with httpx2.Client(base_url=root, timeout=30) as another:
            assert another.get(link).status_code == 403
            assert another.get("/").headers["location"] == "/login"


def test_a_login_that_only_reads_sees_pages_without_buttons(
    database: Database, tmp_path: Path, qforge: Qforge
) -> None:
    """It needs no more than its role of the database; nothing is brought up to date by it."""
    record(database.engine, created("CCO"))
    catch_up(database.engine, PROJECTIONS.values())
    with (
        login(qforge, "qforge_reader") as environment,
        showing(
            tmp_path,
            environment,
            r"\Ausage of \d+ requests was not.*\Z",  # nobody follows the log
        ) as link,
        httpx2.Client(follow_redirects=True, timeout=30) as browser,
    ):
        page = browser.get(link)
        assert page.status_code == 200, page.text
        assert "What needs attention" in page.text
        assert "Lag of the tables" not in page.text
        root = link.partition("/login")[0]
        rows = browser.get(f"{root}/rest/v1/molecules?select=smiles").json()
        assert rows == [{"smiles": "CCO"}]
        assert browser.get(f"{root}/campaigns").status_code == 200
        for path in ("log", "account"):
            assert browser.get(f"{root}/{path}").status_code == 403


@pytest.mark.parametrize("command", [("serve",), ("ui", "--no-browser")])
def test_what_a_server_cannot_open_is_one_clear_line(
    qforge: Qforge, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A cache and keys are tried before it listens: no traceback of a server that has begun."""
    (tmp_path / "keys").write_text("none")
    for variable, value in (
        ("QFORGE_CACHE_URL", "http://cache"),
        ("QFORGE_JWT_KEYS", str(tmp_path / "keys")),
    ):
        said = qforge(*command, env={variable: value}, status=None)
        assert said.returncode != 0
        assert variable in said.stderr
        assert "Traceback" not in said.stderr
        assert "Ctrl-C stops it" not in said.stderr
