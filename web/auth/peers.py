"""Which user of this machine has connected, as Linux tells it.

The link of `qforge ui` is an argument of the browser that is started, and every user of the machine
sees the arguments of every process: one who is faster than the browser is recognised by this.
"""

import os
import socket
import struct
from pathlib import Path

_CONNECTIONS = Path("/proc/net/tcp")
"""https://docs.kernel.org/networking/proc_net_tcp.html"""

_ROOT = 0


def is_of_another_user(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Whether a connection from this machine is known to be of another user than this process.

    Root is none: it can do everything, and relays connections for containers and virtual machines.

    Args:
        client: IPv4 address and port at the other end.
        server: IPv4 address and port at this end.
    """
    return _user_of(client, server) not in (None, _ROOT, os.geteuid())


def _user_of(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """The user who has opened a connection; None where the system does not say."""
    try:
        ends = [_written(client), _written(server)]
        lines = _CONNECTIONS.read_text(encoding="ascii").splitlines()[1:]
    except (OSError, ValueError):
        return None
    rows = (line.split() for line in lines)
    return next((int(row[7]) for row in rows if row[1:3] == ends), None)


def _written(end: tuple[str, int]) -> str:
    """An address and port as the kernel writes them: the address in the order of the machine."""
    (address,) = struct.unpack("=I", socket.inet_aton(end[0]))
    return f"{address:08X}:{end[1]:04X}"
