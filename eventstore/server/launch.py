"""Start of the embedded server's processes."""

import socket
from collections.abc import Mapping
from pathlib import Path

from quantum_forge.eventstore.base.errors import EmbeddedServerError
from quantum_forge.eventstore.server import keeper
from quantum_forge.eventstore.server.data_directory import clean_environment
from quantum_forge.eventstore.server.unprivileged import Identity

PORT = 5432
"""Only names the socket file: the server has no TCP port."""

LOG = "server.log"
LARGEST_LOG = 10_000_000

BOUNDARY = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "logging_collector": "off",
    "log_destination": "stderr",
}
"""What keeps others out, given at every start so that no configuration file can undo it."""


def launch(
    directory: Path,
    sockets: Path,
    identity: Identity,
    programs: Path,
    *,
    settings: Mapping[str, str],
    lock: int,
) -> None:
    """Start the server's processes, which inherit the lock; does not wait until they are ready.

    Args:
        directory: of the server, with its data directory.
        sockets: the folder of its socket.
        identity: whose processes they are.
        programs: the folder of the programs that fit the data directory.
        settings: for the server's command line.
        lock: the descriptor of server.lock.

    Raises:
        EmbeddedServerError: when they cannot be started.
    """
    data, log = directory / "data", directory / LOG
    # A killed server's number may be another process's by now; the lock proves it is gone.
    (data / "postmaster.pid").unlink(missing_ok=True)
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    keeper.write_lock(lock, socket.gethostname())
    given = {
        **settings,
        **BOUNDARY,
        "unix_socket_directories": str(sockets),
    }
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    # The shell exits at once, so this process need not wait for the server. Its own session
    # keeps Ctrl-C away from it, its own log the caller's pipes.
    started = identity.run(
        [
            "/bin/sh",
            "-c",
            'umask 077; "$@" </dev/null >>"$0" 2>&1 &',
            log,
            programs / "postgres",
            "-D",
            data,
            *options,
        ],
        cwd="/",
        env=clean_environment(),
        pass_fds=(lock,),
        start_new_session=True,
    )
    if started.returncode != 0:
        raise failure(directory, f"cannot be launched: {started.stderr.strip()}")


def failure(directory: Path, problem: str) -> EmbeddedServerError:
    """The error that says what went wrong, with the end of the server's log."""
    log = directory / LOG
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    tail = " / ".join(lines[-5:])
    return EmbeddedServerError(problem, f"its log, {log}, ends with: {tail}")
