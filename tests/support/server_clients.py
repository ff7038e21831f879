"""Processes that use an embedded server, and what can be seen of it from outside."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from quantum_forge.eventstore.base.errors import EmbeddedServerError
from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import IN_A_HURRY

CLIENT = """
import sys
from pathlib import Path
from quantum_forge.eventstore.server.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), linger=float(sys.argv[2]))
server.start()
print("using", flush=True)
sys.stdin.readline()
if sys.argv[3:] == ["close"]:
    server.close()
"""


class Client:
    """Another process that uses the server until it is told to leave, or killed."""

    def __init__(self, home: Path, *arguments: str, linger: float = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(home), str(linger), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_using(self) -> None:
        """Return once it uses the server."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "using\n"

    def leave(self) -> None:
        """Let it come to its end."""
        assert self.process.communicate("go\n", timeout=60)[0] == ""
        assert self.process.returncode == 0

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self.process.kill()
        self.process.communicate(timeout=60)


def new_server(home: Path) -> EmbeddedServer:
    """Return a server that does not wait for disks."""
    return EmbeddedServer(home, settings=IN_A_HURRY)


def stop_whatever_runs(home: Path) -> None:
    """Do what the next command does after one was killed."""
    with contextlib.suppress(EmbeddedServerError), EmbeddedServer(home, start_timeout=20):
        pass


def query(server: EmbeddedServer, statement: str) -> object:
    """Return the one value that a statement returns."""
    with psycopg.connect(libpq_url(server.url())) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def postmaster(home: Path) -> int:
    """Return the number of the server's first process."""
    return int((home / "postgres/data/postmaster.pid").read_text().split()[0])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, at most for a while."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
