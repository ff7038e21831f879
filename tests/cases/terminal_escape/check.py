"""Names of molecules do not command a terminal (see also tests/cli/test_console.py)."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """What `run` prints on a terminal has the escapes of names as text."""
    url = qforge("db", "url", "--show-password").stdout.strip()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "quantum_forge.cli.main", "run", str(folder / "esc.smi")]
    with subprocess.Popen(
        [*command, "--jobs", "1"],
        env={**os.environ, "DATABASE_URL": url, "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        while part := _read(ours):
            said += part
    os.close(ours)

    assert process.returncode == 3, said
    for sequence in (b"\x1b[2J", b"\x1b]0;", b"\x1b[31m", b"\x07"):
        assert sequence not in said
    assert rb"\x1b[31mred" in said


def _read(terminal: int) -> bytes:
    """Read what there is; nothing when the other end is closed, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
