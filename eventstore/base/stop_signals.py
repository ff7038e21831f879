"""Signals that ask a process to stop: Ctrl-C, SIGTERM, and SIGHUP when its terminal is gone."""

import os
import signal


def stopping_signals() -> list[int]:
    """Return the signals that ask this process to stop.

    SIGHUP, which says that the terminal is gone, is not among them under `nohup`.
    """
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]


def leave_closed_terminal() -> None:
    """Let output that would go to a terminal that is gone go nowhere, instead of raising EIO."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            discard_output(descriptor)


def discard_output(descriptor: int) -> None:
    """Discard whatever is written to a descriptor from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
