"""A transaction-pooling pgbouncer in front of a test's server."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL

from quantum_forge.eventstore.server.embedded import PORT, SUPERUSER, EmbeddedServer
from quantum_forge.eventstore.server.unprivileged import identity_for

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
LOGINS = (SUPERUSER, "pooled_appender", "pooled_reader", "pooled_auditor")
"""Whom it lets in."""


@contextlib.contextmanager
def pooler(server: EmbeddedServer, *, connections: int) -> Iterator[URL]:
    """The address of a pgbouncer for every database of the server.

    connections: of the server's, for each database and login; clients share them, transaction by
    transaction.
    """
    assert PROGRAM is not None
    directory = Path(tempfile.mkdtemp(prefix="qforge-pool-"))
    (directory / "logins").write_text("".join(f'"{name}" ""\n' for name in LOGINS))
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"""
[databases]
* = host={server.socket_directory} port={PORT}
[pgbouncer]
listen_port = {PORT}
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory / "logins"}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
"""
    )
    # It refuses to be root, as the server does, and must reach the server's socket.
    identity = identity_for(server.directory, server.directory)
    if identity.user is not None and identity.group is not None:
        for path in (directory, *directory.iterdir()):
            os.chown(path, identity.user, identity.group)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*identity.prefix, PROGRAM, "-q", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd="/",
            user=identity.user,
            group=identity.group,
        )
    url = server.url().set(query={"host": str(directory), "port": str(PORT)})
    try:
        _wait(process, url, directory / "log")
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory)


def _wait(process: "subprocess.Popen[bytes]", url: URL, log: Path) -> None:
    until = time.monotonic() + 20
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(address, connect_timeout=2, prepare_threshold=None).close()
            return
        time.sleep(0.02)
    raise AssertionError(f"pgbouncer does not answer: {log.read_text()}")
