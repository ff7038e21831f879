"""Process that stops the embedded server when no process has used it for the linger time.

    python keeper.py DIRECTORY SOCKET_DIRECTORY LOCK

DIRECTORY holds the lock files that embedded.py describes; LOCK is the number of the inherited file
descriptor of keeper.lock. Only the standard library is imported: the process takes little memory,
and still works when the virtual environment that started it is gone. Every half a second it tries
the lock of the users, which the kernel releases for a killed client as for any other.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LIFECYCLE = "lifecycle.lock"
USERS = "users.lock"
SERVER = "server.lock"
KEEPER = "keeper.lock"

EVERY = 0.5
"""Seconds between two looks."""

STOP_TIMEOUT = 120.0


class StopTimeout(Exception):
    """The server's processes have not ended in time."""


def open_lock(directory: Path, name: str) -> int:
    """Open a lock file of the directory, made where missing with the directory's owner."""
    path = directory / name
    # No link is followed: root may be working in another user's directory.
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        lock = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(lock, owner.st_uid, owner.st_gid)
    return lock


def try_lock(directory: Path, name: str) -> int | None:
    """Return the file, locked exclusively, or None if another process has it locked."""
    lock = open_lock(directory, name)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


@contextlib.contextmanager
def locked(directory: Path, name: str) -> Iterator[None]:
    """Hold a lock exclusively, waiting for it."""
    lock = open_lock(directory, name)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def read_lock(directory: Path, name: str) -> str:
    """Return the text of a lock file; empty if the file does not exist."""
    try:
        return (directory / name).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def write_lock(lock: int, text: str) -> None:
    """Replace the text of an open lock file."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, text.encode(), 0)


def postmaster(directory: Path) -> int | None:
    """Return the number of the server's first process, or None while it is not written down."""
    try:
        return int((directory / "data/postmaster.pid").read_text().split("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


def sockets_of(directory: Path) -> Path | None:
    """Return the folder of the socket of the server that was started last; None if not known."""
    try:
        lines = (directory / "data/postmaster.pid").read_text().split("\n")
    except (OSError, ValueError):
        return None
    # Number, data directory, time, port, folder of the socket: miscadmin.h of PostgreSQL.
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def is_here(directory: Path) -> bool:
    """Return whether the server was started on this host.

    Another host's processes have numbers that mean other processes here.
    """
    return read_lock(directory, SERVER) in ("", socket.gethostname())


def stop_server(directory: Path, sockets: Path) -> None:
    """Stop the server: open transactions are rolled back, the rest is written down.

    The caller holds the lock of the lifecycle.

    Raises:
        StopTimeout: when its processes do not end.
    """
    interrupted = False
    deadline = time.monotonic() + STOP_TIMEOUT
    while (lock := try_lock(directory, SERVER)) is None:
        if not interrupted and (process := postmaster(directory)) is not None:
            # SIGINT is PostgreSQL's "fast" shutdown; the lock proves the number still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGINT)
            interrupted = True
        if time.monotonic() > deadline:
            raise StopTimeout
        time.sleep(0.005)
    os.close(lock)
    if sockets != directory:
        with contextlib.suppress(OSError):
            sockets.rmdir()


def linger_of(directory: Path) -> float:
    """Return the linger time, in seconds, that the latest user of the server asked for."""
    try:
        return float(read_lock(directory, USERS))
    except ValueError:
        return 0.0


class Keeper:
    """The watch over one server.

    directory: of the server and its lock files. sockets: the folder of its socket. lock: the
    descriptor of keeper.lock; what is written there is the time, in seconds since 1970, at which
    the server stops unless it is used before; nothing while it is in use.
    """

    def __init__(self, directory: Path, sockets: Path, lock: int) -> None:
        self.directory = directory
        self.sockets = sockets
        self.lock = lock
        self.is_hurried = False
        self._idle: tuple[float, int] | None = None
        """Times since when no process uses the server, and when the last one began (ns)."""

    def hurry(self) -> None:
        """Stop the server as soon as no process uses it."""
        self.is_hurried = True

    def watch(self) -> None:
        """Return when the server has stopped, by this process or another."""
        while not self._is_over():
            time.sleep(EVERY)

    def _is_over(self) -> bool:
        if not self.directory.is_dir():
            return True
        # Clients start and stop the server, and begin to use it, under this lock.
        lifecycle = try_lock(self.directory, LIFECYCLE)
        if lifecycle is None:
            return False
        try:
            if not _is_locked(self.directory, SERVER) or self._stopped_by_now():
                # Before the lock of the lifecycle, so that the next client starts a keeper.
                os.close(self.lock)
                return True
            return False
        finally:
            os.close(lifecycle)

    def _stopped_by_now(self) -> bool:
        users = try_lock(self.directory, USERS)
        if users is None:
            if self._idle is not None:
                self._idle = None
                write_lock(self.lock, "")
            return False
        try:
            linger = 0.0 if self.is_hurried else linger_of(self.directory)
            came = os.fstat(users).st_mtime_ns
            if self._idle is None or self._idle[1] != came:
                self._idle = (time.monotonic(), came)
                write_lock(self.lock, str(time.time() + linger))
            if time.monotonic() - self._idle[0] < linger:
                return False
            if is_here(self.directory):
                write_lock(self.lock, "")
                stop_server(self.directory, self.sockets)
            return True
        finally:
            os.close(users)


def _is_locked(directory: Path, name: str) -> bool:
    lock = try_lock(directory, name)
    if lock is not None:
        os.close(lock)
    return lock is None


def main(directory: str, sockets: str, lock: str) -> None:
    """Detach from the caller, who waits for no more than that, and watch."""
    os.umask(0o077)
    if os.fork() != 0:
        # The lock is shared with the child, which keeps it.
        os._exit(0)
    keeper = Keeper(Path(directory), Path(sockets), int(lock))
    signal.signal(signal.SIGTERM, lambda *_: keeper.hurry())
    keeper.watch()


if __name__ == "__main__":
    main(*sys.argv[1:])
