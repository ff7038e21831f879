"""Statistics of the log: safe head, sessions that hold it back, events by type."""

from datetime import timedelta

import msgspec
from sqlalchemy import Connection, func, select, text

from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.database.availability.standby import is_standby
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.schema.tables import event_logs


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished append below which readers must stay.

    `floor`: what it appends will lie above. `transaction_age`: since it began, in s. None: what
    the server does not show to this user.
    """

    floor: Position
    pid: int | None
    user: str | None
    application: str | None
    transaction_age: float | None
    state: str | None
    query: str | None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log ends.

    `safe`: nothing at or below it can still appear. `last_assigned`: the highest position that any
    append has taken, committed or not; on a standby, which cannot know that, the safe head.
    `held_by`: who keeps the first below the second, the most restraining first. `ignored`: sessions
    that hold such a lock without appending, which hold no reader back.
    """

    safe: Position
    last_assigned: Position
    held_by: list[Holder]
    ignored: list[Holder] = []


_HOLDERS = text("""
    SELECT held.floor,
           held.pid,
           activity.usename AS user,
           activity.application_name AS application,
           clock_timestamp() - activity.xact_start AS transaction_age,
           activity.state,
           activity.query,
           held.counts
      FROM append_locks AS held
      LEFT JOIN pg_stat_activity AS activity USING (pid)
     WHERE CASE WHEN held.counts THEN held.floor < :last_assigned ELSE held.floor IS NOT NULL END
     ORDER BY held.floor, activity.xact_start, held.pid
""")


def read_head(connection: Connection) -> Head:
    """Where the log ends, and which unfinished appends hold readers back.

    Raises:
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    if is_standby(connection):
        published = safe_head(connection)
        return Head(safe=published, last_assigned=published, held_by=[])
    last_assigned = connection.execute(text("SELECT last_assigned_position()")).scalar_one()
    safe = safe_head(connection)
    holders: list[Holder] = []
    ignored: list[Holder] = []
    for row in connection.execute(_HOLDERS, {"last_assigned": last_assigned}).mappings():
        age: timedelta | None = row["transaction_age"]
        facts = {name: row[name] for name in row if name != "counts"}
        facts["transaction_age"] = None if age is None else age.total_seconds()
        (holders if row["counts"] else ignored).append(Holder(**facts))
    return Head(
        safe=safe,
        last_assigned=Position(max(last_assigned, safe)),
        held_by=holders if safe < last_assigned else [],
        ignored=ignored,
    )


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many events there are of each type; `estimated`: the types of which that is a guess."""

    events: dict[str, int]
    estimated: list[str]


SAMPLED_PAGES = 2_000
"""Pages of the log, mostly of 8 kB, that an estimate is from; up to four times as many: a count."""

SAMPLED_EVENTS = 100
"""Where fewer of the events that may be seen are in the sample, they are counted."""

FEW = 10_000
"""Types with fewer events are counted, too."""

_PAGES = text("""
    SELECT sum(pg_relation_size(inhrelid))::bigint / current_setting('block_size')::integer
      FROM pg_inherits WHERE inhparent = 'event_logs'::regclass
""")

# Repeatable, so that the numbers do not jump from one look to the next.
_SAMPLE = text("""
    SELECT event_type, count(*) AS events
      FROM event_logs TABLESAMPLE SYSTEM (:percent) REPEATABLE (1)
     WHERE id <= :upto
     GROUP BY event_type
""")

# From each type on, in the order of the index: with an equality, another index could seem cheaper.
_FEW_BY_TYPE = text("""
    WITH RECURSIVE types AS (
        SELECT min(event_type) AS event_type FROM event_logs
         UNION ALL
        SELECT (SELECT min(event_type) FROM event_logs AS log WHERE log.event_type > t.event_type)
          FROM types AS t
         WHERE t.event_type IS NOT NULL
    )
    SELECT t.event_type,
           (SELECT count(*) FILTER (WHERE found.event_type = t.event_type)
              FROM (SELECT log.event_type FROM event_logs AS log
                     WHERE log.event_type >= t.event_type AND log.id <= :upto
                     ORDER BY log.event_type, log.id
                     LIMIT :few) AS found) AS events
      FROM types AS t
     WHERE t.event_type IS NOT NULL
""")


def count_by_type(connection: Connection, upto: int) -> Counts:
    """How many events of each type there are up to a position; reads the whole log."""
    query = (
        select(event_logs.c.event_type, func.count().label("events"))
        .where(event_logs.c.id <= upto)
        .group_by(event_logs.c.event_type)
        .order_by(event_logs.c.event_type)
    )
    events = {row.event_type: row.events for row in connection.execute(query)}
    return Counts(events=events, estimated=[])


def estimate_by_type(
    connection: Connection, upto: int, *, pages: int = SAMPLED_PAGES, few: int = FEW
) -> Counts:
    """About how many events of each type there are up to a position, however long the log is.

    From a sample of the log's pages, so that nothing depends on statistics. A log that is not much
    longer than the sample is counted, and so is what has few events: types, and tenants under row
    security. These logins do not see types that are too rare for the sample.
    """
    all_pages = connection.execute(_PAGES).scalar_one()
    if all_pages <= 4 * pages:
        return count_by_type(connection, upto)
    sampled = {"percent": 100 * pages / all_pages, "upto": upto}
    found = {row.event_type: row.events for row in connection.execute(_SAMPLE, sampled)}
    if sum(found.values()) < SAMPLED_EVENTS:
        return count_by_type(connection, upto)
    events = {name: round(count * all_pages / pages) for name, count in found.items()}
    estimated = set(events)
    if not connection.scalar(text("SELECT row_security_active('event_logs')")):
        for row in connection.execute(_FEW_BY_TYPE, {"upto": upto, "few": few}):
            if row.events < few:
                events[row.event_type] = row.events
                estimated.discard(row.event_type)
            else:
                events[row.event_type] = max(events.get(row.event_type, 0), few)
                estimated.add(row.event_type)
    return Counts(events=dict(sorted(events.items())), estimated=sorted(estimated))
