"""The PostgreSQL that Quantum Forge brings along: made, started, shared, stopped.

Three lock files, all released by the kernel whatever is killed when:

- `lifecycle.lock` is held exclusively while a process starts or stops the server;
- `users.lock` is held shared by every process that uses the server: who leaves and can take it
  exclusively was the last one, and stops the server;
- `server.lock` is held exclusively by the server's own processes, which inherit it: who can take it
  knows that none is left, on this host or on another that mounts the same directory.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.errors import EmbeddedServerError
from quantum_forge.eventstore.server import binaries as postgres_binaries
from quantum_forge.eventstore.server.directories import make_private, socket_directory
from quantum_forge.eventstore.server.unprivileged import Identity, identity_for

DATABASE = "qforge"
SUPERUSER = "postgres"
PORT = 5432
"""Only names the socket file: the server has no TCP port."""

START_TIMEOUT = 300.0
"""Seconds; recovery after a crash reads back everything since the last checkpoint."""

STOP_TIMEOUT = 120.0
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


class EmbeddedServer:
    """A PostgreSQL server in `home`/postgres, shared by every process that starts it.

    `major` and `bin_directory` choose the programs of a new server; a server that exists is run
    by the shipped programs of its own major version. `settings` go to the server's command line.
    """

    def __init__(
        self,
        home: Path,
        *,
        major: int = postgres_binaries.NEWEST,
        bin_directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self.directory = home.absolute() / "postgres"
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self._major = major
        self._bin_directory = bin_directory
        self._settings = dict(settings or {})
        self._start_timeout = start_timeout
        self._socket_directory: Path | None = None
        self._use: int | None = None
        self._pid = os.getpid()

    def start(self) -> None:
        """Use the server until `close`, starting it, and making it the first time, where needed."""
        if self._use is not None:
            return
        make_private(self.directory)
        with self._lifecycle():
            use = self._open_lock("users.lock")
            try:
                fcntl.flock(use, fcntl.LOCK_SH)
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
        """Stop using the server; the last of all processes that used it stops it."""
        if self._use is None:
            return
        use, self._use = self._use, None
        if os.getpid() != self._pid:
            # A fork shares its parent's lock, and is not a user of its own.
            os.close(use)
            return
        atexit.unregister(self._close_at_exit)
        with self._lifecycle():
            os.close(use)
            self._stop_if_unused()

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

    def _ensure_running(self) -> None:
        began = time.monotonic()
        first_launch: float | None = None
        while self._ping() != pq.Ping.OK:
            now = time.monotonic()
            if now - began > self._start_timeout:
                raise self._failure(f"did not start in {self._start_timeout:.0f} s")
            lock = self._try_lock("server.lock")
            if lock is None:
                # It is starting, recovering, or its last processes are on their way out.
                self._refuse_another_host()
                time.sleep(0.02)
                continue
            try:
                if first_launch is not None and now - first_launch > RETRY_FOR:
                    raise self._failure("stops while starting")
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
        os.ftruncate(lock, 0)
        os.pwrite(lock, socket.gethostname().encode(), 0)
        settings = {
            **self._settings,
            **BOUNDARY,
            "unix_socket_directories": str(self.socket_directory),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # The shell leaves at once, so that nobody here must wait for the server; its own session
        # keeps Ctrl-C away from it, and its own log the caller's pipes.
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
                f"in {self.data} was made by version {found}, and {_listed(shipped)} are installed",
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
                f"could not be made in {self.directory}: {reason}",
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
        unused = self._try_lock("users.lock")
        if unused is None:
            return
        try:
            # Another container's processes have numbers that mean others here.
            if self._host() in ("", socket.gethostname()):
                self._stop()
        finally:
            os.close(unused)

    def _stop(self) -> None:
        """Stop the server: open transactions are rolled back, the rest is written down."""
        interrupted = False
        deadline = time.monotonic() + STOP_TIMEOUT
        while (lock := self._try_lock("server.lock")) is None:
            if not interrupted and (process := self._postmaster()) is not None:
                # SIGINT is PostgreSQL's "fast" shutdown; the lock proves the number still its own.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGINT)
                interrupted = True
            if time.monotonic() > deadline:
                raise self._failure(f"did not stop in {STOP_TIMEOUT:.0f} s")
            time.sleep(0.005)
        os.close(lock)
        if self.socket_directory != self.directory:
            with contextlib.suppress(OSError):
                self.socket_directory.rmdir()
        self._socket_directory = None

    def _close_at_exit(self) -> None:
        # Nobody is left to read an error; the next process to leave stops the server.
        with contextlib.suppress(EmbeddedServerError, OSError):
            self.close()

    # What the files say

    @contextlib.contextmanager
    def _lifecycle(self) -> Iterator[None]:
        lock = self._open_lock("lifecycle.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_lock(self, name: str) -> int:
        path = self.directory / name
        # No link is followed: root may be working in another user's directory.
        flags = os.O_RDWR | os.O_NOFOLLOW
        try:
            lock = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(path, flags)
        if os.geteuid() == 0:
            owner = self.directory.stat()
            os.fchown(lock, owner.st_uid, owner.st_gid)
        return lock

    def _try_lock(self, name: str) -> int | None:
        """Return the file, locked exclusively, or None if another process has it locked."""
        lock = self._open_lock(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _postmaster(self) -> int | None:
        """Return the number of the server's first process, or None while it is not written down."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            return None

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

    def _host(self) -> str:
        """Return the host that started the server last."""
        try:
            return (self.directory / "server.lock").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _refuse_another_host(self) -> None:
        host = self._host()
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
