"""The whole database to a file and back, by pg_dump and pg_restore."""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, func, select, text

from quantum_forge.eventstore.archive.restorer import foreign_objects, remove_everything, restorer
from quantum_forge.eventstore.base.counted import shortened
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.whole_file import whole_file
from quantum_forge.eventstore.database.address import for_programs
from quantum_forge.eventstore.database.engine import where
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.foreign_rights import revoke_foreign_rights
from quantum_forge.eventstore.database.installation.roles import create_roles
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.server.binaries import tool_of
from quantum_forge.schema.tables import event_logs

COMPRESSION = "gzip:1"
"""Three times as fast as pg_dump's own choice for a tenth more bytes; every build can read it."""

Progress = Callable[[int, int, int], None]
"""Called with the number of finished tables, the number of all tables, and the bytes of the file
that were written or read."""

_KNOWN_ENTRY = re.compile(
    r"\d+; \d+ \d+ (SCHEMA|TABLE|SEQUENCE|DEFAULT|FUNCTION|AGGREGATE|VIEW|CONSTRAINT"
    r"|CHECK CONSTRAINT|FK CONSTRAINT|INDEX|TRIGGER|POLICY|ROW SECURITY|ACL|DEFAULT ACL|COMMENT"
    r"|STATISTICS DATA) "
)
"""What the table of contents lists of a database of ours. Not: languages, event triggers,
extensions, casts, rules, foreign servers, subscriptions."""

_TABLE_BEGINS = re.compile(r"dumping contents of table|processing data for table")
_MESSAGE = re.compile(r"^\S+: (?:error: |detail: |hint: )?")


class BackupFailed(QuantumForgeError):
    """pg_dump could not write the database; there is no file."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(
            f"{target} could not be backed up ({reason}); connect as the owner of the tables or a "
            "superuser: row-level security does not restrict them"
        )


class BackupUnreadable(QuantumForgeError):
    """A file is not a complete backup; nothing was restored."""

    exit_status = 2

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is not a complete backup ({reason}); nothing was restored: give a file that "
            "`qforge db backup` completed"
        )


class RestoreFailed(QuantumForgeError):
    """The database refused a backup; nothing was restored."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(
            f"{target} refused the backup ({reason}); nothing was restored: give an empty "
            "database, whose server is of the backup's version or newer"
        )


class BackupForeign(QuantumForgeError):
    """A backup holds what no migration makes; nothing was restored."""

    exit_status = 2

    def __init__(self, path: Path, found: Sequence[str]) -> None:
        self.path = path
        self.found = tuple(found)
        super().__init__(
            f"{path} holds what Quantum Forge does not make ({shortened(found, 3)}), which "
            "could run commands with the rights of the server; nothing was restored. If it is your "
            "own: name its domains in QFORGE_DOMAINS, or add --trust-file"
        )


class LogNotEmpty(QuantumForgeError):
    """A backup was to be restored over events."""

    exit_status = 2

    def __init__(self, target: str) -> None:
        super().__init__(
            f"the log in {target} holds events, which a restore would destroy: restore into a new "
            "database (DATABASE_URL), or a new QFORGE_HOME"
        )


class BackedUp(msgspec.Struct, frozen=True):
    """A backup: its file's size, and how many tables are in it."""

    bytes: int
    tables: int


class Restored(msgspec.Struct, frozen=True):
    """Number of events of a restored log, and its last position."""

    events: int
    head: int


def write_backup(
    engine: Engine,
    path: Path,
    *,
    replace: bool = False,
    progress: Progress = lambda *_: None,
) -> BackedUp:
    """Dump the database as of now to a file, which appears when it is complete and on the disk.

    Large objects, which any login may make, are left out.

    Raises:
        BackupFailed
        TargetExists, TargetBusy, TargetUnwritable: see eventstore/base/whole_file.py.
    """
    with engine.connect() as connection:
        major = _major(connection)
        tables = connection.execute(text("SELECT count(*) FROM pg_stat_user_tables")).scalar_one()
    with (
        for_programs(engine.url) as (address, variables),
        whole_file(path, replace=replace) as partial,
    ):
        command = [
            str(tool_of("pg_dump", major)),
            "--format=custom",
            f"--compress={COMPRESSION if major >= 16 else COMPRESSION.partition(':')[2]}",
            "--no-password",
            "--verbose",
            "-B",  # no large objects: none is this program's, and a restore would refuse them
            f"--file={partial}",
            address,
        ]

        def advance(done: int) -> None:
            progress(done, tables, partial.stat().st_size if partial.exists() else 0)

        status, done, complaint = _run(command, variables, advance)
        if status != 0:
            raise BackupFailed(where(engine.url), complaint)
        size = partial.stat().st_size
    return BackedUp(size, done)


def restore_backup(
    engine: Engine,
    path: Path,
    *,
    trusted: bool = False,
    progress: Progress = lambda *_: None,
) -> Restored:
    """Put a backup into a database without events, all of it or nothing.

    Roles that are missing are made. Tables of an empty log are taken away first, and are back if
    the restore fails. A backup is a program: unless it is trusted, a superuser has it restored by a
    login without rights, and what it made is compared with what the migrations make before it
    belongs to the superuser.

    Raises:
        BackupForeign: it holds other objects than the migrations make.
        BackupUnreadable: the file is not a backup, or ends early.
        LogNotEmpty: there are events in the database.
        RestoreFailed: the database refuses it.
        RoleMissing: a role is missing, and this login may not make it.
    """
    with engine.connect() as connection:
        major = _major(connection)
    program = str(tool_of("pg_restore", major))
    tables = _table_count(program, path, trusted=trusted)
    create_roles(engine)
    target = where(engine.url)

    def require_empty(connection: Connection) -> None:
        if connection.execute(select(select(event_logs.c.id).exists())).scalar_one():
            raise LogNotEmpty(target)

    revision = migrations.remove_empty(engine, require_empty)
    engine.dispose()  # cached plans and types are of the tables that were there
    size = path.stat().st_size
    try:
        with (
            engine.connect() as connection,
            restorer(connection, trusted=trusted) as url,
            for_programs(url or engine.url) as (address, variables),
        ):
            # In one transaction: a file that ends early, and a kill at any time, leave nothing.
            command = [
                program,
                "--single-transaction",
                "--no-owner",
                "--no-password",
                "--verbose",
                f"--dbname={address}",
                str(path),
            ]
            status, _, complaint = _run(
                command, variables, lambda done: progress(done, tables, size)
            )
        if status != 0:
            if _is_about_the_file(complaint):
                raise BackupUnreadable(path, complaint)
            raise RestoreFailed(target, complaint)
        if url is not None and (foreign := foreign_objects(engine)):
            remove_everything(engine)
            raise BackupForeign(path, foreign)
    except BaseException:
        if revision is not None:
            migrations.upgrade(engine, revision)
        raise
    with engine.connect() as connection:
        if migrations.is_migrated(engine):
            revoke_foreign_rights(connection)
        connection.execute(text("ANALYZE event_logs"))
        connection.commit()
        events = connection.execute(select(func.count()).select_from(event_logs)).scalar_one()
        return Restored(events, safe_head(connection))


def _major(connection: Connection) -> int:
    version = connection.execute(text("SHOW server_version_num")).scalar_one()
    return int(version) // 10_000


def _table_count(program: str, path: Path, *, trusted: bool) -> int:
    """Return the number of tables in the archive's table of contents.

    Raises:
        BackupUnreadable: when it has none.
        BackupForeign: when it lists what no migration makes.
    """
    if not path.is_file():
        raise BackupUnreadable(path, "there is no such file")
    done = subprocess.run(
        [program, "--list", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BackupUnreadable(path, _said(done.stderr.splitlines()))
    if " event_logs " not in done.stdout:
        raise BackupUnreadable(path, "there is no log in it")
    entries = [line for line in done.stdout.splitlines() if line and not line.startswith(";")]
    foreign = [entry for entry in entries if not _KNOWN_ENTRY.match(entry)]
    if foreign and not trusted:
        raise BackupForeign(path, [entry.split(" ", 3)[-1] for entry in foreign])
    return sum(" TABLE DATA " in line for line in done.stdout.splitlines())


def _run(
    command: Sequence[str], variables: dict[str, str], advance: Callable[[int], None]
) -> tuple[int, int, str]:
    """Run a program to its end: its status, how many tables it named, what it said last."""
    done, lines = 0, []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C", **variables},
    ) as program:
        try:
            assert program.stderr is not None
            for line in program.stderr:
                if _TABLE_BEGINS.search(line):
                    done += 1
                    advance(done)
                elif ": error: " in line or "detail: " in line or "ERROR: " in line:
                    lines.append(line)
        except BaseException:
            program.terminate()
            raise
    return program.returncode, done, _said(lines) if program.returncode != 0 else ""


def _said(lines: Sequence[str]) -> str:
    texts = [_MESSAGE.sub("", line.strip()) for line in lines if line.strip()]
    return " / ".join(texts[:3]) or "it does not say why"


def _is_about_the_file(complaint: str) -> bool:
    """Whether pg_restore could not read its file, rather than the database refuse what it read."""
    return "could not execute query" not in complaint and any(
        words in complaint
        for words in ("end of file", "input file", "uncompress", "archive", "could not read")
    )
