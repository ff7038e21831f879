"""The server: whether it answers, its version, whether it keeps what it acknowledged, its clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from quantum_forge.eventstore.database.availability.standby import is_standby
from quantum_forge.eventstore.database.engine import HEALTH, OLDEST_SUPPORTED
from quantum_forge.eventstore.doctor.checks.finding import Finding, ok, problem, psql, warning
from quantum_forge.eventstore.server.binaries import NEWEST

SLOW_ANSWER = 50.0
"""Milliseconds for an empty round trip; an append takes at least two."""

SKEW = 2.0
"""Seconds by which two hosts that both follow a time server never differ."""

CROWDED = 0.9

DURABILITY = {
    "fsync": "a power failure can destroy the whole database",
    "full_page_writes": "a power failure can leave half-written pages",
    "synchronous_commit": "a crash loses events that were acknowledged",
}
"""Settings whose "off" breaks what an acknowledged append promises, and how."""


def answers(connection: Connection) -> Finding:
    """Whether the server can be written to, how fast it answers, and whether it is full."""
    check = "server"
    connection.execute(text("SELECT 1"))
    began = time.perf_counter()
    connection.execute(text("SELECT 1"))
    latency = (time.perf_counter() - began) * 1000
    row = connection.execute(HEALTH).mappings().one()
    found = (
        f"answers in {latency:.1f} ms, {row['connections']} of {row['max_connections']} connections"
    )
    if is_standby(connection):
        return warning(
            check,
            f"{found}; it is a standby, which is read-only",
            "set DATABASE_URL to the primary for commands that record",
        )
    if not row["is_ready"]:
        return problem(
            check,
            f"{found}, but it is read-only",
            "end its read-only mode",
            psql("ALTER SYSTEM RESET default_transaction_read_only"),
        )
    if row["connections"] > CROWDED * row["max_connections"]:
        return warning(check, found, "stop what is not needed, or put a pooler in front")
    if latency > SLOW_ANSWER:
        return warning(check, found, "run closer to the database, and append in batches")
    return ok(check, found)


def version(connection: Connection) -> Finding:
    """Whether the server's version is one of those that this program is tested with."""
    check, supported = "version", f"{OLDEST_SUPPORTED} to {NEWEST}"
    row = connection.execute(
        text(
            "SELECT current_setting('server_version') AS full,"
            " current_setting('server_version_num')::int / 10000 AS major"
        )
    ).one()
    found = f"PostgreSQL {row.full}; supported are {supported}"
    if row.major < OLDEST_SUPPORTED:
        return problem(check, found, "upgrade the server")
    if row.major > NEWEST:
        return warning(check, found, "a newer quantum-forge may support it: upgrade quantum-forge")
    return ok(check, found)


def durability(connection: Connection) -> Finding:
    """Whether what was acknowledged survives a crash of the server and of its machine."""
    check = "durability"
    rows = connection.execute(
        text(
            "SELECT name, setting, source FROM pg_settings WHERE name = ANY (:names) ORDER BY name"
        ),
        {"names": list(DURABILITY)},
    ).all()
    off = [row for row in rows if row.setting == "off"]
    if not off:
        return ok(check, ", ".join(f"{row.name} = {row.setting}" for row in rows))
    return problem(
        check,
        "; ".join(f"{row.name} is off ({row.source}): {DURABILITY[row.name]}" for row in off),
        "turn it on where it was turned off",
        *(psql(f"ALTER SYSTEM RESET {row.name}") for row in off),
        psql("SELECT pg_reload_conf()"),
    )


def clock(
    connection: Connection, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Finding:
    """How far the clock of this host, which occurred_at tells, is from the database's."""
    check = "clock"
    best, offset = float("inf"), 0.0
    for _ in range(3):
        began, before = time.perf_counter(), now()
        there: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        taken = time.perf_counter() - began
        if taken < best:
            best, offset = taken, (before - there).total_seconds() + taken / 2
    found = (
        f"this host is {abs(offset):.3f} s {'ahead of' if offset > 0 else 'behind'} the database"
    )
    if abs(offset) - best > SKEW:
        return warning(
            check,
            f"{found}: occurred_at and recorded_at of one event differ by as much",
            "synchronise both hosts with a time server",
            "timedatectl set-ntp true",
        )
    return ok(check, found)
