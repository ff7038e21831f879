"""Replacement of this process by a command in a user namespace, where it is not root.

    python user_namespace.py UID GID COMMAND [ARGUMENT …]

PostgreSQL refuses to run as root. In a new user namespace the caller's own id is mapped to UID: the
command owns exactly the files that the caller owns, has no capability over others', and needs no
chown and no new system user. It is a script rather than code between fork and exec, where another
thread's lock could be held for ever.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000  # linux/sched.h
REFUSED = 125
"""The exit status that says that the kernel refused a user namespace."""


def main(uid: str, gid: str, *command: str) -> None:
    """Enter the namespace and become the command."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None or unshare(CLONE_NEWUSER) != 0:
        sys.exit(REFUSED)
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")
    except OSError:
        sys.exit(REFUSED)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
