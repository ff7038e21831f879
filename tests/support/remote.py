"""A served store as a process of its own, and programs that record at it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.engine import Database
from tests.conftest import OTHERS_VARIABLES

RECORD = """
import sys
import time
from pathlib import Path
from uuid import UUID
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectUpdated
from quantum_forge.web.client.store import ServedStore

url, key, tenant, user, spool, project = sys.argv[1:]
author = Author(tenant_id=UUID(tenant), user_id=UUID(user))
with Recorder(ServedStore(url, Secret(key)), author, spool=Path(spool)) as recorder:
    for number in range(1_000_000):
        named = (ProjectUpdated if number else ProjectCreated)(name=f"{project} {number}")
        event = recorder.new(UUID(project), named, expected_version=number)
        placed = recorder.record_all(event)
        print(event.event_id, "spooled" if placed is None else "placed", flush=True)
        if placed is None:
            time.sleep(0.2)  # what is spooled now is drained one by one
"""
"""Records a stream, one event after the other, and prints the id of each that is recorded."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process without what would change a program's settings."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(OTHERS_VARIABLES)}
    return {**kept, **variables}


@contextlib.contextmanager
def served_process(database: Database, home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run `qforge serve` in a process group of its own, until the end or a kill."""
    process = subprocess.Popen(
        [sys.executable, "-m", "quantum_forge.cli.main", "serve", "--quiet", "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(QFORGE_HOME=str(home), DATABASE_URL=libpq_url(database.url)),
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert "serving at" in (said := process.stderr.readline()), said
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextlib.contextmanager
def recording(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `RECORD` until the end or a kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", RECORD, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
