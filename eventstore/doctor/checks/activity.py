"""Checks of sessions that hold others up."""

from sqlalchemy import Connection, text

from quantum_forge.eventstore.base.counted import shortened
from quantum_forge.eventstore.database.advisory_locks import key_holders
from quantum_forge.eventstore.doctor.checks.finding import (
    Finding,
    ok,
    problem,
    psql,
    warning,
)
from quantum_forge.eventstore.log.statistics import Holder, read_head

HOLDS_BACK = 5.0
"""Seconds for which an append may be open before readers, who wait for it, should know."""

IDLE = 60.0
"""Seconds that a transaction may do nothing."""

_IGNORED = text("""
    SELECT f.pid, a.usename AS user, a.application_name AS application, count(*) AS keys
      FROM append_locks AS f
      JOIN pg_locks AS l ON l.pid = f.pid AND l.locktype = 'advisory' AND l.objsubid = 1
       AND l.classid::bigint >> 16 = append_lock_key(0) >> 48
      LEFT JOIN pg_stat_activity AS a ON a.pid = f.pid
     WHERE NOT f.counts AND f.floor IS NOT NULL
     GROUP BY f.pid, a.usename, a.application_name
     ORDER BY f.pid
""")
_IDLE = text("""
    SELECT pid, usename AS user, application_name AS application,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS seconds, query
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND state LIKE 'idle in transaction%'
       AND clock_timestamp() - state_change > make_interval(secs => :seconds)
       AND pid <> pg_backend_pid()
     ORDER BY state_change
""")


def writers(connection: Connection, *, seconds: float = HOLDS_BACK) -> Finding:
    """Whether an unfinished append holds every reader back."""
    check = "writers"
    head = read_head(connection)
    found = f"readers are at position {head.safe} of {head.last_assigned}"
    slow = [
        h for h in head.held_by if h.transaction_age is not None and h.transaction_age > seconds
    ]
    if slow:
        return problem(
            check,
            f"{found}, held back by {'; '.join(map(_holder, slow))}",
            "let it commit, or end it: its append is rolled back and can be repeated",
            *(psql(f"SELECT pg_terminate_backend({h.pid})") for h in slow if h.pid is not None),
        )
    unknown = [h for h in head.held_by if h.transaction_age is None]
    if unknown:
        return warning(
            check,
            f"{found}, held back by {'; '.join(map(_holder, unknown))}, for a time that this "
            "login may not see",
            "connect as a member of pg_read_all_stats; a prepared transaction: ROLLBACK PREPARED",
        )
    return ok(check, found)


def advisory_locks(connection: Connection) -> Finding:
    """Whether sessions hold or await the advisory locks of this program without business there."""
    check = "advisory locks"
    found = key_holders(connection)
    foreign = {each.pid: str(each) for each in found if each.is_foreign}
    for row in connection.execute(_IGNORED):
        foreign.setdefault(
            row.pid,
            f"pid {row.pid}, user {row.user}, application {row.application!r}, holds "
            f"{row.keys} keys of appends without appending (readers ignore it)",
        )
    if foreign:
        return problem(
            check,
            shortened(list(foreign.values())),
            "end these sessions, and keep other logins from taking advisory locks",
            *(psql(f"SELECT pg_terminate_backend({pid})") for pid in list(foreign)[:5]),
            "qforge db roles --restrict-advisory-locks",
        )
    waiting = [str(each) for each in found if not each.granted]
    if waiting:
        return warning(check, shortened(waiting), "it continues when the holder has ended")
    return ok(check, f"{len(found)} are held, by sessions that may")


def idle_sessions(connection: Connection, *, seconds: float = IDLE) -> Finding:
    """Whether a transaction is open in which nothing happens."""
    check = "idle sessions"
    idle = connection.execute(_IDLE, {"seconds": seconds}).all()
    if not idle:
        return ok(check, f"no transaction has been idle for more than {seconds:g} s")
    return warning(
        check,
        "; ".join(
            f"pid {row.pid}, user {row.user}, application {row.application!r}, "
            f"idle in a transaction for {row.seconds:.0f} s after: {_line(row.query)}"
            for row in idle
        ),
        "end it, because it blocks VACUUM; idle_in_transaction_session_timeout ends such sessions",
        *(psql(f"SELECT pg_terminate_backend({row.pid})") for row in idle),
    )


def _holder(holder: Holder) -> str:
    age = "" if holder.transaction_age is None else f", for {holder.transaction_age:.0f} s"
    who = f"pid {holder.pid}, user {holder.user}, application {holder.application!r}{age}"
    if holder.pid is None:
        who = "a prepared transaction"
    return f"{who} ({holder.state}): {_line(holder.query)}"


def _line(query: str | None) -> str:
    line = " ".join((query or "").split())
    return line if len(line) <= 120 else f"{line[:119]}…"
