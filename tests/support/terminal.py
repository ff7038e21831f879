"""Programs on a terminal of a chosen width."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence


def on_a_terminal(
    program: Sequence[str], *, width: int = 80, env: Mapping[str, str] | None = None
) -> bytes:
    """Return what a program writes on a terminal, to stdout and stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    with subprocess.Popen(
        program, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env
    ) as printing:
        os.close(theirs)
        seen = b""
        # At the end of a terminal's output Linux reports an error rather than an end.
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:
            pass
    os.close(ours)
    assert printing.returncode == 0, seen
    return seen
