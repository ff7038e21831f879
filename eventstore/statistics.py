"""What the log holds and how far it may be read: its head, who holds it back, events by type."""

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, select, text

from eventstore.envelope import Position
from eventstore.read import safe_head
from schema.tables import event_logs


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished append below which readers must stay.

    `floor`: what it appends will lie above. `transaction_age`: since it began, in s. None: what
    the server does not show to this user.
    """

    floor: Position
    pid: int
    user: str | None
    application: str | None
    transaction_age: float | None
    state: str | None
    query: str | None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log ends.

    `safe`: nothing at or below it can still appear. `last_assigned`: the highest position that any
    append has taken, committed or not. `held_by`: who keeps the first below the second, the most
    restraining first.
    """

    safe: Position
    last_assigned: Position
    held_by: list[Holder]


_HOLDERS = text("""
    WITH held AS (
        SELECT pid,
               ((classid::bigint << 32) | objid::bigint) - append_lock_key(0) AS floor
          FROM pg_locks
         WHERE locktype = 'advisory'
           AND objsubid = 1
           AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND classid::bigint >> 16 = append_lock_key(0) >> 48
    )
    SELECT held.floor,
           held.pid,
           activity.usename AS user,
           activity.application_name AS application,
           clock_timestamp() - activity.xact_start AS transaction_age,
           activity.state,
           activity.query
      FROM held
      LEFT JOIN pg_stat_activity AS activity USING (pid)
     WHERE held.floor < :last_assigned
     ORDER BY held.floor, activity.xact_start, held.pid
""")


def read_head(connection: Connection) -> Head:
    """Where the log ends, and which unfinished appends hold readers back.

    Raises:
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    last_assigned = connection.execute(text("SELECT last_assigned_position()")).scalar_one()
    safe = safe_head(connection)
    holders: list[Holder] = []
    if safe < last_assigned:
        for row in connection.execute(_HOLDERS, {"last_assigned": last_assigned}).mappings():
            age: timedelta | None = row["transaction_age"]
            seconds = None if age is None else age.total_seconds()
            holders.append(Holder(**{**row, "transaction_age": seconds}))
    return Head(safe=safe, last_assigned=Position(max(last_assigned, safe)), held_by=holders)


def counts_by_type(upto: int) -> Select[Any]:
    """The query for how many events of each type there are up to a position, by type."""
    return (
        select(event_logs.c.event_type, func.count().label("events"))
        .where(event_logs.c.id <= upto)
        .group_by(event_logs.c.event_type)
        .order_by(event_logs.c.event_type)
    )


def events_by_type(connection: Connection, upto: int) -> dict[str, int]:
    """How many events of each type there are up to a position; reads all of the type index."""
    rows = connection.execute(counts_by_type(upto))
    return {row.event_type: row.events for row in rows}
