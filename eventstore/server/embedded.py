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
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec
import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import EmbeddedServerError, ServerInUse
from quantum_forge.eventstore.server import binaries as postgres_binaries
from quantum_forge.eventstore.server import keeper
from quantum_forge.eventstore.server.directories import make_private, socket_directory
from quantum_forge.eventstore.server.unprivileged import Identity, identity_for

DATABASE = "qforge"
SUPERUSER = "postgres"
PORT = 5432
"""Only names the socket file: the server has no TCP port."""

START_TIMEOUT = 300.0
"""Seconds; recovery after a crash reads back everything since the last checkpoint."""

RETRY_FOR = 5.0
"""Seconds during which a server that exits while starting is started again."""

LARGEST_LOG = 10_000_000

BOUNDARY = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "logging_collector": "off",
    "log_destination": "stderr",
}
"""What keeps others out, given at every start so that no configuration file can undo it."""

TUNING = """
# Quantum Forge: change what follows as you like; it is written once.
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
jit = off
log_line_prefix = '%m [%p] '
"""


KEEPER_TIMEOUT = 10.0
"""Seconds for which `stop` waits for the keeper, which looks twice a second, to end."""


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """State of an embedded server, without starting it.

    is_used: whether a process uses it now. stops_at: when it stops unless it is used before; None
    while it is used, or when nothing will stop it.
    """

    directory: str
    is_running: bool
    is_used: bool = False
    pid: int | None = None
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
        major: int = postgres_binaries.NEWEST,
        bin_directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        start_timeout: float = START_TIMEOUT,
        linger: float = 0.0,
    ) -> None:
        self.directory = home.absolute() / "postgres"
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
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
                if self._linger:
                    self._ensure_kept()
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
        while self._is_kept() and time.monotonic() < deadline:
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
            stops_at = self._stops_at()
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
            version=row[0],
            started_at=row[1],
            stops_at=stops_at if users is not None else None,
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
            self._socket_directory = socket_directory(self.directory, f".s.PGSQL.{PORT}")
        return self._socket_directory

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Starting

    def _ensure_kept(self) -> None:
        """Start the keeper unless it runs; without one, `close` stops the server at once."""
        lock = keeper.try_lock(self.directory, keeper.KEEPER)
        if lock is None:
            return
        # Root has no need of its rights here, in a directory that is another user's.
        owner = self.directory.stat()
        lowered = os.geteuid() == 0 and owner.st_uid != 0
        user, group = (owner.st_uid, owner.st_gid) if lowered else (None, None)
        try:
            keeper.write_lock(lock, "")
            # It forks and returns: this process need not wait for its end.
            subprocess.run(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    Path(keeper.__file__).absolute(),
                    self.directory,
                    self.socket_directory,
                    str(lock),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                pass_fds=(lock,),
                start_new_session=True,
                check=True,
                user=user,
                group=group,
                extra_groups=() if lowered else None,
            )
        except (OSError, subprocess.CalledProcessError):
            self._linger = 0.0
        finally:
            os.close(lock)

    def _ensure_running(self) -> None:
        began = time.monotonic()
        first_launch: float | None = None
        while self._ping() != pq.Ping.OK:
            now = time.monotonic()
            if now - began > self._start_timeout:
                raise self._failure(f"did not start in {self._start_timeout:.0f} s")
            lock = keeper.try_lock(self.directory, keeper.SERVER)
            if lock is None:
                # It is starting, recovering, or its last processes are on their way out.
                self._refuse_another_host()
                time.sleep(0.02)
                continue
            try:
                if first_launch is not None and now - first_launch > RETRY_FOR:
                    raise self._failure("stopped during its start")
                if first_launch is not None:
                    time.sleep(0.5)
                first_launch = first_launch or now
                self._launch(lock)
            finally:
                os.close(lock)

    def _launch(self, lock: int) -> None:
        """Start the server's processes, which inherit the lock."""
        programs = self._programs()
        identity = identity_for(self.directory, programs / "postgres")
        if not self.data.exists():
            self._initialise(identity, programs)
        # A killed server's number may be another process's by now; the lock proves it is gone.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        keeper.write_lock(lock, socket.gethostname())
        settings = {
            **self._settings,
            **BOUNDARY,
            "unix_socket_directories": str(self.socket_directory),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # The shell exits at once, so this process need not wait for the server. Its own session
        # keeps Ctrl-C away from it, its own log the caller's pipes.
        started = identity.run(
            [
                "/bin/sh",
                "-c",
                'umask 077; "$@" </dev/null >>"$0" 2>&1 &',
                self.log,
                programs / "postgres",
                "-D",
                self.data,
                *options,
            ],
            cwd="/",
            env=_environment(),
            pass_fds=(lock,),
            start_new_session=True,
        )
        if started.returncode != 0:
            raise self._failure(f"cannot be launched: {started.stderr.strip()}")

    def _programs(self) -> Path:
        """Return the folder of the programs that fit the data directory."""
        wanted = self._bin_directory
        version = self.data / "PG_VERSION"
        if not self.data.exists():
            return wanted or postgres_binaries.bin_directory(self._major)
        found = int(version.read_text())
        if wanted is not None and postgres_binaries.major_version(wanted) == found:
            return wanted
        shipped = postgres_binaries.shipped_majors()
        if found not in shipped:
            aside = self.directory.with_name("postgres-old")
            raise EmbeddedServerError(
                f"in {self.data} was created by PostgreSQL {found}, but {_listed(shipped)} are "
                "installed",
                f"dump it with PostgreSQL {found} (pg_ctl -D {self.data} start, "
                f"pg_dump {DATABASE}), move {self.directory} to {aside}, "
                "and load the dump with: qforge db psql -- -f FILE",
            )
        return shipped[found]

    def _initialise(self, identity: Identity, programs: Path) -> None:
        """Make the data directory; it gets its name only when it is complete."""
        unfinished = self.directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        made = identity.run(
            [
                programs / "initdb",
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                "--auth=trust",  # the directory is the boundary
                "--encoding=UTF8",
                "--no-locale",
                "--data-checksums",
                "--no-instructions",
                *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
            ],
            cwd="/",
            env=_environment(),
        )
        if made.returncode != 0:
            reason = " / ".join((made.stderr or made.stdout).split("\n")).strip(" /")
            raise EmbeddedServerError(
                f"could not be created in {self.directory}: {reason}",
                "set QFORGE_HOME to another place, or set DATABASE_URL",
            )
        configuration = unfinished / "postgresql.conf"
        identity.run(["/bin/sh", "-c", 'printf %s "$1" >>"$0"', configuration, TUNING], cwd="/")
        unfinished.rename(self.data)

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
            raise self._failure(f"did not stop in {keeper.STOP_TIMEOUT:.0f} s") from None
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

    def _is_kept(self) -> bool:
        lock = keeper.try_lock(self.directory, keeper.KEEPER)
        if lock is not None:
            os.close(lock)
        return lock is None

    def _stops_at(self) -> datetime | None:
        """Return when the keeper stops the server, if it has begun to wait for that."""
        if not self._is_kept():
            return None
        try:
            at = float(keeper.read_lock(self.directory, keeper.KEEPER))
        except ValueError:
            return None
        return datetime.fromtimestamp(at, UTC)

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

    def _failure(self, problem: str) -> EmbeddedServerError:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        tail = " / ".join(lines[-5:])
        return EmbeddedServerError(problem, f"its log, {self.log}, ends with: {tail}")


def _environment() -> dict[str, str]:
    """Return the environment without what libpq and PostgreSQL would take for orders."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _listed(majors: Mapping[int, Path]) -> str:
    return " and ".join(map(str, sorted(majors))) or "none"
