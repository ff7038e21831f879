"""Memory of this process: the peak since a chosen moment, and the size of its address space."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Start to measure anew, where the system can (Linux: proc(5), clear_refs, value 5)."""
    with suppress(OSError):
        _CLEAR.write_text("5")


def peak_mb() -> float:
    """Return the peak resident memory in MB (10⁶ bytes) since `reset_peak`, or since the start."""
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def virtual_bytes() -> int | None:
    """Return the size of the address space in bytes, which RLIMIT_AS limits; None if unknown."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return None
