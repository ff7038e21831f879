"""A home that its user may not write to (every command: tests/cli/test_broken_settings.py)."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import Qforge
from tests.support.nobody import NOBODY

ROOT = Path(__file__).parents[3]


def check(_: Path, __: Qforge) -> None:
    """One line names the directory and says what to do."""
    is_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(prefix="qforge-read-only-"))
    home = folder / "home"
    (home / "postgres" / "data").mkdir(parents=True)
    (home / "postgres" / "data" / "PG_VERSION").write_text("18\n")
    for path in (folder, home, *home.rglob("*")):
        if is_root:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)
    program = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from quantum_forge.cli.main import main\n"
        # After the import: an ordinary user may not be able to read where the tests are.
        "import quantum_forge.cli.commands.operation.status\n"
        f"os.setuid({NOBODY}) if os.geteuid() == 0 else None\n"
        "main(['status'])\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd="/",
            env={"PATH": os.environ["PATH"], "QFORGE_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in (folder, home, *home.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)

    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert f"cannot write to its directory {home}/postgres (Permission denied)" in line
    assert "set QFORGE_HOME" in line
