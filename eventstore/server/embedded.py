"""Embedded PostgreSQL server: make, start, share, stop.

Four lock files, all released by the kernel whatever is killed when:

- `lifecycle.lock` is held exclusively while a process starts or stops the server;
- `users.lock` is held shared by every process that uses the server: who leaves and can take it
  exclusively was the last one, and stops the server, unless it is to linger;
- `keeper.lock` is held exclusively by the process that stops a server that lingers (keeper.py);
- `server.lock` is held exclusively by the server's own processes, which inherit it: who can take it
  knows that none is left, on this host or on another that mounts the same directory.
"""

import atexit
import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec
import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import EmbeddedServerError, ServerInUse
from quantum_forge.eventstore.server import binaries, keeper
from quantum_forge.eventstore.server.data_directory import DATABASE, initialise, programs_for
from quantum_forge.eventstore.server.data_directory import SUPERUSER as SUPERUSER
from quantum_forge.eventstore.server.directories import is_private, make_private, socket_directory
from quantum_forge.eventstore.server.launch import LOG, failure, launch
from quantum_forge.eventstore.server.launch import PORT as PORT
from quantum_forge.eventstore.server.lingering import is_kept, start_keeper, stops_at
from quantum_forge.eventstore.server.unprivileged import identity_for, user_of

START_TIMEOUT = 300.0
"""Seconds; recovery after a crash reads back everything since the last checkpoint."""

RETRY_FOR = 5.0
"""Seconds during which a server that exits while starting is started again."""

TRIES = 3
"""Starts to attempt at least, however long they take on a busy machine."""

KEEPER_TIMEOUT = 10.0
"""Seconds for which `stop` waits for the keeper, which looks twice a second, to end."""


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """State of an embedded server, without starting it.

    user: of the operating system, whose rights to files it has; root, where root started it in a
    user namespace (`quantum_forge.eventstore.server.unprivileged`).
    is_used: whether a process uses it now. stops_at: when it stops unless it is used before; None
    while it is used, or when nothing will stop it.
    """

    directory: str
    is_running: bool
    is_used: bool = False
    pid: int | None = None
    user: str | None = None
    version: str | None = None
    started_at: datetime | None = None
    stops_at: datetime | None = None


class EmbeddedServer:
    """A PostgreSQL server in `home`/postgres, shared by every process that starts it.

    `major` and `bin_directory` choose the programs of a new server; a server that exists is run
    by the shipped programs of its own major version. `settings` go to the server's command line.
    `linger`: seconds for which the server runs on after its last user has left, for the next one;
    with 0 it stops before the last user's `close` returns.
    """

    def __init__(
        self,
        home: Path,
        *,
        major: int = binaries.NEWEST,
        bin_directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        start_timeout: float = START_TIMEOUT,
        linger: float = 0.0,
    ) -> None:
        self.directory = home.absolute() / "postgres"
        self.data = self.directory / "data"
        self.log = self.directory / LOG
        self._major = major
        self._bin_directory = bin_directory
        self._settings = dict(settings or {})
        self._start_timeout = start_timeout
        # The end of a container's first process ends all others, cleanly or not.
        self._linger = linger if os.getpid() != 1 else 0.0
        self._socket_directory: Path | None = None
        self._use: int | None = None
        self._pid = os.getpid()

    def start(self) -> None:
        """Use the server until `close`, starting it, and making it the first time, where needed."""
        if self._use is not None:
            return
        make_private(self.directory)
        with self._lifecycle():
            use = keeper.open_lock(self.directory, keeper.USERS)
            try:
                fcntl.flock(use, fcntl.LOCK_SH)
                keeper.write_lock(use, f"{self._linger:g}")
                if self._linger and not start_keeper(self.directory, self.socket_directory):
                    self._linger = 0.0  # so that `close` stops the server at once
                self._ensure_running()
                self._ensure_database()
            except KeyboardInterrupt:
                os.close(use)
                self._stop_if_unused()
                raise
            except BaseException:
                os.close(use)
                raise
            self._use = use
            self._pid = os.getpid()
        atexit.register(self._close_at_exit)

    def close(self) -> None:
        """Stop using the server; the last of all processes that used it stops it.

        A server that is to linger is left to its keeper.
        """
        if self._use is None:
            return
        use, self._use = self._use, None
        if os.getpid() != self._pid:
            # A fork shares its parent's lock, and is not a user of its own.
            os.close(use)
            return
        atexit.unregister(self._close_at_exit)
        if self._linger:
            os.close(use)
            return
        with self._lifecycle():
            os.close(use)
            self._stop_if_unused()

    def stop(self, *, force: bool = False) -> bool:
        """Stop the server, and its keeper, now; return whether it was running.

        Raises:
            ServerInUse: when another process uses it, unless `force` is given.
        """
        if not self.directory.is_dir():
            return False
        make_private(self.directory)
        with self._lifecycle():
            if not self._is_alive():
                return False
            self._refuse_another_host()
            users = keeper.try_lock(self.directory, keeper.USERS)
            if users is None and not force:
                raise ServerInUse(self.directory)
            try:
                self._stop()
            finally:
                if users is not None:
                    os.close(users)
        deadline = time.monotonic() + KEEPER_TIMEOUT
        while is_kept(self.directory) and time.monotonic() < deadline:
            time.sleep(0.02)
        return True

    def state(self) -> ServerState:
        """Return what can be known of the server without using it."""
        directory = str(self.directory)
        if not self.directory.is_dir():
            return ServerState(directory=directory, is_running=False)
        make_private(self.directory)
        with self._lifecycle():
            if not self.is_running():
                return ServerState(directory=directory, is_running=False)
            stops = stops_at(self.directory)
            users = keeper.try_lock(self.directory, keeper.USERS)
            if users is not None:
                os.close(users)
        with psycopg.connect(self._conninfo()) as connection:
            row = connection.execute(
                "SELECT current_setting('server_version'), pg_postmaster_start_time()"
            ).fetchone()
        assert row is not None
        return ServerState(
            directory=directory,
            is_running=True,
            is_used=users is None,
            pid=self._postmaster(),
            user=user_of(self.directory),
            version=row[0],
            started_at=row[1],
            stops_at=stops if users is not None else None,
        )

    def url(self, database: str = DATABASE) -> URL:
        """Return the address of a database of this server, for SQLAlchemy."""
        return URL.create(
            "postgresql+psycopg",
            username=SUPERUSER,
            database=database,
            # The port too, lest $PGPORT name another socket.
            query={"host": str(self.socket_directory), "port": str(PORT)},
        )

    def is_running(self) -> bool:
        """Return whether the server accepts connections now; it is not started for this."""
        return self._postmaster() is not None and self._ping() == pq.Ping.OK

    @property
    def socket_directory(self) -> Path:
        """The folder of the server's socket, open to this user only."""
        if self._socket_directory is None:
            make_private(self.directory)
            # A home may have been moved while its server runs, which listens where it was started.
            found = keeper.sockets_of(self.directory)
            if found is not None and is_private(found, self.directory) and self._is_alive():
                return found
            self._socket_directory = socket_directory(self.directory, f".s.PGSQL.{PORT}")
        return self._socket_directory

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Starting

    def _ensure_running(self) -> None:
        began = time.monotonic()
        first_launch: float | None = None
        launches = 0
        while self._ping() != pq.Ping.OK:
            now = time.monotonic()
            if now - began > self._start_timeout:
                raise failure(self.directory, f"did not start in {self._start_timeout:.0f} s")
            lock = keeper.try_lock(self.directory, keeper.SERVER)
            if lock is None:
                # It is starting, recovering, or its last processes are on their way out.
                self._refuse_another_host()
                time.sleep(0.02)
                continue
            try:
                launches += 1
                if first_launch is not None and now - first_launch > RETRY_FOR and launches > TRIES:
                    raise failure(self.directory, "stopped during its start")
                if first_launch is not None:
                    time.sleep(0.5)
                first_launch = first_launch or now
                programs = programs_for(
                    self.directory, major=self._major, bin_directory=self._bin_directory
                )
                identity = identity_for(self.directory, programs / "postgres")
                if not self.data.exists():
                    sync = self._settings.get("fsync") != "off"
                    initialise(self.directory, identity, programs, sync=sync)
                launch(
                    self.directory,
                    self.socket_directory,
                    identity,
                    programs,
                    settings=self._settings,
                    lock=lock,
                )
            finally:
                os.close(lock)

    def _ensure_database(self) -> None:
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    # Stopping

    def _stop_if_unused(self) -> None:
        unused = keeper.try_lock(self.directory, keeper.USERS)
        if unused is None:
            return
        try:
            if keeper.is_here(self.directory):
                self._stop()
        finally:
            os.close(unused)

    def _stop(self) -> None:
        """Stop the server: open transactions are rolled back, the rest is written down."""
        try:
            keeper.stop_server(self.directory, self.socket_directory)
        except keeper.StopTimeout:
            raise failure(self.directory, f"did not stop in {keeper.STOP_TIMEOUT:.0f} s") from None
        self._socket_directory = None

    def _close_at_exit(self) -> None:
        # Nobody is left to read an error; the next process to leave stops the server.
        with contextlib.suppress(EmbeddedServerError, OSError):
            self.close()

    # What the files say

    def _lifecycle(self) -> contextlib.AbstractContextManager[None]:
        return keeper.locked(self.directory, keeper.LIFECYCLE)

    def _is_alive(self) -> bool:
        """Return whether a process of the server exists."""
        lock = keeper.try_lock(self.directory, keeper.SERVER)
        if lock is not None:
            os.close(lock)
        return lock is None

    def _postmaster(self) -> int | None:
        return keeper.postmaster(self.directory)

    def _ping(self) -> pq.Ping:
        return pq.Ping(pq.PGconn.ping(self._conninfo().encode()))

    def _conninfo(self, database: str = "postgres") -> str:
        return make_conninfo(
            host=str(self.socket_directory),
            port=PORT,
            user=SUPERUSER,
            dbname=database,
            connect_timeout=10,
        )

    def _refuse_another_host(self) -> None:
        host = keeper.read_lock(self.directory, keeper.SERVER)
        if host and host != socket.gethostname():
            raise EmbeddedServerError(
                f"in {self.directory} is running on the host {host}",
                "set QFORGE_HOME to a directory of this host, or set DATABASE_URL",
            )
