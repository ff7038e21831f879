"""Data directory of the embedded server: which programs fit it, and how it is made."""

import os
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

from quantum_forge.eventstore.base.errors import EmbeddedServerError
from quantum_forge.eventstore.server import binaries
from quantum_forge.eventstore.server.unprivileged import Identity

DATABASE = "qforge"
SUPERUSER = "postgres"

FEWEST_FILES = 256
"""Open files that PostgreSQL needs to start."""

TUNING = """
# Quantum Forge: change what follows as you like; it is written once.
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
jit = off
log_line_prefix = '%m [%p] '
"""


def programs_for(directory: Path, *, major: int, bin_directory: Path | None) -> Path:
    """Return the folder of the programs that fit the data directory."""
    data = directory / "data"
    if not data.exists():
        return bin_directory or binaries.bin_directory(major)
    found = int((data / "PG_VERSION").read_text())
    if bin_directory is not None and binaries.major_version(bin_directory) == found:
        return bin_directory
    shipped = binaries.shipped_majors()
    if found not in shipped:
        aside = directory.with_name("postgres-old")
        raise EmbeddedServerError(
            f"in {data} was created by PostgreSQL {found}, but {_listed(shipped)} are installed",
            f"dump it with PostgreSQL {found} (pg_ctl -D {data} start, "
            f"pg_dump {DATABASE}), move {directory} to {aside}, "
            "and load the dump with: qforge db psql -- -f FILE",
        )
    return shipped[found]


def initialise(directory: Path, identity: Identity, programs: Path, *, sync: bool) -> None:
    """Make the data directory; it gets its name only when it is complete."""
    unfinished = directory / "data.new"
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
            *(["--no-sync"] if not sync else []),
        ],
        cwd="/",
        env=clean_environment(),
    )
    if made.returncode != 0:
        reason = " / ".join((made.stderr or made.stdout).split("\n")).strip(" /")
        advice = "set QFORGE_HOME to another place, or set DATABASE_URL"
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < FEWEST_FILES:
            advice = "allow more open files: ulimit -n 1024"
        raise EmbeddedServerError(f"could not be created in {directory}: {reason}", advice)
    configuration = unfinished / "postgresql.conf"
    identity.run(["/bin/sh", "-c", 'printf %s "$1" >>"$0"', configuration, TUNING], cwd="/")
    unfinished.rename(directory / "data")


def clean_environment() -> dict[str, str]:
    """Return the environment without what libpq and PostgreSQL would take for orders."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _listed(majors: Mapping[int, Path]) -> str:
    return " and ".join(map(str, sorted(majors))) or "none"
