"""A server of a test's own, to be killed, stopped and started again."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import IN_A_HURRY
from tests.support.homes import new_home


def migrated_home(bin_directory: Path, prefix: str) -> Path:
    """Make the home of a server of a test's own, whose database is migrated; it does not run."""
    home = new_home(prefix)
    # Copying takes a tenth of the time of making one.
    shutil.copytree(_original(bin_directory), home, symlinks=True, dirs_exist_ok=True)
    return home


@functools.cache
def _original(bin_directory: Path) -> Path:
    home = new_home("qforge-original-")
    atexit.register(shutil.rmtree, home)
    with EmbeddedServer(home, bin_directory=bin_directory, settings=IN_A_HURRY) as server:
        engine = make_engine(server.url())
        migrations.upgrade(engine)
        engine.dispose()
    return home


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
    home = migrated_home(bin_directory, "qforge-kill-")
    server = Killable(home, bin_directory)
    try:
        yield server
    finally:
        server.engine.dispose()
        server.server.close()
        shutil.rmtree(home)
