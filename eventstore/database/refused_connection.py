"""SQLSTATE with which a server refused a connection.

libpq reports the refusal as text in the server's language, and keeps the SQLSTATE to itself. With
the verbosity PQERRORS_SQLSTATE the text is the SQLSTATE, but that must be set while the connection
is being made, and psycopg does not wrap PQsetErrorVerbosity. So the connection is tried once more,
by libpq alone.
"""

import ctypes
import importlib.util
import re
import select
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.pq.misc import find_libpq_full_path

TIMEOUT = 5.0
"""Seconds for the second attempt: the server has just answered the first one."""

PASSWORD_WRONG = "28P01"

_SQLSTATE_ONLY = 3
"""PQERRORS_SQLSTATE of libpq-fe.h."""

_STATE = re.compile(r":  ([0-9A-Z]{5})$", re.MULTILINE)


def sqlstate_of_refusal(conninfo: str) -> str | None:
    """Return the SQLSTATE with which a server refuses this connection; None where it does not.

    None also where no server answers in time, or libpq cannot be found.
    """
    if (set_verbosity := _set_verbosity()) is None:
        return None
    try:
        connection = pq.PGconn.connect_start(conninfo.encode())
    except psycopg.Error:
        return None
    try:
        # The protocol of psycopg's types leaves out the pointer that every implementation has.
        set_verbosity(connection.pgconn_ptr, _SQLSTATE_ONLY)  # type: ignore[attr-defined]
        return _refusal(connection)
    finally:
        connection.finish()


def _refusal(connection: pq.abc.PGconn) -> str | None:
    until = time.monotonic() + TIMEOUT
    waits_for = pq.PollingStatus.WRITING
    if connection.status == pq.ConnStatus.BAD:
        return None
    while (left := until - time.monotonic()) > 0:
        event = select.POLLIN if waits_for == pq.PollingStatus.READING else select.POLLOUT
        poll = select.poll()
        poll.register(connection.socket, event)
        if not poll.poll(left * 1000):
            return None
        waits_for = pq.PollingStatus(connection.connect_poll())
        if waits_for == pq.PollingStatus.FAILED:
            states = _STATE.findall(connection.error_message.decode(errors="replace"))
            if not states and connection.needs_password:
                return PASSWORD_WRONG  # libpq had none to send
            return states[-1] if states else None
        if waits_for == pq.PollingStatus.OK:
            return None
    return None


@cache
def _set_verbosity() -> Callable[[int, int], object] | None:
    """PQsetErrorVerbosity of the libpq that psycopg uses."""
    for path in _libraries():
        try:
            function = ctypes.CDLL(str(path)).PQsetErrorVerbosity
        except (OSError, AttributeError):
            continue
        function.argtypes = [ctypes.c_void_p, ctypes.c_int]
        function.restype = ctypes.c_int
        return function
    return None


def _libraries() -> list[Path]:
    """The libpq that is part of psycopg's binary wheel, or else the system's."""
    if pq.__impl__ != "binary":
        found = find_libpq_full_path()
        return [] if found is None else [Path(found)]
    spec = importlib.util.find_spec("psycopg_binary")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    folders = (package.with_name("psycopg_binary.libs"), package / ".dylibs")
    return [path for folder in folders for path in folder.glob("libpq*")]
