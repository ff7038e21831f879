"""A hot standby of a test's server: a base backup that replays what the primary does."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text

from quantum_forge.eventstore.server.directories import make_private
from quantum_forge.eventstore.server.embedded import PORT, SUPERUSER, EmbeddedServer
from quantum_forge.eventstore.server.unprivileged import identity_for
from tests.support.homes import new_home

_FLUSH = text(
    "SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'flush', '')"
)
_WRITTEN = text("SELECT pg_current_wal_flush_lsn()::text")
_REPLAYED = text("SELECT pg_last_wal_replay_lsn() >= CAST(:lsn AS pg_lsn)")


@contextlib.contextmanager
def standby(primary: EmbeddedServer, programs: Path) -> Iterator[EmbeddedServer]:
    """A standby that follows `primary` by streaming; stopped and removed at the end.

    programs: the directory of the server's programs, of the primary's version.
    """
    home = new_home("qforge-standby-")
    server = EmbeddedServer(home, bin_directory=programs, settings={"fsync": "off"})
    make_private(server.directory)
    identity = identity_for(server.directory, programs / "postgres")
    done = identity.run(
        [
            programs / "pg_basebackup",
            f"--pgdata={server.data}",
            f"--host={primary.socket_directory}",
            f"--port={PORT}",
            f"--username={SUPERUSER}",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
        ],
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    try:
        with server:
            yield server
    finally:
        shutil.rmtree(home)


def wait_for_replay(primary: Engine, replica: Engine) -> None:
    """Return when the standby has replayed everything that the primary has written by now."""
    with primary.begin() as connection:
        # A test's server commits asynchronously: what nobody flushes is sent ten seconds later.
        connection.execute(_FLUSH)
    with primary.connect() as connection:
        lsn = connection.execute(_WRITTEN).scalar_one()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with replica.connect() as connection:
            if connection.execute(_REPLAYED, {"lsn": lsn}).scalar_one():
                return
        time.sleep(0.02)
    raise AssertionError(f"the standby did not reach {lsn}")
