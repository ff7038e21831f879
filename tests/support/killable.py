"""A server of a test's own, to be killed, stopped and started again."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.server.embedded import EmbeddedServer


class Killable:
    """A server of the test's own, and its database."""

    def __init__(self, home: Path, bin_directory: Path) -> None:
        self.home = home
        self._bin_directory = bin_directory
        self.server = self._started()
        self.engine = make_engine(self.server.url())

    def start(self) -> None:
        """Start it again."""
        dead, self.server = self.server, self._started()
        dead.close()

    def _started(self) -> EmbeddedServer:
        # No synchronous_commit off: what was committed must outlive the kill.
        server = EmbeddedServer(
            self.home, bin_directory=self._bin_directory, settings={"fsync": "off"}
        )
        server.start()
        return server

    def processes(self) -> list[int]:
        """Its first process, and the children of that."""
        first = int((self.home / "postgres/data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def kill(self) -> None:
        """End every process of it, as a power loss would."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self, number: signal.Signals) -> None:
        """Stop every process of it, or let them go on."""
        for pid in self.processes():
            os.kill(pid, number)


@pytest.fixture
def killable(bin_directory: Path) -> Iterator[Killable]:
    """Return a server to kill, with a migrated database."""
    home = Path(tempfile.mkdtemp(prefix="qforge-kill-"))
    server = Killable(home, bin_directory)
    try:
        migrations.upgrade(server.engine)
        yield server
    finally:
        server.engine.dispose()
        server.server.close()
        shutil.rmtree(home)
