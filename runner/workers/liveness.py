"""Liveness of the process that began a calculation."""

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

GRACE = timedelta(seconds=60)
"""Time after its timeout from which an attempt of another host counts as lost: for the start and
the end of the worker, and for the differing clocks of servers after a failover."""


def identity() -> dict[str, Any]:
    """What identifies this process among all processes of all hosts."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": _started(os.getpid()),
    }


def is_gone(
    metadata: Mapping[str, Any], *, started_at: datetime, timeout_seconds: float, now: datetime
) -> bool:
    """Whether an attempt that never ended never will.

    On this host, because its process is not there any more. Elsewhere, because its time is over by
    the clock of the database: the clocks of the two hosts have no part in it.

    Args:
        metadata: of the event that began it, with what `identity` gave.
        started_at: when that was recorded, by the server's clock (`recorded_at`).
        timeout_seconds: how long the attempt may take, in s.
        now: the present time, by the server's clock.
    """
    pid = metadata.get("pid")
    if metadata.get("host") == socket.gethostname() and isinstance(pid, int):
        return _started(pid) != metadata.get("process_started")
    return now > started_at + timedelta(seconds=timeout_seconds) + GRACE


def _started(pid: int) -> str | None:
    """When a process of this host began, as boot and clock ticks; None when there is none.

    Process ids are reused; together with this they are not.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        # After the name, which may contain anything: state is field 3, starttime field 22.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot}:{fields[19]}"
